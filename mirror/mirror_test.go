package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"colophon/mirror/disk"
)

func open(t *testing.T, root string, d disk.Disk) *History {
	t.Helper()
	h, err := Open(root, d)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func files(t *testing.T, a Area) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := a.Walk(func(key string) error {
		data, err := a.ReadFile(t.Context(), key)
		all[key] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func fill(t *testing.T, a Area, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := a.Put(key, []byte("data of "+key)); err != nil {
			t.Fatal(err)
		}
	}
}

var keys = []string{"packages/a/a-1-1.noarch.rpm", "r/000001/repodata/repomd.xml", "ledger/tile/0/000.p/1", checkpointKey}

func TestAdopt(t *testing.T) {
	root := filepath.Join(t.TempDir(), "history")
	h := open(t, root, disk.Disk{})
	fill(t, h.Pending, keys...)
	if err := h.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := files(t, h.Tree); len(got) != len(keys) || got[keys[0]] != "data of "+keys[0] {
		t.Errorf("tree holds %v", got)
	}
	if got := files(t, h.Pending); len(got) > 0 {
		t.Errorf("pending holds %v", got)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}

	h = open(t, root, disk.Disk{})
	defer h.Close()
	fill(t, h.Pending, keys[0])
	if err := h.Pending.Put(checkpointKey, []byte("next")); err != nil {
		t.Fatal(err)
	}
	if err := h.Adopt(t.Context()); err != nil {
		t.Fatal("the same file again:", err)
	}
	if got := files(t, h.Tree)[checkpointKey]; got != "next" {
		t.Errorf("checkpoint is %q", got)
	}
	if err := h.Pending.Put(keys[0], []byte("other")); err != nil {
		t.Fatal(err)
	}
	var different *disk.DifferentError
	if err := h.Adopt(t.Context()); !errors.As(err, &different) {
		t.Errorf("other content under a known key: %v", err)
	}
}

// Adopt is cut off before each operation, and after it, and called again.
func TestAdoptCutOff(t *testing.T) {
	cut := errors.New("cut off")
	for _, applied := range []bool{false, true} {
		for n := 0; ; n++ {
			root := filepath.Join(t.TempDir(), "history")
			h := open(t, root, disk.Disk{})
			fill(t, h.Tree, "ledger/old")
			if err := h.Tree.Put(checkpointKey, []byte("old")); err != nil {
				t.Fatal(err)
			}
			h.created = false
			fill(t, h.Pending, keys...)
			left := n
			h.disk.Fault = func(op, path string) (bool, error) {
				if left--; left < 0 {
					return applied && left == -1, cut
				}
				return true, nil
			}
			err := h.Adopt(t.Context())
			h.disk.Fault = nil
			h.lock.Close()
			if err == nil {
				if n < 8 {
					t.Errorf("only %d operations", n)
				}
				break
			}
			again := open(t, root, disk.Disk{})
			if tree := files(t, again.Tree); tree[checkpointKey] != "old" && len(tree) != len(keys)+1 {
				t.Fatalf("cut at %d: the checkpoint speaks of files that are not there: %v", n, tree)
			}
			if err := again.Adopt(t.Context()); err != nil {
				t.Fatalf("cut at %d, applied %v: %v", n, applied, err)
			}
			// Cut behind the checkpoint, pending is gone or a rest of nothing.
			if tree := files(t, again.Tree); len(tree) != len(keys)+1 || tree[checkpointKey] != "data of "+checkpointKey {
				t.Fatalf("cut at %d, applied %v: tree holds %v", n, applied, tree)
			}
			again.Close()
		}
	}
}

func TestCloseLeavesNothingOfAnUnusedHistory(t *testing.T) {
	root := filepath.Join(t.TempDir(), "history")
	h := open(t, root, disk.Disk{})
	fill(t, h.Pending, keys...)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unused history stays: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "thesis.tex"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var bad *FormatError
	if _, err := Open(root, disk.Disk{}); !errors.As(err, &bad) || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("a folder with other things: %v", err)
	}
	if list, _ := os.ReadDir(root); len(list) != 1 {
		t.Errorf("the folder was changed: %v", list)
	}
	root = t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "format"), []byte("2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(root, disk.Disk{}); !errors.As(err, &bad) || !strings.Contains(err.Error(), `format "2"`) {
		t.Errorf("a later format: %v", err)
	}
	root = filepath.Join(t.TempDir(), "history")
	h := open(t, root, disk.Disk{})
	defer h.Close()
	if _, err := Open(root, disk.Disk{}); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	h, err := Open(filepath.Join(dir, "history"), disk.Disk{})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	fmt.Println(h.Pending.Put("packages/a/a-1-1.noarch.rpm", []byte("...")))
	fmt.Println(h.Adopt(context.Background()))
	fmt.Println(h.Tree.Has("packages/a/a-1-1.noarch.rpm"))
	// Output:
	// <nil>
	// <nil>
	// true
}
