package rpmmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// testFragments makes random packages.
func testFragments(t testing.TB, n int) []Fragment {
	t.Helper()
	random := rand.New(rand.NewSource(7))
	var list []Fragment
	for i := range n {
		f, err := NewFragment(input(t, randomPackage(random, fmt.Sprintf("p%d", i)).bytes()))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

func testMetadata(t testing.TB, n int) Metadata {
	t.Helper()
	m, err := Build(testFragments(t, n), testRevision)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestOpenGolden pins the open bytes of packages that no tool's version decides.
func TestOpenGolden(t *testing.T) {
	m := testMetadata(t, 50)
	for i, want := range []string{
		"0af262fff9bc6a9312695b5cb1eb19aaac065e8458de08ed5c5b39f039210c27",
		"e567adec7d702dadb9abe3811161f6f1e21757bd60052f5d081b5195a24d0b61",
		"59507ddad1b2cc290ea50df697294bb3988ae6bd4d5d0ac5a25abb059b20738e",
	} {
		if got := m.Files[i].OpenSHA256; got != want {
			t.Errorf("%s: open digest %s, want %s", documents[i].kind, got, want)
		}
	}
}

// goldenInput is 1 MB with the texture of metadata: words that come back, and
// digests that do not.
func goldenInput() []byte {
	var b bytes.Buffer
	sum := sha256.Sum256([]byte("golden"))
	for b.Len() < 1_000_000 {
		sum = sha256.Sum256(sum[:])
		fmt.Fprintf(&b, "  <file>/usr/share/doc/package-%d/%x</file>\n", sum[0], sum[:8])
	}
	return b.Bytes()[:1_000_000]
}

// TestCompressedGoldenKlauspost1_20_3 pins the encoder: klauspost/compress
// v1.20.3, gzip level 6. Another version may write other bytes; taking it over
// is a new format.
func TestCompressedGoldenKlauspost1_20_3(t *testing.T) {
	const want = "33544d2242efe58f6d09a9934f8a0381ad2bb6ffd84d3923757bcb170e896f6a"
	in := goldenInput()
	for _, cut := range []int{len(in), 1 << 16, 4093, 1 << 8, 7} {
		var b bytes.Buffer
		w := newEncoder(&b) // from the second round on one that was used before
		for part := range slices.Chunk(in, cut) {
			if _, err := w.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		encoders.Put(w)
		if got := DigestOf(b.Bytes()).SHA256; got != want {
			t.Errorf("cut into %d bytes: digest %s, want %s", cut, got, want)
		}
		if head := b.Bytes()[:10]; !bytes.Equal(head, []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}) {
			t.Errorf("gzip header % x", head)
		}
	}
}

func TestBuildIgnoresOrder(t *testing.T) {
	list := testFragments(t, 40)
	want, err := Build(list, testRevision)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewSource(1))
	for range 5 {
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		got, err := Build(list, testRevision)
		if err != nil {
			t.Fatal(err)
		}
		if got.Summary != want.Summary || !bytes.Equal(got.Repomd, want.Repomd) {
			t.Fatal("the order of fragments changes the metadata")
		}
	}
}

func TestBuildOrder(t *testing.T) {
	// Neither the order of names nor that of whole paths.
	want := []string{"a-0-1-1.noarch.rpm", "a-1-1.noarch.rpm", "a-b-1-1.noarch.rpm", "a.b-1-1.noarch.rpm", "a1-1-1.noarch.rpm"}
	var list []Fragment
	for _, name := range []string{"a1", "a.b", "a", "a-b", "a-0"} {
		f, err := NewFragment(input(t, newHandmade(name).bytes()))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	m, err := Build(list, testRevision)
	if err != nil {
		t.Fatal(err)
	}
	packages, err := ParsePrimary(bytes.NewReader(open(t, m, 0)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range packages {
		got = append(got, p.NEVRA.FileName())
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
}

func TestBuildRefuses(t *testing.T) {
	list := testFragments(t, 2)
	if _, err := Build(append(list, list[0]), testRevision); err == nil || !strings.Contains(err.Error(), "two packages lie at") {
		t.Errorf("a package twice: error %v", err)
	}
	for _, revision := range []int64{-1, 0, maxRevision + 1} {
		if _, err := Build(list, revision); err == nil {
			t.Errorf("revision %d was accepted", revision)
		}
	}
}

func TestBuildNothing(t *testing.T) {
	m := testMetadata(t, 0)
	want := xmlHeader + `<filelists xmlns="http://linux.duke.edu/metadata/filelists" packages="0">` + "\n</filelists>"
	if got := string(open(t, m, 1)); got != want {
		t.Errorf("empty filelists is %q, want %q", got, want)
	}
	if list, err := ParsePrimary(bytes.NewReader(open(t, m, 0))); err != nil || len(list) != 0 {
		t.Errorf("empty primary reads as %v, %v", list, err)
	}
	compareWithCreaterepo(t, nil)
}

// TestSummary shows that the recorded values alone lead back to repomd.xml.
func TestSummary(t *testing.T) {
	m := testMetadata(t, 3)
	parsed, err := ParseRepomd(m.Repomd)
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.Summary(3, m.Repomd); got != m.Summary {
		t.Errorf("summary %+v, want %+v", got, m.Summary)
	}
	again, err := m.Summary.RebuildRepomd()
	if err != nil || !bytes.Equal(again, m.Repomd) {
		t.Errorf("rebuilt repomd.xml differs: %v\n%s", err, again)
	}
	for what, change := range map[string]func(s *Summary){
		"revision": func(s *Summary) { s.Revision++ },
		"size":     func(s *Summary) { s.Other.Size++ },
		"digest":   func(s *Summary) { s.Repomd.SHA256 = s.Primary.SHA256 },
		"format":   func(s *Summary) { s.Format++ },
	} {
		s := m.Summary
		change(&s)
		if _, err := s.RebuildRepomd(); err == nil {
			t.Errorf("a record with another %s was accepted", what)
		}
	}
	for i, f := range m.Files {
		if f.Record != parsed.records()[i].Record || f.Name != f.SHA256+"-"+documents[i].kind+".xml.gz" || DigestOf(f.Data) != (Digest{f.SHA256, f.Size}) {
			t.Errorf("file %d: %q %+v", i, f.Name, f.Record)
		}
		b := open(t, m, i)
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != f.OpenSHA256 || int64(len(b)) != f.OpenSize {
			t.Errorf("file %d: open digest or size is wrong", i)
		}
	}
}

func TestParseRepomdRefuses(t *testing.T) {
	good := string(testMetadata(t, 1).Repomd)
	for what, bad := range map[string]string{
		"empty":           "",
		"cut off":         good[:len(good)/2],
		"behind the end":  good + "\n",
		"space":           strings.Replace(good, "<size>", "<size> ", 1),
		"another place":   strings.Replace(good, `href="repodata/`, `href="repodata/../`, 1),
		"absolute":        strings.Replace(good, `href="repodata/`, `href="http://example.org/`, 1),
		"order":           strings.Replace(strings.Replace(good, `"primary"`, `"x"`, 1), `"other"`, `"primary"`, 1),
		"extra record":    strings.Replace(good, "</repomd>", `  <data type="group"></data>`+"\n</repomd>", 1),
		"doctype":         strings.Replace(good, "?>\n", `?>`+"\n"+`<!DOCTYPE x [<!ENTITY a "b">]>`+"\n", 1),
		"timestamp":       strings.Replace(good, "<timestamp>1", "<timestamp>2", 1),
		"weak digest":     strings.Replace(good, `type="sha256"`, `type="md5"`, 1),
		"negative size":   strings.Replace(good, "<size>", "<size>-", 1),
		"large":           good + strings.Repeat(" ", maxPointer),
		"upper-case hex":  strings.ToUpper(good),
		"zero revision":   strings.ReplaceAll(good, fmt.Sprint(testRevision), "0"),
		"tags":            strings.Replace(good, "</revision>\n", "</revision>\n  <tags/>\n", 1),
		"no declaration":  strings.TrimPrefix(good, xmlHeader),
		"other namespace": strings.Replace(good, "metadata/repo", "metadata/x", 1),
	} {
		_, err := ParseRepomd([]byte(bad))
		if err == nil || what == "large" && !strings.Contains(err.Error(), "at most") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

func TestOpenGzipRefuses(t *testing.T) {
	f := testMetadata(t, 5).Files[0]
	read := func(data []byte, r Record) error {
		stream, err := OpenGzip(bytes.NewReader(data), r)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, stream)
		if n > r.OpenSize {
			t.Errorf("%d bytes came out of a record of %d", n, r.OpenSize)
		}
		return err
	}
	if err := read(f.Data, f.Record); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(r *Record){
		"open size less": func(r *Record) { r.OpenSize-- },
		"open size more": func(r *Record) { r.OpenSize++ },
		"open size zero": func(r *Record) { r.OpenSize = 0 },
		"size less":      func(r *Record) { r.Size-- },
		"size more":      func(r *Record) { r.Size++ },
		"open digest":    func(r *Record) { r.OpenSHA256 = r.SHA256 },
		"digest":         func(r *Record) { r.SHA256 = r.OpenSHA256 },
	} {
		r := f.Record
		change(&r)
		if read(f.Data, r) == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	for what, data := range map[string][]byte{
		"byte behind":   append(slices.Clone(f.Data), 0),
		"second member": append(slices.Clone(f.Data), f.Data...),
		"empty":         nil,
	} {
		if read(data, f.Record) == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	for what, behind := range map[string][]byte{"a byte": {0}, "a member": f.Data} {
		data := append(slices.Clone(f.Data), behind...)
		r, d := f.Record, DigestOf(data)
		r.SHA256, r.Size = d.SHA256, d.Size
		if read(data, r) == nil {
			t.Errorf("%s behind the end, with a record that covers it: accepted", what)
		}
	}
	for i := range f.Data {
		bad := slices.Clone(f.Data)
		bad[i] ^= 1 << (i % 8)
		if read(bad, f.Record) == nil {
			t.Errorf("byte %d flipped: accepted", i)
		}
		if read(f.Data[:i], f.Record) == nil {
			t.Errorf("cut to %d bytes: accepted", i)
		}
	}
}
