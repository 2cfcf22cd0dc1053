package audit_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"colophon/logs"
	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/pack/openpgp"
	"colophon/pack/rpm"
	"colophon/publish/audit"
)

func TestRollback(t *testing.T) {
	p := standard(t)
	m := maps.Clone(p.tree)
	m["templates/metalink"] = metalink(t, p.entries[0])
	wantWrong(t, run(t, m, soon), "templates/metalink: was set back: it names serial 1, and latest/ shows serial 2")
	// latest/ with it: only time tells this from an interrupted publish.
	for key, data := range p.tree {
		if strings.HasPrefix(key, "templates/000001/") {
			m[strings.Replace(key, "000001", "latest", 1)] = data
		}
	}
	wantClean(t, run(t, m, soon), "templates/metalink: names serial 1; serial 2 was committed")
	wantWrong(t, run(t, m, later), "templates/metalink: names serial 1; serial 2 was committed")
}

func TestMetalinkElsewhere(t *testing.T) {
	p := standard(t)
	e := p.entries[1]
	good := rpmmd.Metalink{Revision: e.Next.Revision, Repomd: rpmmd.Digest(e.Next.Repomd), URLs: []string{site + "/templates/000002/repodata/repomd.xml"}}
	mirror := "https://mirror.example.net/x/templates/000002/repodata/repomd.xml"
	for _, c := range []struct {
		change func(*rpmmd.Metalink)
		want   []string
	}{
		{func(m *rpmmd.Metalink) { m.URLs = append(m.URLs, mirror) }, nil},
		{func(m *rpmmd.Metalink) { m.URLs = []string{mirror} }, []string{`templates.repo: is for the site "https://example.org/pub", which templates/metalink does not name`}},
		{func(m *rpmmd.Metalink) { m.URLs = append(m.URLs, strings.Replace(mirror, "2", "1", 1)) }, []string{"templates/metalink: does not end in"}},
		{func(m *rpmmd.Metalink) { m.Revision++ }, []string{"templates/metalink: has the revision"}},
		{func(m *rpmmd.Metalink) { m.Repomd.Size++ }, []string{"templates/metalink: the last snapshot is"}},
		{func(m *rpmmd.Metalink) { m.Repomd = rpmmd.DigestOf(nil); m.Repomd.Size = 1 }, []string{"templates/metalink: is in no entry of the ledger"}},
	} {
		m := good
		m.URLs = append([]string{}, good.URLs...)
		c.change(&m)
		data, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		tree := maps.Clone(p.tree)
		tree["templates/metalink"] = data
		if r := run(t, tree, later); c.want == nil {
			wantClean(t, r)
		} else {
			wantWrong(t, r, c.want...)
		}
	}
}

// hidden is validly signed metadata of serial 2 with one package more.
func hidden(t *testing.T, p *publisher) rpmmd.Metadata {
	f := fixture()
	return build(t, map[string]made{"": f.a1, "2": f.a2, "3": f.c1}, p.entries[1].Time)
}

// The metadata key was used behind the ledger's back, and the result stands where
// the logged snapshot should.
func TestHiddenPackage(t *testing.T) {
	p := standard(t)
	for key, data := range fixture().c1.files {
		p.write(key, data)
	}
	p.writeSnapshot("templates/000002/repodata/", hidden(t, p), fixture().metadataKey, p.entries[1].Time)
	wantWrong(t, run(t, p.tree, later),
		"templates/000002/repodata/repomd.xml: signed it, although it was never logged",
		"templates/000002/repodata/repomd.xml.asc: does not verify")
}

// The same for those who take latest/.
func TestHiddenPackageInLatest(t *testing.T) {
	p := standard(t)
	p.writeSnapshot("templates/latest/repodata/", hidden(t, p), fixture().metadataKey, p.entries[1].Time)
	wantWrong(t, run(t, p.tree, soon),
		"templates/latest/repodata/repomd.xml: signed it, although it was never logged",
		"templates/latest/repodata/repomd.xml.asc: is not that of serial 1 or 2")
}

func TestLatestIncomplete(t *testing.T) {
	p := standard(t)
	for _, name := range []string{"repomd.xml.asc", "repomd.xml", "repomd.xml.key"} {
		delete(p.tree, "templates/latest/repodata/"+name)
	}
	wantWrong(t, run(t, p.tree, soon),
		"templates/latest/repodata/repomd.xml: missing", "templates/latest/repodata/repomd.xml.asc: missing", "templates/latest/repodata/repomd.xml.key: missing")
}

// The same in a folder that only the victim is told of.
func TestHiddenSnapshot(t *testing.T) {
	p := standard(t)
	p.writeSnapshot("secret/000001/repodata/", hidden(t, p), fixture().metadataKey, p.entries[1].Time)
	r := run(t, p.tree, later)
	wantWrong(t, r, "secret/000001/repodata/repomd.xml: is in no entry of the ledger; the key")
	if len(r.Notices) != 6 {
		t.Errorf("%v", r.Notices)
	}
	// Signed by nobody we know, it is litter.
	p = standard(t)
	p.writeSnapshot("secret/000001/repodata/", hidden(t, p), fixture().evilKey, p.entries[1].Time)
	wantClean(t, run(t, struct{ audit.Reader }{p.tree}, later))
	if r := run(t, p.tree, later); len(r.Discrepancies) > 0 || len(r.Notices) != 6 {
		t.Errorf("%v, %v", r.Discrepancies, r.Notices)
	}
}

// The ledger key was used as well, but the entry does not say what was added.
func TestUnloggedPackage(t *testing.T) {
	f := fixture()
	p := newPublisher(t)
	p.publish(start, release{repository: "templates", add: []made{f.a1}})
	add := func(set map[string]made) { set[f.c1.pkg.NEVRA] = f.c1 }
	one := func(e *ledger.Entry) { e.Next.Packages = 2 } // Encode refuses anything else
	p.publish(start.Add(time.Hour), release{repository: "templates", add: []made{f.a2}, metadata: add, entry: one})
	wantWrong(t, run(t, p.tree, later), "-primary.xml.gz: package qubes-template-c-4.3-1.noarch was added, which the entry does not say")

	// In the place of another: the numbers are right.
	p = newPublisher(t)
	p.publish(start, release{repository: "templates", add: []made{f.a1}})
	swap := func(set map[string]made) { add(set); delete(set, f.a1.pkg.NEVRA) }
	p.publish(start.Add(time.Hour), release{repository: "templates", add: []made{f.a2}, metadata: swap})
	p.publish(start.Add(2*time.Hour), release{repository: "templates", add: []made{f.b1}, metadata: swap})
	wantWrong(t, run(t, p.tree, later),
		"-primary.xml.gz: package qubes-template-c-4.3-1.noarch was added, which the entry does not say",
		"-primary.xml.gz: package qubes-template-a-4.3-1.noarch was removed, which the entry does not say",
		// The next snapshot continues the lie: its difference is right, its set is not.
		"-primary.xml.gz: lists qubes-template-c-4.3-1.noarch, which the ledger does not",
		"-primary.xml.gz: does not list qubes-template-a-4.3-1.noarch, which the ledger does")
}

// A name that comes back with other content.
func TestReplacedPackage(t *testing.T) {
	f := fixture()
	other := makePackage("a", "1", false, f.packageKey)
	p := newPublisher(t)
	p.publish(start, release{repository: "templates", add: []made{f.a1}})
	p.publish(start.Add(time.Hour), release{repository: "testing", add: []made{other}})
	r := run(t, p.tree, later)
	if len(r.Discrepancies) == 0 || !strings.Contains(r.Discrepancies[0].String(), "ledger/tile/entries: entry 1 (testing, serial 1): added qubes-template-a-4.3-1.noarch was published before with") {
		t.Errorf("%v", r.Discrepancies)
	}
}

func TestWithheldEntry(t *testing.T) {
	p := second(t)
	m := maps.Clone(p.tree)
	before := p.state("latest/repodata/repomd.xml") // any of the second publish
	old := newPublisher(t)
	old.publish(start, release{repository: "templates", add: []made{fixture().a1}})
	m[ledger.CheckpointKey], m[ledger.CommitKey] = old.signed, old.signed
	m["ledger/tile/0/000.p/1"], m["ledger/tile/entries/000.p/1"] = old.tree["ledger/tile/0/000.p/1"], old.tree["ledger/tile/entries/000.p/1"]
	r := run(t, m, later)
	if len(r.Discrepancies) == 0 || r.Discrepancies[0].Key != "templates/metalink" || !strings.Contains(r.Discrepancies[0].Text, "in no entry of the ledger") {
		t.Errorf("%v", r.Discrepancies)
	}
	// A proof of the larger tree gives it away where all heads are set back too.
	m = maps.Clone(old.tree)
	hashes, err := ledger.ProveInclusion(t.Context(), p, p.checkpoint, 0)
	if err != nil {
		t.Fatal(err)
	}
	m[fixture().a1.pkg.Path+".tlog-proof"] = ledger.Proof{Hashes: hashes, Checkpoint: p.signed}.Encode()
	wantWrong(t, run(t, m, later), ".tlog-proof: leads to a tree of 2 entries, but ledger/checkpoint has only 1: newer entries are withheld")
	// An entry that was cut out of its bundle.
	m = before
	bundle, err := ledger.DecodeBundle(m["ledger/tile/entries/000.p/2"])
	if err != nil {
		t.Fatal(err)
	}
	if m["ledger/tile/entries/000.p/2"], err = ledger.EncodeBundle(bundle[:1]); err != nil {
		t.Fatal(err)
	}
	wantWrong(t, run(t, m, soon), "ledger/tile/entries/000.p/2: 1 entries, not 2")
}

func TestFork(t *testing.T) {
	f := fixture()
	p := standard(t)
	q := newPublisher(t)
	q.publish(start, release{repository: "templates", add: []made{f.a1}})
	q.publish(start.Add(time.Hour), release{repository: "testing", add: []made{f.b1}}, release{repository: "templates", add: []made{f.c1}})

	m := maps.Clone(p.tree)
	m[ledger.CommitKey] = q.signed
	wantWrong(t, run(t, m, later), "ledger/commit: is signed for a tree of 3 entries with the root "+q.checkpoint.Root.String())

	m = maps.Clone(p.tree)
	m[ledger.CheckpointKey] = q.signed
	r := run(t, m, later)
	if len(r.Discrepancies) == 0 || !strings.HasPrefix(r.Discrepancies[0].Key, "ledger/") {
		t.Errorf("%v", r.Discrepancies)
	}

	// A proof that was handed out for the other tree.
	hashes, err := ledger.ProveInclusion(t.Context(), q, q.checkpoint, 0)
	if err != nil {
		t.Fatal(err)
	}
	m = maps.Clone(p.tree)
	m[f.a1.pkg.Path+".tlog-proof"] = ledger.Proof{Hashes: hashes, Checkpoint: q.signed}.Encode()
	wantWrong(t, run(t, m, later), f.a1.pkg.Path+".tlog-proof: the ledger was forked; keep both, they are evidence")

	// A commit that is ahead on another branch.
	q.publish(start.Add(2*time.Hour), release{repository: "templates", add: []made{f.a2}})
	m = maps.Clone(p.tree)
	m[ledger.CommitKey] = q.signed
	wantWrong(t, run(t, m, later), "ledger/tile/0/000.p/4: missing")
	for key, data := range q.tree {
		if strings.Contains(key, ".p/4") || strings.HasPrefix(key, "ledger/staging/") {
			m[key] = data
		}
	}
	if r := run(t, m, later); len(r.Discrepancies) != 1 || !strings.HasPrefix(r.Discrepancies[0].Key, "ledger/staging/") {
		t.Errorf("%v", r.Discrepancies)
	}
}

func TestReplacedBuildLog(t *testing.T) {
	p := standard(t)
	key := fixture().a1.pkg.Path + logs.LogSuffix
	l, err := logs.ReadLog(strings.NewReader("building a\nrelease 1\nDone\n"), 0)
	if err != nil {
		t.Fatal(err)
	}
	p.tree[key] = l.Data
	r := run(t, p.tree, later)
	if len(r.Discrepancies) != 1 || r.Discrepancies[0].Key != key {
		t.Errorf("%v", r.Discrepancies)
	}
}

// A record, a digest or a signer that is logged and is not that of the package.
func TestLoggedLies(t *testing.T) {
	f := fixture()
	evil := makePackage("a", "1", true, f.evilKey)
	for _, c := range []struct {
		name string
		add  func() made
		want []string
	}{
		{"record", func() made {
			m := f.a1
			m.files = maps.Clone(m.files)
			r, err := logs.DecodeRecord(m.files[m.pkg.Path+logs.RecordSuffix])
			if err != nil {
				t.Fatal(err)
			}
			r.ContentID = strings.Repeat("0", 64)
			m.setRecord(r)
			return m
		}, []string{".record.json: speaks of the content id 00000"}},
		{"record of another log", func() made {
			m := f.a1
			m.files = maps.Clone(m.files)
			r, err := logs.DecodeRecord(m.files[m.pkg.Path+logs.RecordSuffix])
			if err != nil {
				t.Fatal(err)
			}
			r.Log.Open.Size++
			m.setRecord(r)
			return m
		}, []string{".record.json: speaks of another build log"}},
		{"record of another reason", func() made { m := f.b1; m.pkg.NoLog = "lost"; return m }, []string{".record.json: speaks of another build log"}},
		{"content id", func() made { m := f.b1; m.pkg.ContentID = f.a1.pkg.ContentID; return m },
			[]string{".rpm: has the content id", ".record.json: speaks of the content id"}},
		{"header", func() made { m := f.b1; m.pkg.Header = f.a1.pkg.Header; return m }, []string{".rpm: has the header digest"}},
		{"signer", func() made { m := evil; m.pkg.Signer = f.packageKey.Fingerprint(); return m }, []string{".rpm: signature does not verify"}},
		{"scripts", func() made { return withScript(t) }, []string{".rpm: rule L14: package has the script %pre (tag 1023)", ".record.json: speaks of a package with the sha256"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPublisher(t)
			p.publish(start, release{repository: "templates", add: []made{c.add()}})
			wantWrong(t, run(t, p.tree, later), c.want...)
		})
	}
}

// withScript is b1 with a script that runs on installation.
func withScript(t *testing.T) made {
	f := fixture()
	m := f.b1
	data := m.files[m.pkg.Path]
	header, err := rpm.ParseHeader(m.headers.RawHeader)
	if err != nil {
		t.Fatal(err)
	}
	header.SetString(rpm.PreIn, "rm -rf /")
	header.SetString(rpm.PreInProg, "/bin/sh")
	raw := header.Marshal(rpm.Region)
	signature, err := f.packageKey.Sign(raw, start)
	if err != nil {
		t.Fatal(err)
	}
	payload := data[m.headers.HeaderEnd():]
	front, err := rpm.Front(header.NEVRA(), raw, signature, int64(len(payload)), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	data = append(front, payload...)
	pkg, d, err := rpm.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	m.files = maps.Clone(m.files)
	m.files[m.pkg.Path] = data
	m.pkg.SHA256, m.pkg.Size, m.pkg.ContentID, m.pkg.Header = d.File, d.Size, d.Content, d.Header
	if m.fragments, err = rpmmd.NewFragment(rpmmd.Input{Package: pkg, SHA256: d.File, Size: d.Size}); err != nil {
		t.Fatal(err)
	}
	record, err := logs.DecodeRecord(m.files[m.pkg.Path+logs.RecordSuffix])
	if err != nil {
		t.Fatal(err)
	}
	record.ContentID = d.Content
	m.setRecord(record)
	return m
}

// Another package under the same name, by the right key.
func TestOtherContent(t *testing.T) {
	p := standard(t)
	path := fixture().b1.pkg.Path
	p.tree[path] = withScript(t).files[path]
	wantWrong(t, run(t, p.tree, later), path+": has more than the")
	p.tree[path] = makeSeeded("other", "b", "1", false, fixture().packageKey).files[path]
	wantWrong(t, run(t, p.tree, later), path+": has the sha256")
}

func TestSignedAgain(t *testing.T) {
	p := standard(t)
	path := fixture().a1.pkg.Path
	p.tree[path] = makePackage("a", "1", true, fixture().evilKey).files[path]
	wantWrong(t, run(t, p.tree, later), path+": was signed again: its content is that of the ledger")
}

func TestKeySwap(t *testing.T) {
	f := fixture()
	p := standard(t)
	m := maps.Clone(p.tree)
	m[keyPath(f.metadataKey)] = f.evilKey.Public()
	wantWrong(t, run(t, m, later), keyPath(f.metadataKey)+": is the key "+f.evilKey.Fingerprint())

	m = maps.Clone(p.tree)
	m["templates/000001/repodata/repomd.xml.key"] = f.evilKey.Public()
	wantWrong(t, run(t, m, later), "templates/000001/repodata/repomd.xml.key: is not keys/")

	secret, err := f.packageKey.PrivateArmor()
	if err != nil {
		t.Fatal(err)
	}
	m = maps.Clone(p.tree)
	m[keyPath(f.packageKey)] = secret
	wantWrong(t, run(t, m, later), keyPath(f.packageKey)+": holds a private key")
}

// Clients who take this file would trust the thief's key.
func TestKeyInClientConfiguration(t *testing.T) {
	f := fixture()
	p := standard(t)
	p.extra = []*openpgp.Key{f.evilKey}
	p.settings()
	wantWrong(t, run(t, p.tree, later),
		"templates.repo: trusts the key "+f.evilKey.Fingerprint(), "testing.repo: trusts the key "+f.evilKey.Fingerprint())

	p = standard(t)
	repo := func(c rpmmd.ClientConfig) {
		t.Helper()
		c.Repository = "templates"
		data, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		p.tree["templates/templates.repo"] = data
	}
	packages, metadata := site+"/"+keyPath(f.packageKey), site+"/"+keyPath(f.metadataKey)
	repo(rpmmd.ClientConfig{Site: site, Keys: []string{packages}})
	wantWrong(t, run(t, p.tree, later), "templates.repo: does not name the key "+f.metadataKey.Fingerprint()+", which signs the metadata")
	repo(rpmmd.ClientConfig{Site: site, Keys: []string{metadata}})
	wantWrong(t, run(t, p.tree, later), "templates.repo: does not name the key "+f.packageKey.Fingerprint()+", which signed qubes-template-a-4.3-2.noarch")
	repo(rpmmd.ClientConfig{Site: site, Keys: []string{metadata, "https://evil.example/key.asc"}})
	wantWrong(t, run(t, p.tree, later), `templates.repo: the key "https://evil.example/key.asc" is not one of this tree`)
	repo(rpmmd.ClientConfig{Site: "https://evil.example", Keys: []string{"https://evil.example/" + keyPath(f.packageKey), "https://evil.example/" + keyPath(f.metadataKey)}})
	wantWrong(t, run(t, p.tree, later), `templates.repo: is for the site "https://evil.example"`)
	repo(rpmmd.ClientConfig{Site: site, Keys: []string{packages, metadata}, Serial: 3})
	wantWrong(t, run(t, p.tree, later), "templates.repo: names snapshot 000003, the last one is 000002")
	repo(rpmmd.ClientConfig{Site: site, Keys: []string{packages, metadata}, Serial: 2, MetadataExpire: time.Hour})
	wantClean(t, run(t, p.tree, later))
}

// The ledger key signs whatever it is given; the entries speak for themselves.
func TestBrokenEntries(t *testing.T) {
	p := standard(t)
	p.append([][]byte{[]byte(`{"hello":"world"}`)})
	p.write(ledger.CheckpointKey, p.signed)
	r := run(t, p.tree, later)
	wantWrong(t, r, "ledger/tile/entries: entry 3: decode ledger entry")
	if len(r.Notices) != 1 || r.Size != 0 {
		t.Errorf("%+v", r)
	}

	p = standard(t)
	p.publish(start.Add(30*time.Minute), release{repository: "testing", add: []made{fixture().a1}, entry: func(e *ledger.Entry) { e.Serial = 7 }})
	wantWrong(t, run(t, p.tree, later),
		"ledger/tile/entries: entry 3 (testing, serial 7): time 2026-11-23T17:30:00Z is before",
		"ledger/tile/entries: entry 3 (testing, serial 7): serial is not 2",
		"ledger/tile/entries: entry 3 (testing, serial 7): revision")

	// Metadata by rules that are not known here, and a state that contradicts itself.
	for want, change := range map[string]func(*ledger.Entry){
		"metadata format 2 is unknown": func(e *ledger.Entry) { e.Next.Format = 2 },
		"the ledger contradicts":       func(e *ledger.Entry) { e.Next.Primary.Size++ },
	} {
		p = newPublisher(t)
		p.publish(start, release{repository: "templates", add: []made{fixture().a1}, entry: change})
		wantWrong(t, run(t, p.tree, later), "templates/000001/repodata/repomd.xml: "+want)
	}
}

// Metadata that other rules made, signed and logged.
func TestOtherRules(t *testing.T) {
	f := fixture()
	odd := f.a1
	odd.fragments.Filelists = append([]byte{}, odd.fragments.Filelists...)
	odd.fragments.Filelists[len("<package pkgid=\"")] ^= 1
	p := newPublisher(t)
	p.publish(start, release{repository: "templates", add: []made{odd}})
	wantWrong(t, run(t, p.tree, later), "-filelists.xml.gz: is not what the headers of its packages make")
}

// Another encoder gives other bytes for the same metadata.
func TestOtherEncoder(t *testing.T) {
	p := newPublisher(t)
	pack := func(m *rpmmd.Metadata) {
		for i, f := range m.Files {
			open, err := gzip.NewReader(bytes.NewReader(f.Data))
			if err != nil {
				t.Fatal(err)
			}
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			if _, err := io.Copy(w, open); err != nil || w.Close() != nil {
				t.Fatal(err)
			}
			kind := []string{rpmmd.Primary, rpmmd.Filelists, rpmmd.Other}[i]
			d := rpmmd.DigestOf(packed.Bytes())
			f.Data, f.SHA256, f.Size = packed.Bytes(), d.SHA256, d.Size
			f.Name = f.FileName(kind)
			m.Files[i] = f
		}
		repomd := rpmmd.Repomd{Revision: m.Summary.Revision, Primary: m.Files[0].Record, Filelists: m.Files[1].Record, Other: m.Files[2].Record}
		var err error
		if m.Repomd, err = repomd.Marshal(); err != nil {
			t.Fatal(err)
		}
		m.Summary = repomd.Summary(m.Summary.Packages, m.Repomd)
	}
	p.publish(start, release{repository: "templates", add: []made{fixture().a1}, pack: pack})
	p.publish(start.Add(time.Hour), release{repository: "templates", add: []made{fixture().a2}})
	wantClean(t, run(t, p.tree, later), "-primary.xml.gz: one of 3 such files; the content is right")
}

// endless gives bytes for one object without end.
type endless struct {
	tree
	key string
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (e endless) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := e.tree.Open(ctx, key)
	if key == e.key && err == nil {
		return io.NopCloser(io.MultiReader(r, zeros{})), nil
	}
	return r, err
}

func TestEndless(t *testing.T) {
	t.Parallel()
	p := standard(t)
	for key := range p.tree {
		if excused(p, key) {
			continue
		}
		r := run(t, struct{ audit.Reader }{endless{p.tree, key}}, later)
		if len(r.Discrepancies) == 0 || r.Bytes > ledger.MaxObject+1<<20 {
			t.Errorf("%s: %v after %d bytes", key, r.Discrepancies, r.Bytes)
		}
	}
}
