package sign

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"colophon/logs/ledger"
	"colophon/mirror/disk"
	"colophon/mirror/rpmmd"
	"colophon/pack/openpgp"
	"colophon/pack/rpm"
	"colophon/publish/audit"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := Folder{Path: filepath.Join(t.TempDir(), "keys"), Generate: true, Name: "Test", Origin: "example.org/ledger"}.Load(rand.Reader, disk.Disk{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestGeneratedKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	folder := Folder{Path: dir, Generate: true, Name: "Test", Origin: "example.org/ledger"}
	k, err := folder.Load(rand.Reader, disk.Disk{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.key", "metadata.key", "ledger.key"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if err := k.PackageKey.Usable(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Error(err)
	}
	folder.Generate = false
	again, err := folder.Load(nil, disk.Disk{})
	if err != nil {
		t.Fatal(err)
	}
	if again.VKey != k.VKey || again.PackageKey.Fingerprint() != k.PackageKey.Fingerprint() || k.PackageKey.Fingerprint() == k.MetadataKey.Fingerprint() {
		t.Error("loaded keys are others than those that were made")
	}
	public, err := os.ReadFile(k.VKeyFile)
	if err != nil || string(public) != k.VKey+"\n" || k.Verifier.Name() != "example.org/ledger" {
		t.Errorf("public key %q, %v", public, err)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"missing":    {func(t *testing.T, dir string) { remove(t, dir, "metadata.key") }, "does not exist"},
		"open":       {func(t *testing.T, dir string) { chmod(t, dir, "package.key", 0o644) }, "can be read by others"},
		"rubbish":    {func(t *testing.T, dir string) { write(t, dir, "package.key", "rubbish") }, "cannot be used"},
		"public":     {func(t *testing.T, dir string) { write(t, dir, "package.key", string(testKeys(t).PackageKey.Public())) }, "no usable private part"},
		"bad ledger": {func(t *testing.T, dir string) { write(t, dir, "ledger.key", "rubbish") }, "not a secret ledger key"},
		"a folder":   {func(t *testing.T, dir string) { remove(t, dir, "ledger.key"); mkdir(t, dir, "ledger.key") }, "not a key file"},
	} {
		dir := filepath.Dir(testKeys(t).VKeyFile)
		c.spoil(t, dir)
		_, err := Folder{Path: dir}.Load(rand.Reader, disk.Disk{})
		k, ok := err.(*KeyError)
		if !ok || !strings.Contains(err.Error(), c.want) || k.Hint() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	write(t, dir, "package.key", "rubbish")
	if _, err := (Folder{Path: dir, Generate: true, Name: "x", Origin: "x"}).Load(rand.Reader, disk.Disk{}); err == nil {
		t.Error("a key that cannot be read was replaced")
	}
}

func remove(t *testing.T, dir, name string) { check(t, os.Remove(filepath.Join(dir, name))) }
func mkdir(t *testing.T, dir, name string)  { check(t, os.Mkdir(filepath.Join(dir, name), 0o700)) }
func chmod(t *testing.T, dir, name string, mode os.FileMode) {
	check(t, os.Chmod(filepath.Join(dir, name), mode))
}
func write(t *testing.T, dir, name, text string) {
	check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// memory is a ledger in memory.
type memory map[string][]byte

func (m memory) ReadFile(_ context.Context, key string) ([]byte, error) {
	if data, ok := m[key]; ok {
		return data, nil
	}
	return nil, os.ErrNotExist
}

// fragment is the metadata of a made-up package.
func fragment(t testing.TB, name string) (rpmmd.Fragment, ledger.Package) {
	t.Helper()
	h := &rpm.Header{}
	h.SetString(rpm.Name, name)
	h.SetString(rpm.Version, "1")
	h.SetString(rpm.Release, "1")
	h.SetString(rpm.Arch, "noarch")
	h.SetString(rpm.SourceRPM, "x.src.rpm")
	digest := rpmmd.DigestOf(bytes.Repeat([]byte(name), 4096))
	f, err := rpmmd.NewFragment(rpmmd.Input{
		Package: &rpm.Package{Header: h, Signature: &rpm.Header{}, RawHeader: h.Marshal(rpm.Region)}, SHA256: digest.SHA256, Size: digest.Size,
	})
	if err != nil {
		t.Fatal(err)
	}
	n := h.NEVRA()
	return f, ledger.Package{
		ContentID: digest.SHA256, Header: digest.SHA256, NEVRA: n.String(), NoLog: "test", Path: n.Path(),
		Record: ledger.Digest(digest), SHA256: digest.SHA256, Signer: strings.Repeat("A", 40), Size: digest.Size,
	}
}

// snapshotOf makes metadata of packages by name.
func snapshotOf(t testing.TB, revision int64, names ...string) (audit.Snapshot, ledger.State, []ledger.Package) {
	t.Helper()
	var fragments []rpmmd.Fragment
	var packages []ledger.Package
	for _, name := range names {
		f, p := fragment(t, name)
		fragments, packages = append(fragments, f), append(packages, p)
	}
	m, err := rpmmd.Build(fragments, revision)
	if err != nil {
		t.Fatal(err)
	}
	return audit.Snapshot{Repomd: m.Repomd, Primary: m.Files[0].Data}, audit.StateOf(m.Summary), packages
}

// request is what a publisher with these keys asks for: package b is added to a.
// alter changes the entry before it is logged.
func request(t testing.TB, k *Keys, alter func(e *ledger.Entry)) Request {
	t.Helper()
	before, previous, _ := snapshotOf(t, noon.Unix()-10, "a")
	after, next, packages := snapshotOf(t, noon.Unix(), "a", "b")
	e := ledger.Entry{
		Added: packages[1:], Kind: ledger.KindPublish, Next: next, Previous: &previous, Removed: []ledger.Removal{},
		Repository: "r", Serial: 2, Signer: k.MetadataKey.Fingerprint(), Time: noon,
		Tool: ledger.Tool{Name: "colophon", Version: "0"}, Version: ledger.EntryVersion,
	}
	if alter != nil {
		alter(&e)
	}
	raw, err := ledger.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return Request{Entry: raw, Proof: proofOf(t, k.Ledger, raw), Next: after, Previous: &before}
}

func proofOf(t testing.TB, signer note.Signer, raw []byte) []byte {
	t.Helper()
	files := memory{}
	tree, err := ledger.Extend(context.Background(), files, ledger.EmptyTree(signer.Name()), [][]byte{[]byte("first"), raw})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range tree.Objects {
		files[o.Key] = o.Data
	}
	text, err := ledger.CheckpointText(tree.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := ledger.Sign(text, signer)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := ledger.ProveInclusion(context.Background(), files, tree.Checkpoint, 1)
	if err != nil {
		t.Fatal(err)
	}
	return ledger.Proof{Index: 1, Hashes: hashes, Checkpoint: signed}.Encode()
}

func TestGateSigns(t *testing.T) {
	k := testKeys(t)
	r := request(t, k, nil)
	signature, err := k.Metadata(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openpgp.Keyring{k.MetadataKey}.Verify(r.Next.Repomd, signature, noon)
	if err != nil || !got.Created.Equal(noon) {
		t.Errorf("%+v, %v", got, err)
	}
	if again, err := k.Metadata(t.Context(), r); err != nil || string(again) != string(signature) {
		t.Errorf("asked again it answers otherwise: %v", err)
	}
}

// Everything that must not be signed, each refused with its own reason.
func TestGateRefuses(t *testing.T) {
	k, stranger := testKeys(t), testKeys(t)
	good := request(t, k, nil)
	other, _, _ := snapshotOf(t, noon.Unix(), "a", "c")
	hidden, hiddenState, _ := snapshotOf(t, noon.Unix(), "a", "b", "evil")
	swapped, swappedState, _ := snapshotOf(t, noon.Unix(), "b", "c")
	for name, c := range map[string]struct {
		make func() Request
		want string
	}{
		"no proof":         {func() Request { r := good; r.Proof = nil; return r }, "inclusion proof"},
		"forged proof":     {func() Request { r := good; r.Proof = proofOf(t, k.Ledger, []byte("other")); return r }, "inclusion proof"},
		"another's ledger": {func() Request { r := good; r.Proof = proofOf(t, stranger.Ledger, r.Entry); return r }, "inclusion proof"},
		"no entry":         {func() Request { return Request{Entry: []byte("{}"), Proof: proofOf(t, k.Ledger, []byte("{}"))} }, "entry"},
		"other metadata":   {func() Request { r := good; r.Next = other; return r }, "new snapshot: repomd.xml: has"},
		"other primary":    {func() Request { r := good; r.Next.Primary = other.Primary; return r }, "new snapshot: primary"},
		"no previous":      {func() Request { r := good; r.Previous = nil; return r }, "disagree"},
		"other previous":   {func() Request { r := good; r.Previous = &other; return r }, "previous snapshot: repomd.xml: has"},
		"another's key":    {func() Request { return request(t, k, func(e *ledger.Entry) { e.Signer = strings.Repeat("B", 40) }) }, "entry names the key BBBB"},
		"substituted": {func() Request {
			return request(t, k, func(e *ledger.Entry) { e.Added[0].SHA256 = strings.Repeat("0", 64) })
		}, "has the digest"},
		"hidden addition": {func() Request {
			r := request(t, k, func(e *ledger.Entry) { e.Next = hiddenState; addMore(e) })
			r.Next = hidden
			return r
		}, "evil-1-1.noarch was added, which the entry does not say"},
		"hidden removal": {func() Request {
			r := request(t, k, func(e *ledger.Entry) { e.Next = swappedState })
			r.Next = swapped
			return r
		}, "a-1-1.noarch was removed, which the entry does not say"},
	} {
		signature, err := k.Metadata(t.Context(), c.make())
		if err == nil || signature != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// addMore makes the entry's count fit, with a package that is not in the metadata.
func addMore(e *ledger.Entry) {
	p := e.Added[0]
	p.NEVRA, p.Path = "z-1-1.noarch", "packages/z/z-1-1.noarch.rpm"
	e.Added = append(e.Added, p)
}

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	keys, err := Folder{Path: dir, Generate: true, Name: "Example", Origin: "example.org/ledger"}.Load(rand.Reader, disk.Disk{})
	if err != nil {
		panic(err)
	}
	_, err = keys.Metadata(context.Background(), Request{})
	fmt.Println(err != nil)
	// Output: true
}
