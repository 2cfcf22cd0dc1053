package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var errFault = errors.New("fault")

// action is one change of a tree that may be failed anywhere.
type action struct {
	name  string
	setup map[string]string
	run   func(d Disk, root string) error
	// file is looked at afterwards: it must have one of these contents, where "-" is absent.
	file     string
	contents []string
}

func actions() []action {
	var all []action
	for verb, name := range []string{"exclusive", "idempotent", "replacing"} {
		for _, form := range []string{"bytes", "stream with digest", "staged elsewhere"} {
			run := func(d Disk, root string) error {
				return write(form, d, Verb(verb), root, filepath.Join(root, "a", "b", "file"), "new")
			}
			all = append(all, action{name + " new " + form, nil, run, "a/b/file", []string{"-", "new"}})
			switch Verb(verb) {
			case Idempotent:
				all = append(all, action{name + " equal " + form, map[string]string{"a/b/file": "new"}, run, "a/b/file", []string{"new"}})
			case Replacing:
				all = append(all, action{name + " old " + form, map[string]string{"a/b/file": "old"}, run, "a/b/file", []string{"old", "new"}})
			}
		}
	}
	at := func(root, path string) string { return filepath.Join(root, filepath.FromSlash(path)) }
	return append(all,
		action{"move folder", map[string]string{"pending/file": "new"}, func(d Disk, root string) error {
			return d.Move(at(root, "pending"), at(root, "x/y/final"))
		}, "x/y/final/file", []string{"-", "new"}},
		action{"move file", map[string]string{"pending": "new"}, func(d Disk, root string) error {
			return d.Move(at(root, "pending"), at(root, "x/final"))
		}, "x/final", []string{"-", "new"}},
		action{"remove", map[string]string{"file": "old"}, func(d Disk, root string) error {
			return d.Remove(at(root, "file"))
		}, "file", []string{"-", "old"}},
		action{"remove all", map[string]string{"a/file": "old"}, func(d Disk, root string) error {
			return d.RemoveAll(at(root, "a"))
		}, "a/file", []string{"-", "old"}},
		action{"make folders", nil, func(d Disk, root string) error {
			return d.MkdirAll(at(root, "a/b/c"), 0)
		}, "a/b/c/file", []string{"-"}},
		action{"sweep", map[string]string{"a/.tmp-1-1": "x", "file": "old"}, func(d Disk, root string) error {
			_, err := d.SweepTemporary(root)
			return err
		}, "file", []string{"old"}},
		action{"lock", map[string]string{"file": "old"}, func(d Disk, root string) error {
			lock, err := d.Lock(at(root, "a/lock"))
			if err == nil {
				err = lock.Close()
			}
			return err
		}, "file", []string{"old"}},
	)
}

func (a action) prepare(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for path, data := range a.setup {
		path = filepath.Join(root, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func (a action) check(t *testing.T, root string) {
	t.Helper()
	content := "-"
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(a.file)))
	if err == nil {
		content = string(data)
	} else if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for _, allowed := range a.contents {
		if content == allowed {
			return
		}
	}
	t.Errorf("%s holds %q, want one of %q", a.file, content, a.contents)
}

func temporaryFiles(t *testing.T, root string) (found []string) {
	for name := range listing(t, root) {
		if strings.HasPrefix(filepath.Base(name), TemporaryPrefix) {
			found = append(found, name)
		}
	}
	return found
}

// TestOrder: content is on the disk before its name, and a name before success is reported.
func TestOrder(t *testing.T) {
	for name, want := range map[string]string{
		"exclusive new bytes":             "mkdir a, syncdir ., mkdir a/b, syncdir a, create T, write T, sync T, link a/b/file, remove T, syncdir a/b",
		"idempotent equal bytes":          "sync a/b/file, syncdir a/b",
		"idempotent new staged elsewhere": "mkdir staging, syncdir ., create T, write T, write T, write T, sync T, mkdir a, syncdir ., mkdir a/b, syncdir a, link a/b/file, remove T, syncdir a/b, syncdir staging",
		"replacing old bytes":             "create T, write T, sync T, rename a/b/file, remove T, syncdir a/b",
		"move folder":                     "mkdir x, syncdir ., mkdir x/y, syncdir x, rename x/y/final, syncdir x/y, syncdir .",
		"move file":                       "sync pending, mkdir x, syncdir ., rename x/final, syncdir x, syncdir .",
		"remove":                          "remove file, syncdir .",
		"remove all":                      "removeall a, syncdir .",
		"sweep":                           "remove T, syncdir a",
	} {
		for _, a := range actions() {
			if a.name != name {
				continue
			}
			root := a.prepare(t)
			var ops []string
			d := Disk{Fault: func(op, path string) (bool, error) {
				rel, err := filepath.Rel(root, path)
				if strings.HasPrefix(filepath.Base(rel), TemporaryPrefix) {
					rel = "T"
				}
				ops = append(ops, op+" "+rel)
				return true, err
			}}
			if err := a.run(d, root); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := strings.Join(ops, ", "); got != want {
				t.Errorf("%s:\n got %s\nwant %s", name, got, want)
			}
		}
	}
}

// TestEveryOperationFails fails each operation of each action, once not applied and once applied but reported as
// failed, and a third time as a crash: from that operation on nothing reaches the disk any more.
func TestEveryOperationFails(t *testing.T) {
	points := 0
	for _, a := range actions() {
		var ops []string
		root := a.prepare(t)
		count := Disk{Fault: func(op, _ string) (bool, error) { ops = append(ops, op); return true, nil }}
		if err := a.run(count, root); err != nil {
			t.Fatalf("%s: %v", a.name, err)
		}
		if len(ops) == 0 {
			t.Fatalf("%s: no operation passed the hook", a.name)
		}
		for k := range ops {
			for _, how := range []string{"not applied", "applied", "crash"} {
				points++
				t.Run(fmt.Sprintf("%s/%d %s %s", a.name, k+1, ops[k], how), func(t *testing.T) {
					root := a.prepare(t)
					before := listing(t, root)
					n := 0
					d := Disk{Fault: func(op, _ string) (bool, error) {
						n++
						if n-1 == k || how == "crash" && n > k {
							return how == "applied", errFault
						}
						return true, nil
					}}
					err := a.run(d, root)
					// Taking the temporary name away is tried twice, so one failure there is made good.
					if err == nil && ops[k] != "remove" || err != nil && !errors.Is(err, errFault) {
						t.Errorf("error %v", err)
					}
					a.check(t, root)
					if how != "crash" && a.name != "sweep" {
						if left := temporaryFiles(t, root); left != nil {
							t.Errorf("left %v", left)
						}
					}
					// What failed before the name was given leaves no trace at all, not even a folder.
					switch ops[k] {
					case "mkdir", "create", "write":
						if after := listing(t, root); how != "crash" && !sameListing(before, after) {
							t.Errorf("left %v", after)
						}
					}
					if _, err := (Disk{}).SweepTemporary(root); err != nil {
						t.Error(err)
					}
					if left := temporaryFiles(t, root); left != nil {
						t.Errorf("the sweep left %v", left)
					}
					a.check(t, root)
				})
			}
		}
	}
	t.Logf("%d fault points", points)
}
