package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestMove(t *testing.T) {
	root := t.TempDir()
	var d Disk
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(path string) string { return filepath.Join(root, path) }
	must(d.Replace(at("pending/one/file"), []byte("1"), 0))
	must(d.Move(at("pending/one"), at("snapshots/templates/000001")))
	must(d.Move(at("snapshots/templates/000001/file"), at("snapshots/templates/000001/renamed")))
	want := map[string]string{
		"pending/": "", "snapshots/": "", "snapshots/templates/": "", "snapshots/templates/000001/": "",
		"snapshots/templates/000001/renamed": "1",
	}
	if got := listing(t, root); !sameListing(got, want) {
		t.Errorf("got %v", got)
	}
	must(d.Replace(at("pending/one/file"), []byte("2"), 0))
	if err := d.Move(at("pending/one"), at("snapshots/templates/000001")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("move onto a folder: %v", err)
	}
	if err := d.Move(at("missing"), at("new/name")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("move of nothing: %v", err)
	}
	if _, err := os.Stat(at("new")); err == nil {
		t.Error("a failed move left a folder")
	}

	must(d.Remove(at("snapshots/templates/000001/renamed")))
	if err := d.Remove(at("snapshots/templates/000001/renamed")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("second remove: %v", err)
	}
	must(d.RemoveAll(at("pending")))
	must(d.RemoveAll(at("pending")))
	must(d.MkdirAll(at("x/y"), 0))
	must(d.MkdirAll(at("x/y"), 0))
	want = map[string]string{
		"snapshots/": "", "snapshots/templates/": "", "snapshots/templates/000001/": "", "x/": "", "x/y/": "",
	}
	if got := listing(t, root); !sameListing(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestFree(t *testing.T) {
	dir := t.TempDir()
	free, err := Disk{}.Free(filepath.Join(dir, "not", "there", "yet"))
	if err != nil || free <= 0 {
		t.Errorf("free %d, %v", free, err)
	}
}

func TestSweepTemporary(t *testing.T) {
	root := t.TempDir()
	var d Disk
	if n, err := d.SweepTemporary(filepath.Join(root, "missing")); n != 0 || err != nil {
		t.Errorf("sweep of nothing: %d, %v", n, err)
	}
	if err := d.Replace(filepath.Join(root, "a", "file"), []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".tmp-1-1", "a/.tmp-2-1"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	alive, err := d.Stage(filepath.Join(root, "a"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := d.SweepTemporary(root); n != 2 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if err := alive.Commit(filepath.Join(root, "a", "staged"), Exclusive); err != nil {
		t.Errorf("the sweep took the file of a living writer: %v", err)
	}
	if got := listing(t, root); !sameListing(got, map[string]string{"a/": "", "a/file": "x", "a/staged": ""}) {
		t.Errorf("left %v", got)
	}
}
