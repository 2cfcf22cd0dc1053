package audit_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"colophon/logs/ledger"
	"colophon/publish/audit"
)

// Between any two writes of a publish the tree is without discrepancy, for the
// grace time. After that it is not, from the commit to the end.
func TestInterrupted(t *testing.T) {
	f := fixture()
	for name, publish := range map[string]func(p *publisher) time.Time{
		"first": func(p *publisher) time.Time {
			p.publish(start, release{repository: "templates", add: []made{f.a1}})
			return start
		},
		"first of two": func(p *publisher) time.Time {
			p.publish(start, release{repository: "templates", add: []made{f.a1}}, release{repository: "testing", add: []made{f.a1, f.b1}})
			return start
		},
		"second": func(p *publisher) time.Time {
			p.publish(start, release{repository: "templates", add: []made{f.a1}})
			p.trace, p.states, p.writes = true, nil, nil
			at := start.Add(time.Hour)
			p.publish(at, release{repository: "templates", add: []made{f.a2}}, release{repository: "testing", add: []made{f.b1}})
			return at
		},
		"third": func(p *publisher) time.Time {
			p.publish(start, release{repository: "templates", add: []made{f.a1}})
			p.publish(start, release{repository: "testing", add: []made{f.b1}})
			p.trace, p.states, p.writes = true, nil, nil
			at := start.Add(time.Hour)
			p.publish(at, release{repository: "testing", add: []made{f.a1}, remove: []ledger.Removal{{NEVRA: f.b1.pkg.NEVRA, Reason: "gone", SHA256: f.b1.pkg.SHA256}}})
			return at
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t)
			p.trace = true
			at := publish(p)
			committed, notices := false, 0
			for i, m := range p.states {
				written := p.writes[len(p.writes)-len(p.states)+i]
				r := run(t, m, at.Add(time.Minute))
				for _, d := range r.Discrepancies {
					t.Errorf("after %s: %s", written, d)
				}
				notices += len(r.Notices)
				committed = committed || written == ledger.CommitKey
				done := i >= len(p.states)-2 // the last is the page
				r = run(t, m, at.Add(time.Hour+time.Second))
				if got, want := len(r.Discrepancies) > 0, committed && !done; got != want {
					t.Errorf("after %s, later: %v", written, r.Discrepancies)
				}
				if done && len(r.Notices) > 0 {
					t.Errorf("at the end: %v", r.Notices)
				}
			}
			if !committed || notices == 0 {
				t.Error("nothing was tried")
			}
		})
	}
}

// state returns the tree as it was after the last write of a key with an end.
func (p *publisher) state(suffix string) tree {
	p.t.Helper()
	for i := len(p.states) - 1; i >= 0; i-- {
		if strings.HasSuffix(p.writes[len(p.writes)-len(p.states)+i], suffix) {
			return maps.Clone(p.states[i])
		}
	}
	p.t.Fatal(suffix + " was not written")
	return nil
}

// second is a publisher whose second publish was traced.
func second(t *testing.T) *publisher {
	f := fixture()
	p := newPublisher(t)
	p.publish(start, release{repository: "templates", add: []made{f.a1}})
	p.trace = true
	p.publish(start.Add(time.Hour), release{repository: "templates", add: []made{f.a2}})
	return p
}

func TestInterruptedWords(t *testing.T) {
	p := second(t)
	object := "qubes-template-a-4.3-2.noarch.rpm"
	for _, c := range []struct {
		after         string
		notice, wrong []string
	}{
		{object + ".log.zst", []string{object + ": nobody points", object + ".log.zst: nobody points"}, nil},
		{"ledger/commit", []string{"ledger/commit: serial 2 of \"templates\" was committed at 2026-11-23T18:00:00Z; the publish is not finished"}, []string{"ledger/commit: not finished"}},
		{"ledger/checkpoint", []string{"templates/metalink: names serial 1; serial 2 was committed"}, []string{
			"metalink: names serial 1", "repomd.xml: missing", "repomd.xml.asc: missing", "repomd.xml.key: missing",
			"primary.xml.gz: missing", "filelists.xml.gz: missing", "other.xml.gz: missing",
		}},
		{"templates/metalink", []string{"latest/repodata/repomd.xml: is not yet that of serial 2"}, []string{"latest/repodata/repomd.xml: is not yet"}},
		{"latest/repodata/repomd.xml.asc", []string{"latest/repodata/repomd.xml: torn between serial 2 and the one before"}, []string{"latest/repodata/repomd.xml: torn"}},
	} {
		m := p.state(c.after)
		wantClean(t, run(t, m, soon), c.notice...)
		if c.wrong == nil {
			wantClean(t, run(t, m, later), c.notice...)
		} else {
			wantWrong(t, run(t, m, later), c.wrong...)
		}
	}
}

// What is there of an unfinished publish must be right, whatever is missing.
func TestInterruptedAndWrong(t *testing.T) {
	p := second(t)
	m := p.state("000002/repodata/repomd.xml.asc")
	asc := "templates/000002/repodata/repomd.xml.asc"
	m[asc] = m["templates/000001/repodata/repomd.xml.asc"]
	wantWrong(t, run(t, m, soon), asc+": does not verify")

	m = p.state("ledger/checkpoint")
	delete(m, fixture().a2.pkg.Path+".tlog-proof")
	wantWrong(t, run(t, m, soon), ".tlog-proof: missing")

	// A commit that leads nowhere.
	m = p.state("ledger/commit")
	for key := range m {
		if strings.HasPrefix(key, "ledger/staging/") {
			m[key] = flip(m[key], 40)
		}
	}
	if r := run(t, m, soon); len(r.Discrepancies) != 1 || !strings.HasPrefix(r.Discrepancies[0].Key, "ledger/staging/") {
		t.Errorf("%v", r.Discrepancies)
	}
	for key := range m {
		if strings.HasPrefix(key, "ledger/staging/") {
			delete(m, key)
		}
	}
	wantWrong(t, run(t, m, soon), "ledger/tile/0/000.p/2: missing")

	// The heads of a repository may be one behind, never two.
	p.publish(start.Add(90*time.Minute), release{repository: "templates", remove: []ledger.Removal{{NEVRA: fixture().a1.pkg.NEVRA, Reason: "old", SHA256: fixture().a1.pkg.SHA256}}})
	m = maps.Clone(p.tree)
	m["templates/metalink"] = metalink(t, p.entries[0])
	wantWrong(t, run(t, m, start.Add(91*time.Minute)), "metalink: names templates/000001/repodata/repomd.xml, the last snapshot is templates/000003")
}

// The first publish ever has no checkpoint to begin with.
func TestInterruptedFirst(t *testing.T) {
	p := newPublisher(t)
	p.trace = true
	p.publish(start, release{repository: "templates", add: []made{fixture().a1}})
	young := start.Add(time.Minute)

	wantWrong(t, run(t, tree{}, young), "ledger/key.vkey: missing")
	wantClean(t, run(t, tree{ledger.VKeyKey: p.tree[ledger.VKeyKey]}, young), "ledger/checkpoint: nothing was committed here yet")
	// Who cannot list cannot tell this from a ledger that is withheld.
	wantWrong(t, run(t, struct{ audit.Reader }{p.states[1]}, young), "ledger/checkpoint: missing")

	m := p.state("ledger/commit")
	wantClean(t, run(t, m, young), "ledger/checkpoint: missing; the first publish was committed at 2026-11-23T17:00:00Z and is not finished")
	wantWrong(t, run(t, m, later), "ledger/checkpoint: missing, although 1 entries are committed")
	m["templates/metalink"] = p.tree["templates/metalink"]
	wantWrong(t, run(t, m, young), "ledger/checkpoint: missing, although 1 entries are committed")
	delete(m, "templates/metalink")
	m[ledger.CommitKey] = flip(m[ledger.CommitKey], 5)
	wantWrong(t, run(t, m, young), "ledger/checkpoint: missing", "ledger/commit: invalid signature")

	// With the tiles the staged entries are not needed any more.
	m = p.state("ledger/tile/entries/000.p/1")
	m["ledger/tile/0/000.p/1"] = p.tree["ledger/tile/0/000.p/1"]
	for key := range m {
		if strings.HasPrefix(key, "ledger/staging/") {
			delete(m, key)
		}
	}
	wantClean(t, run(t, m, young), "ledger/checkpoint: the first publish was committed")
}

// A commit that is ahead is an extension by its staged entries or by its tiles.
func TestCommitWithTiles(t *testing.T) {
	p := second(t)
	m := p.state(".tlog-proof") // the tiles lie there already
	staged := ""
	for key := range m {
		if strings.HasPrefix(key, "ledger/staging/") && string(m[key]) != string(p.states[0][key]) {
			staged = key
		}
	}
	delete(m, staged)
	wantClean(t, run(t, m, soon), "ledger/commit: the publish is not finished")
	m["ledger/tile/0/000.p/2"] = flip(m["ledger/tile/0/000.p/2"], 40)
	wantWrong(t, run(t, m, soon), "ledger/tile: hash tiles do not lead to the root")
}

func TestCommitBehind(t *testing.T) {
	p := newPublisher(t)
	p.publish(start, release{repository: "templates", add: []made{fixture().a1}})
	old := p.signed
	p.publish(start.Add(time.Hour), release{repository: "templates", add: []made{fixture().a2}})
	p.tree[ledger.CommitKey] = old
	wantWrong(t, run(t, p.tree, soon), "ledger/commit: has 1 entries, ledger/checkpoint has 2")
}

// The clock of an entry gives no grace for ever.
func TestFutureEntry(t *testing.T) {
	p := newPublisher(t)
	p.trace = true
	p.publish(start.Add(240*time.Hour), release{repository: "templates", add: []made{fixture().a1}})
	wantWrong(t, run(t, p.tree, start), "ledger/tile/entries: entry 0 is dated 2026-12-03T17:00:00Z, in the future")
	wantWrong(t, run(t, p.state("templates.repo"), start), "ledger/tile/entries: in the future", "metalink: missing; serial 1 was committed")
}
