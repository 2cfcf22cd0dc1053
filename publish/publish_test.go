package publish

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"colophon/mirror/disk"
	"colophon/pack"
	"colophon/publish/audit"
	"colophon/publish/sign"
	"colophon/publish/store"
	"colophon/publish/store/storetest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// publisher is a publisher's folder for tests: its templates are tiny, its keys are
// made once, its clock stands still.
type publisher struct {
	dir   string
	store *storetest.Fake
}

func newSite(t testing.TB, keys string) *publisher {
	t.Helper()
	s := &publisher{dir: memoryDir(t), store: storetest.NewFake(t)}
	s.write(t, "colophon.yaml", fmt.Sprintf(`site: {name: Test, url: "http://127.0.0.1:1"}
store: file:public
history: history
keys: {generate: true, folder: %q}
repositories: [{name: templates}, {name: testing}]
templates: [a/template.yaml, b/template.yaml]
`, keys))
	s.template(t, "a", "1")
	s.template(t, "b", "1")
	return s
}

// memoryDir is a folder in memory where the system has one: the tests of every
// fault publish a thousand times, and fsync to a disk is most of that.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "colophon-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (s *publisher) write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// template writes a release of a template; b goes to the second repository and
// has no build log.
func (s *publisher) template(t testing.TB, name, release string) {
	t.Helper()
	repository := map[string]string{"a": "templates", "b": "testing"}[name]
	log := map[string]string{"a": "build.log", "b": "{none: built by hand}"}[name]
	s.write(t, name+"/root.img", strings.Repeat("image of "+name+release+"\n", 10_000))
	s.write(t, name+"/build.log", "log of "+name+release+"\n")
	s.write(t, name+"/template.yaml", fmt.Sprintf(`name: %s
version: "1"
release: %q
date: 2026-01-01
summary: S
description: D
license: MIT
compression: {frame: 64KiB}
url: http://example.org/
image: root.img
log: %s
repository: %s
`, name, release, log, repository))
}

func (s *publisher) options(t testing.TB) Options {
	t.Helper()
	c, err := LoadConfig(filepath.Join(s.dir, "colophon.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Config: c, Now: func() time.Time { return noon }, Random: rand.Reader, Version: "0", Store: s.store}
}

func (s *publisher) run(t testing.TB) (*Result, error) { return Run(t.Context(), s.options(t)) }

func (s *publisher) publish(t testing.TB) *Result {
	t.Helper()
	r, err := s.run(t)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// audit checks the store's tree; what is left of a publish may be noted.
func (s *publisher) audit(t testing.TB, o Options, at store.Store) *audit.Report {
	t.Helper()
	folder := sign.Folder{Path: o.Config.Resolve(o.Config.Keys.Folder)}
	keys, err := folder.Load(rand.Reader, disk.Disk{})
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Tree(t.Context(), listing{Reader{at}, at}, audit.Options{VKey: keys.VKey, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func keysFolder(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := (sign.Folder{Path: dir, Generate: true, Name: "Test", Origin: "127.0.0.1:1/ledger"}).Load(rand.Reader, disk.Disk{}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPublish(t *testing.T) {
	s := newSite(t, keysFolder(t))
	r := s.publish(t)
	if len(r.Published) != 2 || r.Entries != 2 || r.Published[0].Serial != 1 {
		t.Errorf("published %+v", r)
	}
	first := maps.Clone(s.store.Objects())
	if report := s.audit(t, s.options(t), s.store); len(report.Discrepancies)+len(report.Notices) > 0 {
		t.Errorf("%v %v", report.Discrepancies, report.Notices)
	}

	writes := len(s.store.Writes())
	r = s.publish(t)
	if len(r.Published) > 0 || !strings.Contains(r.String(), "nothing new") || len(s.store.Writes()) != writes {
		t.Errorf("publishing again: %s, %d writes", r, len(s.store.Writes())-writes)
	}

	s.template(t, "a", "2")
	r = s.publish(t)
	if len(r.Published) != 1 || r.Published[0].Serial != 2 || r.Published[0].Packages != 2 {
		t.Errorf("published %+v", r.Published)
	}
	for key, data := range s.store.Objects() {
		if kind, _ := store.KindOf(key); first[key] != nil && kind.Immutable() && string(first[key]) != string(data) {
			t.Errorf("%s changed", key)
		}
	}
	if report := s.audit(t, s.options(t), s.store); len(report.Discrepancies)+len(report.Notices) > 0 {
		t.Errorf("%v %v", report.Discrepancies, report.Notices)
	}
}

// Every store operation of a publish fails once before it is applied and once
// after. Through its heads the tree is then valid, old or new; and the same
// command again gives the bytes of a publish that nothing disturbed.
func TestEveryStoreOperationFails(t *testing.T) {
	keys := keysFolder(t)
	want := newSite(t, keys)
	want.publish(t)
	want.template(t, "a", "2")
	want.publish(t)
	cut := errors.New("cut off")
	points := 0
	for _, applied := range []bool{false, true} {
		for n := 0; ; n++ {
			s := newSite(t, keys)
			s.publish(t)
			s.template(t, "a", "2")
			left := n
			var where string
			s.store.Fault = func(op, key string) (bool, error) {
				if left--; left == -1 {
					where = op + " " + key
					return applied, cut
				}
				return true, nil
			}
			_, err := s.run(t)
			s.store.Fault = nil
			if where == "" {
				break // past the last operation
			}
			points++
			if err != nil && !errors.Is(err, cut) {
				t.Fatalf("%s: %v", where, err)
			}
			if report := s.audit(t, s.options(t), s.store); len(report.Discrepancies) > 0 {
				t.Fatalf("%s (applied %v): the tree is broken: %v", where, applied, report.Discrepancies)
			}
			if _, err := s.run(t); err != nil {
				t.Fatalf("%s (applied %v): run again: %v", where, applied, err)
			}
			if !maps.EqualFunc(s.store.Objects(), want.store.Objects(), slices.Equal) {
				t.Fatalf("%s (applied %v): the finished tree differs in %v", where, applied, differences(s.store.Objects(), want.store.Objects()))
			}
		}
	}
	t.Logf("%d points", points)
	if points < 80 {
		t.Errorf("only %d points were covered", points)
	}
}

func differences(a, b map[string][]byte) []string {
	var list []string
	for key := range a {
		if string(a[key]) != string(b[key]) {
			list = append(list, key)
		}
	}
	for key := range b {
		if a[key] == nil {
			list = append(list, "missing "+key)
		}
	}
	return list
}

// The same for every operation on the disk, of history and store together.
func TestEveryDiskOperationFails(t *testing.T) {
	keys := keysFolder(t)
	first := func() (*publisher, Options) {
		s := newSite(t, keys)
		o := s.options(t)
		o.Store = nil
		if _, err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		s.template(t, "a", "2")
		return s, o
	}
	cut := errors.New("cut off")
	points := 0
	for _, applied := range []bool{false, true} {
		for n := 0; ; n += 7 { // each operation has many of its kind beside it
			s, o := first()
			left := n
			var where string
			faulty := o
			faulty.Disk.Fault = func(op, path string) (bool, error) {
				if left--; left == -1 {
					where = op + " " + path
					return applied, cut
				}
				if left < -1 {
					return false, cut // the process is gone
				}
				return true, nil
			}
			_, err := Run(t.Context(), faulty)
			if where == "" {
				break
			}
			points++
			if err != nil && !errors.Is(err, cut) {
				t.Fatalf("%s: %v", where, err)
			}
			at, err := store.Open("file:"+filepath.Join(s.dir, "public"), store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if report := s.audit(t, o, at); len(report.Discrepancies) > 0 {
				t.Fatalf("%s (applied %v): the tree is broken: %v", where, applied, report.Discrepancies)
			}
			if _, err := Run(t.Context(), o); err != nil {
				t.Fatalf("%s (applied %v): run again: %v", where, applied, err)
			}
			if report := s.audit(t, o, at); len(report.Discrepancies)+len(report.Notices) > 0 || report.Size != 3 {
				t.Fatalf("%s (applied %v): after the second run: %v %v, %d entries", where, applied, report.Discrepancies, report.Notices, report.Size)
			}
		}
	}
	t.Logf("%d points", points)
	if points < 40 {
		t.Errorf("only %d points were covered", points)
	}
}

// A failed publish before the commit leaves a history that never was.
func TestFailureLeavesNothing(t *testing.T) {
	s := newSite(t, keysFolder(t))
	s.write(t, "b/root.img", "")
	var input *pack.InputError
	if _, err := s.run(t); !errors.As(err, &input) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "history")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("history: %v", err)
	}
	if n := len(s.store.Objects()); n > 0 {
		t.Errorf("%d objects were written", n)
	}
}

func TestPublishedPackagesDoNotChange(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *publisher)
		want   string
	}{
		"image": {func(s *publisher) { s.write(t, "a/root.img", "other") }, "another content"},
		"log":   {func(s *publisher) { s.write(t, "a/build.log", "other") }, "another build log"},
	} {
		s := newSite(t, keysFolder(t))
		s.publish(t)
		before := maps.Clone(s.store.Objects())
		c.change(s)
		var input *pack.InputError
		if _, err := s.run(t); !errors.As(err, &input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if !maps.EqualFunc(before, s.store.Objects(), slices.Equal) {
			t.Errorf("%s: the tree changed", name)
		}
	}
}

// A history restored from an old backup must not fork the ledger.
func TestOvertakenAndForked(t *testing.T) {
	keys := keysFolder(t)
	s := newSite(t, keys)
	s.publish(t)
	backup := filepath.Join(memoryDir(t), "backup")
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(s.dir, "history"))); err != nil {
		t.Fatal(err)
	}
	s.template(t, "a", "2")
	s.publish(t)
	history := filepath.Join(s.dir, "history")
	if err := os.RemoveAll(history); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, history); err != nil {
		t.Fatal(err)
	}
	s.template(t, "a", "3")
	writes := len(s.store.Writes())
	if _, err := s.run(t); !errors.Is(err, ErrOvertaken) {
		t.Errorf("a history behind its store: %v", err)
	}

	// With the store gone back as well, it publishes another second state ...
	other := &publisher{s.dir, storetest.NewFake(t)}
	other.publish(t)
	// ... and meets the first one again.
	var fork *ForkError
	if _, err := s.run(t); !errors.As(err, &fork) {
		t.Fatalf("two second states: %v", err)
	}
	for _, name := range []string{"ours", "theirs"} {
		if data, err := os.ReadFile(filepath.Join(fork.Evidence, name)); err != nil || !strings.Contains(string(data), "127.0.0.1:1/ledger\n") {
			t.Errorf("evidence %s: %q, %v", name, data, err)
		}
	}
	if len(s.store.Writes()) != writes {
		t.Errorf("%d writes", len(s.store.Writes())-writes)
	}
}

// A lost store is filled again from the history, byte for byte.
func TestLostStore(t *testing.T) {
	s := newSite(t, keysFolder(t))
	s.publish(t)
	s.template(t, "a", "2")
	s.publish(t)
	want := s.store.Objects()
	s.store = storetest.NewFake(t)
	s.publish(t)
	got := s.store.Objects()
	for key := range want {
		if strings.HasPrefix(key, "ledger/staging/") || strings.HasPrefix(key, "templates/latest/") {
			continue // what only the way there needed
		}
		if string(got[key]) != string(want[key]) {
			t.Errorf("%s differs", key)
		}
	}
	if report := s.audit(t, s.options(t), s.store); len(report.Discrepancies)+len(report.Notices) > 0 {
		t.Errorf("%v %v", report.Discrepancies, report.Notices)
	}
}

// Two publishers with one ledger key and histories of their own: one wins.
func TestRace(t *testing.T) {
	keys := keysFolder(t)
	shared := storetest.NewFake(t)
	a, b := newSite(t, keys), newSite(t, keys)
	a.store, b.store = shared, shared
	b.template(t, "b", "7")
	inside := false
	shared.Fault = func(op, key string) (bool, error) {
		if op == "swap" && key == "ledger/commit" && !inside {
			inside = true
			b.publish(t) // just before a's commit
		}
		return true, nil
	}
	if _, err := a.run(t); !errors.Is(err, ErrOvertaken) {
		t.Errorf("the loser: %v", err)
	}
	if _, err := os.Stat(filepath.Join(a.dir, "history")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the loser's history: %v", err)
	}
	if report := a.audit(t, a.options(t), shared); len(report.Discrepancies) > 0 || report.Size != 2 {
		t.Errorf("%v, %d entries", report.Discrepancies, report.Size)
	}
}

func TestCancelledPublish(t *testing.T) {
	s := newSite(t, keysFolder(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, s.options(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "history")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("history: %v", err)
	}
}

// Two publishes in a row that are cut off behind their commit: the second one
// finishes the first before it begins, so never more than one snapshot of a
// repository is not live.
func TestTwoCrashesInARow(t *testing.T) {
	s := newSite(t, keysFolder(t))
	s.publish(t)
	cut := errors.New("cut off")
	for release := 2; release <= 3; release++ {
		s.template(t, "a", fmt.Sprint(release))
		committed := false
		s.store.Fault = func(op, key string) (bool, error) {
			if committed && op == "swap" && key == "templates/metalink" {
				return false, cut
			}
			if op == "swap" && key == "ledger/commit" {
				committed = true
			}
			return true, nil
		}
		if _, err := s.run(t); !errors.Is(err, cut) {
			t.Fatalf("release %d: %v", release, err)
		}
		s.store.Fault = nil
		if report := s.audit(t, s.options(t), s.store); len(report.Discrepancies) > 0 || report.Size != int64(release+1) {
			t.Fatalf("release %d: %v, %d entries", release, report.Discrepancies, report.Size)
		}
	}
	s.publish(t)
	if report := s.audit(t, s.options(t), s.store); len(report.Discrepancies)+len(report.Notices) > 0 {
		t.Errorf("%v %v", report.Discrepancies, report.Notices)
	}
}

// Rules that speak of the repository: sizes that jump, releases that go back.
func TestRulesOfTheRepository(t *testing.T) {
	s := newSite(t, keysFolder(t))
	s.publish(t)
	s.template(t, "a", "0.5")
	if _, err := s.run(t); err == nil || !strings.Contains(err.Error(), "rule L18") {
		t.Errorf("an older release: %v", err)
	}
	config := filepath.Join(s.dir, "colophon.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "colophon.yaml", strings.Replace(string(text), "{name: templates}", "{name: templates, rollback: true, maxGrowth: 50}", 1))
	s.publish(t)
	s.template(t, "a", "2")
	noise := make([]byte, 100_000)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	s.write(t, "a/root.img", string(noise))
	before := len(s.store.Writes())
	var input *pack.InputError
	if _, err := s.run(t); !errors.As(err, &input) || !strings.Contains(err.Error(), "rule L17") {
		t.Errorf("a package that grew: %v", err)
	}
	if len(s.store.Writes()) != before {
		t.Error("a refused package was uploaded")
	}
}
