package rpmmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"

	"colophon/pack/rpm"
)

// encodePrimary writes what ParsePrimary reads.
func encodePrimary(t testing.TB, list []PackageInfo) []byte {
	t.Helper()
	b := []byte(documents[0].header(len(list)))
	for _, p := range list {
		var err error
		if b, err = p.appendXML(b); err != nil {
			t.Fatal(err)
		}
	}
	return append(b, documents[0].end...)
}

func TestParsePrimary(t *testing.T) {
	random := rand.New(rand.NewSource(3))
	var fragments []Fragment
	want := map[string]PackageInfo{}
	for i := range 60 {
		in := input(t, randomPackage(random, fmt.Sprintf("p%d", i)).bytes())
		f, err := NewFragment(in)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Describe(in)
		if err != nil {
			t.Fatal(err)
		}
		fragments = append(fragments, f)
		want[p.NEVRA.String()] = p
	}
	m, err := Build(fragments, testRevision)
	if err != nil {
		t.Fatal(err)
	}
	list, err := ParsePrimary(bytes.NewReader(open(t, m, 0)))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(want) {
		t.Fatalf("%d packages came back, not %d", len(list), len(want))
	}
	for _, got := range list {
		if fields := CompareFields(want[got.NEVRA.String()], got); len(fields) > 0 {
			t.Errorf("%s came back with other fields: %+v", got.NEVRA, fields)
		}
	}
}

func TestParsePrimaryRefuses(t *testing.T) {
	m := testMetadata(t, 2)
	good := string(open(t, m, 0))
	for what, bad := range map[string]string{
		"empty":           "",
		"cut off":         good[:len(good)-200],
		"no end":          strings.TrimSuffix(good, "</metadata>"),
		"another end":     strings.Replace(good, "</metadata>", "</metadatb>", 1),
		"behind the end":  good + "\n",
		"count less":      strings.Replace(good, `packages="2"`, `packages="1"`, 1),
		"count more":      strings.Replace(good, `packages="2"`, `packages="3"`, 1),
		"count padded":    strings.Replace(good, `packages="2"`, `packages="02"`, 1),
		"count huge":      strings.Replace(good, `packages="2"`, `packages="99999999"`, 1),
		"count negative":  strings.Replace(good, `packages="2"`, `packages="-2"`, 1),
		"entity bomb":     strings.Replace(good, "?>\n", "?>\n<!DOCTYPE x [<!ENTITY a \"bbbb\">]>\n", 1),
		"entity":          strings.Replace(good, "<summary>", "<summary>&a;", 1),
		"known entity":    strings.Replace(good, "<summary>", "<summary>&#65;", 1),
		"comment":         strings.Replace(good, "<summary>", "<!-- x --><summary>", 1),
		"element inside":  strings.Replace(good, "<summary>", "<summary><b/>", 1),
		"unknown element": strings.Replace(good, "<summary>", "<x/><summary>", 1),
		"second summary":  strings.Replace(good, "<summary>", "<summary></summary><summary>", 1),
		"location":        strings.Replace(good, "../../packages/p0/", "../../packages/p1/", 1),
		"base":            strings.Replace(good, "<location ", `<location xml:base="http://example.org/" `, 1),
		"upwards":         strings.Replace(good, "../../packages", "../../../packages", 1),
		"weak digest":     strings.Replace(good, `type="sha256" pkgid`, `type="sha1" pkgid`, 1),
		"digest":          strings.Replace(good, `pkgid="YES">`, `pkgid="YES">0`, 1),
		"file time":       strings.Replace(good, `<time file="1`, `<time file="2`, 1),
		"negative size":   strings.Replace(good, `<size package="`, `<size package="-`, 1),
		"negative sizes":  strings.Replace(good, `archive="`, `archive="-`, 1),
		"negative time":   strings.NewReplacer(`time file="1`, `time file="-1`, `build="1`, `build="-1`).Replace(good),
		"header range":    strings.Replace(good, `header-range start="`, `header-range start="9`, 1),
		"header too long": strings.Replace(good, ` end="`, ` end="9`, 1),
		"epoch":           strings.Replace(good, `epoch="`, `epoch="x`, 1),
		"bad name":        strings.ReplaceAll(good, "p0", "p/0"),
		"not UTF-8":       strings.Replace(good, "<summary>", "<summary>\xff", 1),
		"CR LF":           strings.ReplaceAll(good, "\n", "\r\n"),
		"twice":           strings.ReplaceAll(good, "p1", "p0"),
		"out of order":    strings.NewReplacer("p1", "p0", "p0", "p1").Replace(good),
	} {
		if bad == good {
			t.Errorf("%s: the case changes nothing", what)
		}
		if _, err := ParsePrimary(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	broken := errors.New("broken")
	if _, err := ParsePrimary(io.MultiReader(strings.NewReader(good[:500]), errorReader{broken})); !errors.Is(err, broken) {
		t.Errorf("a reader's fault came back as %v", err)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// endless is a reader of one package that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

func TestParsePrimaryIsBounded(t *testing.T) {
	var e endless
	start := documents[0].header(1) + "<package type=\"rpm\">\n  <name>"
	if _, err := ParsePrimary(io.MultiReader(strings.NewReader(start), &e)); err == nil {
		t.Error("an endless package was accepted")
	}
	if e.read > maxPackage+1<<20 {
		t.Errorf("%d bytes were read of an endless package", e.read)
	}
}

func FuzzParsePrimary(f *testing.F) {
	f.Add(open(f, testMetadata(f, 3), 0))
	f.Add(open(f, testMetadata(f, 0), 0))
	f.Add([]byte(documents[0].header(1) + "<package type=\"rpm\">\n</package>\n</metadata>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParsePrimary(bytes.NewReader(b))
		if err == nil && !bytes.Equal(encodePrimary(t, list), b) {
			t.Fatal("accepted bytes are not what the packages encode to")
		}
	})
}

// FuzzNewFragment demands that whatever headers are accepted lead to metadata
// that the parsers accept.
func FuzzNewFragment(f *testing.F) {
	random := rand.New(rand.NewSource(5))
	for i := range 5 {
		f.Add(randomPackage(random, fmt.Sprint("p", i)).bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := rpm.ReadHeaders(bytes.NewReader(b))
		if err != nil {
			return
		}
		fragment, err := NewFragment(Input{p, DigestOf(b).SHA256, int64(len(b))})
		if err != nil {
			return
		}
		m, err := Build([]Fragment{fragment}, testRevision)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParsePrimary(bytes.NewReader(open(t, m, 0))); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParseRepomd(f *testing.F) {
	f.Add(testMetadata(f, 1).Repomd)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseRepomd(b)
		if err != nil {
			return
		}
		if again, err := m.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted bytes are not what the values encode to: %v", err)
		}
	})
}

func FuzzOpenGzip(f *testing.F) {
	for i := range 3 {
		file := testMetadata(f, 2).Files[i]
		f.Add(file.Data, file.OpenSize)
	}
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		size = min(max(size, 0), 1<<20)
		packed := DigestOf(b)
		stream, err := OpenGzip(bytes.NewReader(b), Record{packed.SHA256, size, packed.SHA256, packed.Size})
		if err != nil {
			return
		}
		if n, _ := io.Copy(io.Discard, stream); n > size {
			t.Fatalf("%d bytes came out of a record of %d", n, size)
		}
	})
}
