package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"colophon/logs/ledger"
	"colophon/publish/audit"
)

func TestCleanTree(t *testing.T) {
	p := standard(t)
	for _, now := range []time.Time{soon, later, {}} {
		r := run(t, p.tree, now)
		wantClean(t, r)
		if r.Origin != "example.org/pub/ledger" || r.Size != 3 || r.Root != p.checkpoint.Root.String() || r.Packages != 3 {
			t.Errorf("%+v", r)
		}
		want := []audit.RepositoryReport{{Name: "templates", Serial: 2, Packages: 2}, {Name: "testing", Serial: 1, Packages: 2}}
		if len(r.Repositories) != 2 || r.Repositories[0] != want[0] || r.Repositories[1] != want[1] {
			t.Errorf("repositories are %+v", r.Repositories)
		}
	}
}

// A package goes and comes back, a repository becomes empty, serials grow.
func TestRemovals(t *testing.T) {
	f := fixture()
	p := standard(t)
	gone := func(m made) ledger.Removal {
		return ledger.Removal{NEVRA: m.pkg.NEVRA, Reason: "superseded", SHA256: m.pkg.SHA256}
	}
	p.publish(start.Add(2*time.Hour), release{repository: "templates", remove: []ledger.Removal{gone(f.a1), gone(f.a2)}})
	p.publish(start.Add(3*time.Hour), release{repository: "templates", add: []made{f.a1}})
	r := run(t, p.tree, later)
	wantClean(t, r)
	if r.Repositories[0].Serial != 4 || r.Repositories[0].Packages != 1 {
		t.Errorf("%+v", r.Repositories)
	}
}

// What an auditor without a list of objects sees is the same.
func TestWithoutList(t *testing.T) {
	p := standard(t)
	p.tree["packages/stranger.rpm"] = nil
	wantClean(t, run(t, p.tree, later), "packages/stranger.rpm: nobody points to it")
	wantClean(t, run(t, struct{ audit.Reader }{p.tree}, later))
}

func TestReportJSON(t *testing.T) {
	data, err := json.Marshal(run(t, standard(t).tree, later))
	if err != nil {
		t.Fatal(err)
	}
	if s := string(data); !strings.Contains(s, `"discrepancies":[],"notices":[]}`) || !strings.HasPrefix(s, `{"origin":"example.org/pub/ledger","size":3,"root":"`) {
		t.Errorf("report is %s", s)
	}
}

func TestProgress(t *testing.T) {
	p := standard(t)
	delete(p.tree, fixture().a1.pkg.Path) // counts all the same
	var done, total, calls int64
	_, err := audit.Tree(t.Context(), p.tree, audit.Options{VKey: fixture().vkey, Progress: func(d, n int64) {
		if d < done || d > n {
			t.Errorf("progress goes from %d to %d of %d", done, d, n)
		}
		done, total = d, n
		calls++
	}})
	if err != nil || done != total || total == 0 || calls == 0 {
		t.Errorf("%d calls, the last with %d of %d, %v", calls, done, total, err)
	}
}

func TestWrongVKey(t *testing.T) {
	if _, err := audit.Tree(t.Context(), tree{}, audit.Options{VKey: "nonsense"}); err == nil {
		t.Error("nonsense is a key")
	}
	_, other, err := ledger.GenerateKey(bytes.NewReader(make([]byte, 32)), "example.org/pub/ledger")
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Tree(t.Context(), standard(t).tree, audit.Options{VKey: other})
	if err != nil {
		t.Fatal(err)
	}
	wantWrong(t, r, "ledger/key.vkey: is not the key", "ledger/checkpoint: is not signed by")
}

// faulty answers for some objects only.
type faulty struct {
	tree
	key string
	err error
	cut int // bytes before the error; negative: at once
}

func (f faulty) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if key != f.key {
		return f.tree.Open(ctx, key)
	}
	if f.cut < 0 {
		return nil, f.err
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(f.tree[key][:f.cut]), iotest.ErrReader(f.err))), nil
}

// A tree that cannot be read is not a tree that is wrong.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	p := standard(t)
	down := errors.New("the network is down")
	for key, data := range p.tree {
		if excused(p, key) {
			continue
		}
		for _, cut := range []int{-1, len(data) / 2, len(data)} {
			r, err := audit.Tree(t.Context(), faulty{p.tree, key, down, cut}, audit.Options{VKey: fixture().vkey, Now: soon})
			if !errors.Is(err, down) || r != nil {
				t.Errorf("%s fails after %d bytes: report %v, error %v", key, cut, r, err)
			}
		}
	}
}

// A publish between two reads of the auditor must not look like an attack.
type growing struct {
	tree
	after string // the first read of this object ...
	to    tree   // ... makes it this tree
	done  *bool
}

func (g growing) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if *g.done {
		return g.to.Open(ctx, key)
	}
	*g.done = key == g.after
	return g.tree.Open(ctx, key)
}

func TestPublishMeanwhile(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	p.publish(start, release{repository: "templates", add: []made{fixture().a1}})
	before := maps.Clone(p.tree)
	p.publish(start.Add(time.Hour), release{repository: "templates", add: []made{fixture().a2}})
	for key := range before {
		done := false
		r := run(t, growing{before, key, p.tree, &done}, soon)
		for _, f := range r.Discrepancies {
			t.Errorf("published after %s was read: %s", key, f)
		}
	}
}

// The checkpoint that is read second must not take anything back.
func TestForkMeanwhile(t *testing.T) {
	f := fixture()
	one, two := newPublisher(t), newPublisher(t)
	one.publish(start, release{repository: "templates", add: []made{f.a1}})
	two.publish(start, release{repository: "templates", add: []made{f.a2}})
	two.publish(start.Add(time.Hour), release{repository: "templates", add: []made{f.a1}})
	done := false
	r := run(t, growing{one.tree, "templates/metalink", two.tree, &done}, later)
	wantWrong(t, r, "ledger/checkpoint: is signed for a tree of 1 entries")
	done = false
	r = run(t, growing{two.tree, "templates/metalink", one.tree, &done}, later)
	wantWrong(t, r, "ledger/checkpoint: had 2 entries when it was first read, now 1")
}

func TestEntry(t *testing.T) {
	f := fixture()
	p := standard(t)
	options := audit.Options{VKey: f.vkey, Now: soon}
	// Before the heads are switched there are none.
	for key := range p.tree {
		if strings.Contains(key, "latest") || strings.Contains(key, "metalink") || key == ledger.PolicyKey {
			delete(p.tree, key)
		}
	}
	for i, e := range p.entries {
		found, err := audit.Entry(t.Context(), p.tree, options, int64(i), e)
		if err != nil || len(found) > 0 {
			t.Errorf("entry %d: %v, %v", i, found, err)
		}
	}
	e := p.entries[1]
	if found, err := audit.Entry(t.Context(), p.tree, options, 0, e); err != nil || len(found) != 1 || !strings.Contains(found[0].Text, "another one") {
		t.Errorf("at the wrong index: %v, %v", found, err)
	}
	if found, err := audit.Entry(t.Context(), p.tree, options, 3, e); err != nil || len(found) != 1 {
		t.Errorf("behind the end: %v, %v", found, err)
	}
	// A package that was published before has the proof of then, and no other.
	m := maps.Clone(p.tree)
	m[f.a2.pkg.Path+".tlog-proof"] = m[f.a1.pkg.Path+".tlog-proof"]
	if found, err := audit.Entry(t.Context(), m, options, 2, p.entries[2]); err != nil || len(found) != 1 || !strings.Contains(found[0].Text, "is for entry 0, which does not add the package") {
		t.Errorf("with another proof: %v, %v", found, err)
	}
	for key, data := range p.tree {
		mine := strings.HasPrefix(key, folder(e)) || strings.HasPrefix(key, f.a2.pkg.Path) || strings.HasPrefix(key, "keys/") || key == ledger.CheckpointKey
		if !mine {
			continue
		}
		for name, bad := range map[string][]byte{"missing": nil, "cut": data[:len(data)-1], "flipped": flip(data, len(data)/2)} {
			m := maps.Clone(p.tree)
			m[key] = bad
			if name == "missing" {
				delete(m, key)
			}
			found, err := audit.Entry(t.Context(), m, options, 1, e)
			if err != nil || len(found) == 0 {
				t.Errorf("%s %s: %v, %v", key, name, found, err)
			}
		}
	}
}

// Metadata that says other things than the headers is seen, although ledger and
// signatures agree with it.
func TestMetadataLies(t *testing.T) {
	f := fixture()
	lie := f.a2
	lie.fragments.Primary = bytes.Replace(lie.fragments.Primary, []byte("<summary>A template"), []byte("<summary>The template"), 1)
	p := newPublisher(t)
	p.publish(start, release{repository: "templates", add: []made{f.a1}})
	p.publish(start.Add(time.Hour), release{repository: "templates", add: []made{lie}})
	wantWrong(t, run(t, p.tree, later), "-primary.xml.gz: is not what the headers of its packages make")
	found, err := audit.Entry(t.Context(), p.tree, audit.Options{VKey: f.vkey, Now: soon}, 1, p.entries[1])
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Text, `has the summary "The template for tests", its header says "A template for tests"`) {
		t.Errorf("%v, %v", found, err)
	}
	// The lie is told once; from then on it is what there was before.
	lie.fragments = f.a2.fragments
	p.sets["templates"][lie.pkg.NEVRA] = lie
	p.publish(start.Add(2*time.Hour), release{repository: "templates", add: []made{f.b1}})
	found, err = audit.Entry(t.Context(), p.tree, audit.Options{VKey: f.vkey, Now: soon}, 2, p.entries[2])
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Text, "has other metadata than before") {
		t.Errorf("%v, %v", found, err)
	}
}

func Example() {
	// Any Reader will do: a folder, a bucket, a web server.
	public := standard(inExample{}).tree
	report, err := audit.Tree(context.Background(), public, audit.Options{VKey: fixture().vkey, Now: later})
	if err != nil {
		fmt.Println("cannot be answered:", err)
		return
	}
	fmt.Println(report.Origin, "has", report.Size, "entries and", len(report.Discrepancies), "discrepancies")

	delete(public, "templates/metalink")
	report, err = audit.Tree(context.Background(), public, audit.Options{VKey: fixture().vkey, Now: later})
	if err != nil {
		fmt.Println("cannot be answered:", err)
		return
	}
	fmt.Println(report.Discrepancies[0])
	// Output:
	// example.org/pub/ledger has 3 entries and 0 discrepancies
	// templates/metalink: missing
}
