package audit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"colophon/logs"
	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/pack"
	"colophon/pack/openpgp"
	"colophon/pack/rpm"
	"colophon/publish/audit"
)

// TestMain lets garbage lie longer: a thousand audits of a small tree make little
// else, and the race detector pays for every page that is given back.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

// tree is a public tree in memory.
type tree map[string][]byte

func (m tree) Open(_ context.Context, key string) (io.ReadCloser, error) {
	data, ok := m[key]
	if !ok {
		return nil, fmt.Errorf("open %q: %w", key, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (m tree) List(_ context.Context, each func(string, int64) error) error {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if err := each(key, int64(len(m[key]))); err != nil {
			return err
		}
	}
	return nil
}

// made is a package with what lies beside it.
type made struct {
	pkg       ledger.Package
	files     tree
	headers   *rpm.Package
	fragments rpmmd.Fragment
}

var (
	keyTime  = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	packTime = "2026-01-02T03:04:05Z"
	start    = time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)
)

func newKey(name string) *openpgp.Key {
	k, err := openpgp.Generate(rand.Reader, name, keyTime)
	if err != nil {
		panic(err)
	}
	return k
}

// The keys and packages of all tests, made once.
var fixture = sync.OnceValue(func() (f struct {
	packageKey, metadataKey, evilKey *openpgp.Key
	ledger                           note.Signer
	vkey                             string
	a1, a2, b1, c1                   made
}) {
	f.packageKey, f.metadataKey, f.evilKey = newKey("packages"), newKey("metadata"), newKey("evil")
	skey, vkey, err := ledger.GenerateKey(rand.Reader, "example.org/pub/ledger")
	if err != nil {
		panic(err)
	}
	f.vkey = vkey
	if f.ledger, err = ledger.ParseSigner(skey); err != nil {
		panic(err)
	}
	f.a1 = makePackage("a", "1", true, f.packageKey)
	f.a2 = makePackage("a", "2", true, f.packageKey)
	f.b1 = makePackage("b", "1", false, f.packageKey)
	f.c1 = makePackage("c", "1", true, f.packageKey) // never published honestly
	return f
})

// makePackage packs a tiny template, as a publisher does.
func makePackage(name, release string, log bool, key *openpgp.Key) made {
	return makeSeeded("", name, release, log, key)
}

// makeSeeded does so with another image.
func makeSeeded(seed, name, release string, log bool, key *openpgp.Key) made {
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	dir, err := os.MkdirTemp("", "audit")
	check(err)
	defer os.RemoveAll(dir)
	random := mathrand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", seed+name+release))))
	image := make([]byte, 40_000)
	_, err = random.Read(image[:9_000])
	check(err)
	logLine := "log: build.log"
	if !log {
		logLine = "log: {none: built before logs were kept}"
	}
	definition := fmt.Sprintf(`name: %s
version: "4.3"
release: "%s"
date: %s
summary: A template for tests
description: Some text.
license: GPL-3.0-or-later
url: https://example.org/
image: root.img
files: [template.conf]
%s
repository: templates
`, name, release, packTime, logLine)
	for file, data := range map[string]string{
		"root.img": string(image), "template.conf": "virt-mode=pvh\n", "template.yaml": definition,
	} {
		check(os.WriteFile(filepath.Join(dir, file), []byte(data), 0o600))
	}
	d, err := pack.LoadDefinition(filepath.Join(dir, "template.yaml"))
	check(err)
	out, err := os.Create(filepath.Join(dir, "out.rpm"))
	check(err)
	defer out.Close()
	r, err := pack.Pack(context.Background(), d, out, pack.Options{
		Sign: func(_ context.Context, header []byte, at time.Time) ([]byte, error) { return key.Sign(header, at) },
	})
	check(err)
	data, err := os.ReadFile(out.Name())
	check(err)
	m := made{pkg: ledger.Package{
		ContentID: r.Digests.Content, Header: r.Digests.Header, NEVRA: r.NEVRA.String(), Path: r.NEVRA.Path(),
		SHA256: r.Digests.File, Signer: key.Fingerprint(), Size: r.Digests.Size,
	}, headers: r.Package}
	m.files = tree{m.pkg.Path: data}
	record := logs.Record{
		FileName: r.NEVRA.FileName(), SHA256: r.Digests.File, ContentID: r.Digests.Content,
		Definition: logs.Definition{
			Name: d.Name, Version: d.Version, Release: d.Release, Date: packTime, Summary: d.Summary,
			Description: d.Description, License: d.License, URL: d.URL, Repository: d.Repository, Compression: "zstd",
		},
		DefinitionSHA256: d.Digest(),
		Image:            logs.Image{SparseSHA256: r.TarDigest, Size: r.ImageBytes, Data: r.DataBytes},
		Files:            []logs.File{{Name: "template.conf", SHA256: r.SideFiles[0].SHA256()}},
		ContainerFormat:  1,
		Codec:            logs.Codec{ID: r.Codec.ID(), Module: r.Codec.Module, Version: r.Codec.Version, Level: r.Codec.Level},
		Frames:           logs.Frames{Min: 1, Average: 2, Max: 3, Block: 4096, Hash: "crc32c"},
		SourceDateEpoch:  r.Date.Unix(),
		Tool:             "0.1.0",
	}
	if log {
		l, err := logs.ReadLog(strings.NewReader("building "+name+"\nrelease "+release+"\ndone\n"), 0)
		check(err)
		record.Log = &l.LogDigests
		m.pkg.Log = &ledger.Log{
			OpenSHA256: l.Open.SHA256, OpenSize: l.Open.Size, SHA256: l.Compressed.SHA256, Size: l.Compressed.Size,
		}
		m.files[m.pkg.Path+logs.LogSuffix] = l.Data
	} else {
		m.pkg.NoLog = "built before logs were kept"
		record.NoLog = m.pkg.NoLog
	}
	m.setRecord(record)
	m.fragments, err = rpmmd.NewFragment(rpmmd.Input{Package: r.Package, SHA256: r.Digests.File, Size: r.Digests.Size})
	check(err)
	return m
}

func (m *made) setRecord(r logs.Record) {
	data, err := logs.EncodeRecord(r)
	if err != nil {
		panic(err)
	}
	m.files[m.pkg.Path+logs.RecordSuffix] = data
	m.pkg.Record = ledger.Digest(rpmmd.DigestOf(data))
}

const site = "https://example.org/pub"

// release is what one publish does to one repository.
type release struct {
	repository string
	add        []made
	remove     []ledger.Removal

	// entry changes what the ledger will say, metadata what will be signed.
	entry    func(*ledger.Entry)
	metadata func(set map[string]made)
	pack     func(*rpmmd.Metadata) // packs it in another way
}

// failer is what a publisher needs of a test; an Example has none.
type failer interface {
	Helper()
	Fatal(...any)
	Context() context.Context
}

type inExample struct{}

func (inExample) Helper()                  {}
func (inExample) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (inExample) Context() context.Context { return context.Background() }

// publisher writes a tree in the order of a publish.
type publisher struct {
	t      failer
	tree   tree
	writes []string // keys, in the order written
	states []tree   // the tree after each of them
	trace  bool

	checkpoint ledger.Checkpoint
	signed     []byte
	entries    []ledger.Entry
	sets       map[string]map[string]made
	extra      []*openpgp.Key // more keys in the .repo files
}

func newPublisher(t failer) *publisher {
	p := &publisher{
		t: t, tree: tree{}, checkpoint: ledger.EmptyTree("example.org/pub/ledger"), sets: map[string]map[string]made{},
	}
	p.write(ledger.VKeyKey, []byte(fixture().vkey+"\n"))
	return p
}

func (p *publisher) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *publisher) write(key string, data []byte) {
	if string(p.tree[key]) == string(data) {
		return
	}
	p.tree[key] = data
	p.writes = append(p.writes, key)
	if p.trace {
		p.states = append(p.states, maps.Clone(p.tree))
	}
}

func (p *publisher) ReadFile(_ context.Context, key string) ([]byte, error) {
	if data, ok := p.tree[key]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

// publish is one publish run.
func (p *publisher) publish(at time.Time, releases ...release) {
	p.t.Helper()
	var built []rpmmd.Metadata
	var entries []ledger.Entry
	for _, r := range releases {
		e, m := p.prepare(at, r)
		entries, built = append(entries, e), append(built, m)
		for _, a := range r.add {
			for _, key := range slices.Sorted(maps.Keys(a.files)) {
				p.write(key, a.files[key])
			}
		}
	}
	p.commit(entries)
	for _, e := range entries {
		for _, a := range e.Added {
			p.prove(e, a)
		}
	}
	p.write(ledger.CheckpointKey, p.signed)
	for i, e := range entries {
		p.snapshot(e, built[i])
	}
	p.settings()
	for i, e := range entries {
		p.head(e, built[i])
	}
	p.write("index.html", []byte(fmt.Sprintf("<p>%d entries", p.checkpoint.Size)))
}

func (p *publisher) last(repository string) (last ledger.Entry, ok bool) {
	for _, e := range p.entries {
		if e.Repository == repository {
			last, ok = e, true
		}
	}
	return last, ok
}

func (p *publisher) prepare(at time.Time, r release) (ledger.Entry, rpmmd.Metadata) {
	set := maps.Clone(p.sets[r.repository])
	if set == nil {
		set = map[string]made{}
	}
	e := ledger.Entry{
		Added: []ledger.Package{}, Kind: ledger.KindPublish, Removed: []ledger.Removal{}, Repository: r.repository, Serial: 1,
		Signer: fixture().metadataKey.Fingerprint(), Time: at, Tool: ledger.Tool{Name: "colophon", Version: "0.1.0"}, Version: 1,
	}
	if last, ok := p.last(r.repository); ok {
		e.Serial, e.Previous = last.Serial+1, &last.Next
	}
	for _, x := range r.remove {
		e.Removed = append(e.Removed, x)
		delete(set, x.NEVRA)
	}
	for _, m := range r.add {
		e.Added = append(e.Added, m.pkg)
		set[m.pkg.NEVRA] = m
	}
	slices.SortFunc(e.Added, func(a, b ledger.Package) int { return strings.Compare(a.NEVRA, b.NEVRA) })
	p.sets[r.repository] = set
	listed := maps.Clone(set)
	if r.metadata != nil {
		r.metadata(listed)
	}
	m := build(p.t, listed, at)
	if r.pack != nil {
		r.pack(&m)
	}
	e.Next = audit.StateOf(m.Summary)
	if r.entry != nil {
		r.entry(&e)
	}
	return e, m
}

func build(t failer, set map[string]made, at time.Time) rpmmd.Metadata {
	t.Helper()
	var fragments []rpmmd.Fragment
	for _, m := range set {
		fragments = append(fragments, m.fragments)
	}
	m, err := rpmmd.Build(fragments, at.Unix())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// commit appends entries and leaves everything but the checkpoint in the tree.
func (p *publisher) commit(entries []ledger.Entry) {
	p.t.Helper()
	var raw [][]byte
	for _, e := range entries {
		b, err := ledger.Encode(e)
		p.check(err)
		raw = append(raw, b)
	}
	p.append(raw)
	p.entries = append(p.entries, entries...)
}

func (p *publisher) append(raw [][]byte) {
	p.t.Helper()
	grown, err := ledger.Extend(p.t.Context(), p, p.checkpoint, raw)
	p.check(err)
	text, err := ledger.CheckpointText(grown.Checkpoint)
	p.check(err)
	bundle, err := ledger.EncodeBundle(raw)
	p.check(err)
	p.write(ledger.StagingKey(text), bundle)
	p.signed, err = ledger.Sign(text, fixture().ledger)
	p.check(err)
	p.write(ledger.CommitKey, p.signed)
	for _, o := range grown.Objects {
		p.write(o.Key, o.Data)
	}
	p.checkpoint = grown.Checkpoint
}

func (p *publisher) index(e ledger.Entry) int64 {
	return int64(slices.IndexFunc(p.entries, func(f ledger.Entry) bool {
		return f.Repository == e.Repository && f.Serial == e.Serial
	}))
}

func (p *publisher) prove(e ledger.Entry, a ledger.Package) {
	p.t.Helper()
	key := a.Path + ".tlog-proof"
	if _, ok := p.tree[key]; ok {
		return
	}
	hashes, err := ledger.ProveInclusion(p.t.Context(), p, p.checkpoint, p.index(e))
	p.check(err)
	p.write(key, ledger.Proof{Index: p.index(e), Hashes: hashes, Checkpoint: p.signed}.Encode())
}

func folder(e ledger.Entry) string { return fmt.Sprintf("%s/%06d/repodata/", e.Repository, e.Serial) }

func (p *publisher) snapshot(e ledger.Entry, m rpmmd.Metadata) {
	p.t.Helper()
	p.writeSnapshot(folder(e), m, fixture().metadataKey, e.Time)
}

func (p *publisher) writeSnapshot(folder string, m rpmmd.Metadata, key *openpgp.Key, at time.Time) {
	p.t.Helper()
	signature, err := key.Sign(m.Repomd, at)
	p.check(err)
	for _, f := range m.Files {
		p.write(folder+f.Name, f.Data)
	}
	p.write(folder+"repomd.xml.key", key.Public())
	p.write(folder+"repomd.xml.asc", openpgp.Armor(signature))
	p.write(folder+"repomd.xml", m.Repomd)
}

func keyPath(k *openpgp.Key) string { return "keys/" + k.Fingerprint() + ".asc" }

func (p *publisher) settings() {
	p.t.Helper()
	policy, err := ledger.PolicyText(fixture().vkey)
	p.check(err)
	p.write(ledger.PolicyKey, []byte(policy))
	keys := append([]*openpgp.Key{fixture().packageKey, fixture().metadataKey}, p.extra...)
	var addresses []string
	for _, k := range keys {
		p.write(keyPath(k), k.Public())
		addresses = append(addresses, site+"/"+keyPath(k))
	}
	for _, name := range slices.Sorted(maps.Keys(p.sets)) {
		last, _ := p.last(name)
		text, err := rpmmd.ClientConfig{
			Repository: name, Name: "Tests - " + name, Site: site, Serial: int(last.Serial), Keys: addresses,
		}.Marshal()
		p.check(err)
		p.write(name+"/"+name+".repo", text)
	}
}

func metalink(t failer, e ledger.Entry) []byte {
	t.Helper()
	data, err := rpmmd.Metalink{
		Revision: e.Next.Revision, Repomd: rpmmd.Digest(e.Next.Repomd), URLs: []string{site + "/" + folder(e) + "repomd.xml"},
	}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// head makes a snapshot live.
func (p *publisher) head(e ledger.Entry, m rpmmd.Metadata) {
	p.t.Helper()
	p.write(e.Repository+"/metalink", metalink(p.t, e))
	latest := e.Repository + "/latest/repodata/"
	for _, f := range m.Files {
		p.write(latest+f.Name, f.Data)
	}
	for _, name := range []string{"repomd.xml.key", "repomd.xml.asc", "repomd.xml"} {
		p.write(latest+name, p.tree[folder(e)+name])
	}
}

// standard is two releases in one repository, the second together with the
// first of another one, which shares a package.
func standard(t failer) *publisher {
	f := fixture()
	p := newPublisher(t)
	p.publish(start, release{repository: "templates", add: []made{f.a1}})
	p.publish(start.Add(time.Hour),
		release{repository: "templates", add: []made{f.a2}},
		release{repository: "testing", add: []made{f.a2, f.b1}})
	return p
}

// soon is within the grace time of the last publish of standard, later is not.
var (
	soon  = start.Add(time.Hour + time.Minute)
	later = start.Add(24 * time.Hour)
)

func run(t testing.TB, r audit.Reader, now time.Time) *audit.Report {
	t.Helper()
	report, err := audit.Tree(t.Context(), r, audit.Options{VKey: fixture().vkey, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// wantClean wants no discrepancy, and the given words in the notices.
func wantClean(t testing.TB, r *audit.Report, notices ...string) {
	t.Helper()
	for _, f := range r.Discrepancies {
		t.Errorf("discrepancy: %s", f)
	}
	wantAll(t, "notice", r.Notices, notices)
}

// wantWrong wants these discrepancies and no others; each is "key: words".
func wantWrong(t testing.TB, r *audit.Report, want ...string) {
	t.Helper()
	if len(r.Discrepancies) == 0 {
		t.Error("no discrepancy")
	}
	wantAll(t, "discrepancy", r.Discrepancies, want)
}

func wantAll(t testing.TB, what string, found []audit.Finding, want []string) {
	t.Helper()
	rest := slices.Clone(want)
	for _, f := range found {
		i := slices.IndexFunc(rest, func(w string) bool {
			key, text, _ := strings.Cut(w, ": ")
			return strings.HasSuffix(f.Key, key) && strings.Contains(f.Text, text)
		})
		if i < 0 {
			t.Errorf("unexpected %s: %s", what, f)
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	for _, w := range rest {
		t.Errorf("no %s like %q", what, w)
	}
}
