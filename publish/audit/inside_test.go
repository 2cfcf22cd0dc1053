package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

func newTestKey(t testing.TB) *openpgp.Key {
	k, err := openpgp.Generate(rand.Reader, "test", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// one is a tree of one object.
type one struct {
	key  string
	data []byte
}

func (o one) Open(_ context.Context, key string) (io.ReadCloser, error) {
	if key != o.key {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(o.data)), nil
}

// Nothing but their own form speaks for keys and signatures, so every bit of
// them has to matter.
func TestEveryBitOfKeysAndSignatures(t *testing.T) {
	k := newTestKey(t)
	signature, err := k.Sign([]byte("text"), time.Unix(1.6e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	data := openpgp.Armor(signature)
	accepted := func(data []byte) bool {
		_, err := openpgp.Keyring{k}.Verify([]byte("text"), data, time.Unix(1.7e9, 0))
		return err == nil && checkArmor(data) == nil
	}
	if !accepted(data) {
		t.Fatal("a signature is refused")
	}
	if accepted(signature) {
		t.Error("a binary signature is accepted")
	}
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			if accepted(data) {
				t.Errorf("bit %d of byte %d of a signature does not matter", bit, i)
			}
			data[i] ^= 1 << bit
		}
	}

	name := keyKey(k.Fingerprint())
	read := func(data []byte) error {
		a := &auditor{source: &source{reader: one{name, data}, named: map[string]bool{}}}
		_, err := a.readKey(t.Context(), name, k.Fingerprint())
		return err
	}
	data = k.Public()
	if err := read(data); err != nil {
		t.Fatal(err)
	}
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			if read(data) == nil {
				t.Errorf("bit %d of byte %d of a key does not matter", bit, i)
			}
			data[i] ^= 1 << bit
		}
	}
}

func testClient(t testing.TB) []byte {
	data, err := rpmmd.ClientConfig{
		Repository: "templates", Name: "Tests", Site: "https://example.org/pub", Serial: 17,
		Keys: []string{"https://example.org/pub/keys/A.asc", "https://example.org/pub/keys/B.asc"},
	}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseClient(t *testing.T) {
	data := testClient(t)
	c, err := parseClient("templates", data)
	if err != nil || c.Site != "https://example.org/pub" || c.Serial != 17 || len(c.Keys) != 2 || c.Name != "Tests" {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, x := range [][2]string{
		{"gpgcheck=1", "gpgcheck=0"}, {"repo_gpgcheck=1", "repo_gpgcheck=0"}, {"skip_if_unavailable=0", "skip_if_unavailable=1"},
		{"gpgcheck=1\n", ""}, {"enabled=1", "enabled=1\nsslverify=0"}, {"\ngpgkey", "\n gpgkey"}, {"templates", "testing"},
		{"#baseurl=https://example.org/pub/templates/latest/", "baseurl=https://example.net/"}, {"name=Tests", "name=Tests\nname=More"},
	} {
		if _, err := parseClient("templates", bytes.Replace(data, []byte(x[0]), []byte(x[1]), 1)); err == nil {
			t.Errorf("%q instead of %q is accepted", x[1], x[0])
		}
	}
}

func FuzzParseClient(f *testing.F) {
	f.Add(testClient(f))
	f.Add([]byte("gpgkey=\n a\n b\n#baseurl=/\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseClient("templates", data)
		if err != nil {
			return
		}
		if again, err := c.Marshal(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q is read as %+v", data, c)
		}
		for _, want := range []string{"\ngpgcheck=1\n", "\nrepo_gpgcheck=1\n", "\nskip_if_unavailable=0\n"} {
			if !strings.Contains(string(data), want) {
				t.Errorf("%q is accepted without %q", data, want)
			}
		}
	})
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":        "plain",
		"a\nb\x1b[31m": "a;b\ufffd[31m",
		"\u202e":       "\ufffd",
		"\xff":         "\ufffd",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
	if got := clean(strings.Repeat("ü", 5000)); len(got) > maxText+3 || !strings.HasSuffix(got, "ü...") {
		t.Errorf("a long text becomes %d bytes", len(got))
	}
}

// A report has an end, and says so.
func TestManyFindings(t *testing.T) {
	a := &auditor{source: &source{}, report: &Report{}}
	for i := range maxFindings + 5 {
		a.wrong("x", "%d", i)
		a.notice("x", "%d", i)
	}
	r := a.finish()
	if len(r.Discrepancies) != maxFindings+1 || r.Discrepancies[maxFindings].Text != "10 more findings are not shown" || len(r.Notices) != maxFindings {
		t.Errorf("%d, %d: %s", len(r.Discrepancies), len(r.Notices), r.Discrepancies[len(r.Discrepancies)-1])
	}
}

func TestSuperseded(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	for key, want := range map[string]bool{
		"ledger/staging/" + hex: true, "ledger/staging/x": false,
		"ledger/tile/0/000.p/3": true, "ledger/tile/entries/x001/000.p/3": true, "ledger/tile/0/001": false, "ledger/tile/0/000.p/3/x": false,
		"templates/latest/repodata/" + hex + "-primary.xml.gz": true, "templates/latest/repodata/primary.xml.gz": false,
		"templates/000001/repodata/" + hex + "-primary.xml.gz": false, "templates/000001/repodata/x.xml": false,
		"index.html": true, "assets/audit.wasm": true, "templates/index.html": true, "packages/x.html": false, "keys/x.txt": false,
		"ledger/x.json": false, "templates/x.rpm": false,
	} {
		if superseded(key) != want {
			t.Errorf("%q: %v", key, !want)
		}
	}
}

func info(name, digest string) rpmmd.PackageInfo {
	n, err := rpm.ParseNEVRA(name)
	if err != nil {
		panic(err)
	}
	return rpmmd.PackageInfo{NEVRA: n, SHA256: strings.Repeat(digest, 64), Size: 100}
}

func TestTransition(t *testing.T) {
	a, b, c := info("a-1-1.noarch", "a"), info("b-1-1.noarch", "b"), info("c-1-1.noarch", "c")
	other := b
	other.SHA256, other.Size = strings.Repeat("d", 64), 99
	add := func(p rpmmd.PackageInfo) ledger.Package {
		return ledger.Package{NEVRA: p.NEVRA.String(), SHA256: p.SHA256, Size: p.Size}
	}
	remove := func(p rpmmd.PackageInfo) ledger.Removal {
		return ledger.Removal{NEVRA: p.NEVRA.String(), SHA256: p.SHA256}
	}
	for name, x := range map[string]struct {
		added    []ledger.Package
		removed  []ledger.Removal
		old, new []rpmmd.PackageInfo
		want     []string
	}{
		"nothing":          {},
		"as said":          {[]ledger.Package{add(c)}, []ledger.Removal{remove(a)}, []rpmmd.PackageInfo{a, b}, []rpmmd.PackageInfo{b, c}, nil},
		"unsaid":           {nil, nil, []rpmmd.PackageInfo{a, b}, []rpmmd.PackageInfo{b, c}, []string{"c-1-1.noarch was added, which", "a-1-1.noarch was removed, which"}},
		"undone":           {[]ledger.Package{add(c)}, []ledger.Removal{remove(a)}, []rpmmd.PackageInfo{a}, []rpmmd.PackageInfo{a}, []string{"the entry adds c-1-1", "the entry removes a-1-1"}},
		"another digest":   {[]ledger.Package{add(other)}, nil, nil, []rpmmd.PackageInfo{b}, []string{"b-1-1.noarch has the digest bbb"}},
		"another one left": {nil, []ledger.Removal{remove(other)}, []rpmmd.PackageInfo{b}, nil, []string{"b-1-1.noarch had the digest bbb"}},
		"changed":          {nil, nil, []rpmmd.PackageInfo{b}, []rpmmd.PackageInfo{other}, []string{"b-1-1.noarch has other metadata"}},
	} {
		got := lines(Transition(ledger.Entry{Added: x.added, Removed: x.removed}, x.old, x.new))
		if len(got) != len(x.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i, want := range x.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q, not %q", name, got[i], want)
			}
		}
	}
}

func TestSnapshotPackages(t *testing.T) {
	m, err := rpmmd.Build(nil, 1795453200)
	if err != nil {
		t.Fatal(err)
	}
	s, want := Snapshot{m.Repomd, m.Files[0].Data}, StateOf(m.Summary)
	if list, err := s.Packages(want); err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
	if summaryOf(want) != m.Summary {
		t.Error("summaryOf is not StateOf backwards")
	}
	for text, change := range map[string]func(*Snapshot, *ledger.State){
		"repomd.xml: has the sha256":                  func(s *Snapshot, _ *ledger.State) { s.Repomd = bytes.Replace(s.Repomd, []byte("17"), []byte("18"), 1) },
		"repomd.xml: has 0 bytes":                     func(s *Snapshot, _ *ledger.State) { s.Repomd = nil },
		"repomd.xml: names other files":               func(_ *Snapshot, w *ledger.State) { w.Other.Size++ },
		"repomd.xml: the ledger says metadata format": func(_ *Snapshot, w *ledger.State) { w.Format++ },
		"primary: read primary: decompress":           func(s *Snapshot, _ *ledger.State) { s.Primary = s.Primary[:10] },
		"primary: lists 0 packages":                   func(_ *Snapshot, w *ledger.State) { w.Packages++ },
		"repomd.xml: read repomd.xml": func(s *Snapshot, w *ledger.State) {
			s.Repomd = []byte("nonsense")
			w.Repomd = ledger.Digest(rpmmd.DigestOf(s.Repomd))
		},
	} {
		s, want := s, want
		change(&s, &want)
		if _, err := s.Packages(want); err == nil || !strings.HasPrefix(err.Error(), text) {
			t.Errorf("%v, not %q", err, text)
		}
	}
	want.Primary.OpenSize = maxPrimary + 1
	if _, err := readPrimary(bytes.NewReader(s.Primary), want); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a primary without bounds: %v", err)
	}
}

// Only problems may end up in the report.
func TestJudge(t *testing.T) {
	a := &auditor{source: &source{}, report: &Report{}}
	missing := &problem{"k", "missing", true}
	if a.judge(missing) != nil || a.judge(&ledger.Discrepancy{Key: "t", Problem: "odd"}) != nil || len(a.report.Discrepancies) != 2 {
		t.Errorf("%v", a.report.Discrepancies)
	}
	if !errors.Is(missing, fs.ErrNotExist) || errors.Is(wrong("k", "x"), fs.ErrNotExist) {
		t.Error("missing objects and wrong ones look alike to the ledger")
	}
	down := errors.New("down")
	if err := a.judge(fmt.Errorf("read: %w", down)); !errors.Is(err, down) || !isFatal(err) || isFatal(nil) || isFatal(missing) {
		t.Error("an unreachable object is judged")
	}
}
