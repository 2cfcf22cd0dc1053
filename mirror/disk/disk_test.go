package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

func Example() {
	dir, err := os.MkdirTemp("", "disk")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	var d Disk
	path := filepath.Join(dir, "snapshots", "000001", "repomd.xml")
	fmt.Println(d.CreateIdempotent(path, []byte("<repomd/>"), 0))
	fmt.Println(d.CreateIdempotent(path, []byte("<repomd/>"), 0))
	var different *DifferentError
	fmt.Println(errors.As(d.CreateIdempotent(path, []byte("<other/>"), 0), &different))
	// Output:
	// <nil>
	// <nil>
	// true
}

func wanted(data string) *Want {
	sum := sha256.Sum256([]byte(data))
	return &Want{Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

// listing returns every path below dir with the content of files; folders end in a slash.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			found[rel+"/"] = ""
			return nil
		}
		data, err := os.ReadFile(path)
		found[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func sameListing(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

func TestVerbs(t *testing.T) {
	var different *DifferentError
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	for _, test := range []struct {
		name     string
		verb     Verb
		old, new string // old "-" is absent
		left     string
		fails    func(error) bool
	}{
		{"exclusive on nothing", Exclusive, "-", "new", "new", nil},
		{"exclusive on other", Exclusive, "old", "new", "old", is(fs.ErrExist)},
		{"exclusive on equal", Exclusive, "new", "new", "new", is(fs.ErrExist)},
		{"idempotent on nothing", Idempotent, "-", "new", "new", nil},
		{"idempotent on equal", Idempotent, "new", "new", "new", nil},
		{"idempotent on empty equal", Idempotent, "", "", "", nil},
		{"idempotent on other", Idempotent, "old", "new", "old", func(err error) bool { return errors.As(err, &different) }},
		{"idempotent on shorter", Idempotent, "ne", "new", "ne", func(err error) bool { return errors.As(err, &different) }},
		{"idempotent on longer", Idempotent, "newer", "new", "newer", func(err error) bool { return errors.As(err, &different) }},
		{"replacing nothing", Replacing, "-", "new", "new", nil},
		{"replacing other", Replacing, "old", "new", "new", nil},
	} {
		for _, form := range []string{"bytes", "stream", "stream with digest", "staged elsewhere"} {
			t.Run(test.name+"/"+form, func(t *testing.T) {
				root := t.TempDir()
				path := filepath.Join(root, "a", "b", "file")
				if test.old != "-" {
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(test.old), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				err := write(form, Disk{}, test.verb, root, path, test.new)
				if test.fails == nil && err != nil || test.fails != nil && (err == nil || !test.fails(err)) {
					t.Fatalf("got error %v", err)
				}
				data, err := os.ReadFile(path)
				if err != nil || string(data) != test.left {
					t.Fatalf("left %q, %v; want %q", data, err, test.left)
				}
				for name := range listing(t, root) {
					if strings.Contains(name, TemporaryPrefix) {
						t.Errorf("left %s", name)
					}
				}
			})
		}
	}
}

// write runs one verb in one of its forms.
func write(form string, d Disk, verb Verb, root, path, data string) error {
	ctx := context.Background()
	switch form {
	case "bytes":
		return map[Verb]func(string, []byte, fs.FileMode) error{
			Exclusive: d.CreateExclusive, Idempotent: d.CreateIdempotent, Replacing: d.Replace,
		}[verb](path, []byte(data), 0)
	case "stream":
		return d.WriteFrom(ctx, path, verb, iotest.OneByteReader(strings.NewReader(data)), nil, 0)
	case "stream with digest":
		return d.WriteFrom(ctx, path, verb, strings.NewReader(data), wanted(data), 0)
	case "staged elsewhere":
		s, err := d.Stage(filepath.Join(root, "staging"), 0)
		if err != nil {
			return err
		}
		defer s.Discard()
		for i := len(data) - 1; i >= 0; i-- { // last byte first, as the packer writes its headers last
			if _, err := s.WriteAt([]byte{data[i]}, int64(i)); err != nil {
				return err
			}
		}
		return s.Commit(path, verb)
	}
	panic(form)
}

func TestModes(t *testing.T) {
	root := t.TempDir()
	var d Disk
	for path, mode := range map[string]fs.FileMode{"keys/secret": 0o600, "public/file": 0} {
		if err := d.CreateExclusive(filepath.Join(root, path), []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]fs.FileMode{
		"keys": 0o700, "keys/secret": 0o600, "public": 0o755, "public/file": 0o644,
	} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
	}
}

func TestFailedSourceLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	for name, run := range map[string]func(path string) error{
		"short": func(path string) error {
			return Disk{}.WriteFrom(t.Context(), path, Idempotent, strings.NewReader("ne"), wanted("new"), 0)
		},
		"long": func(path string) error {
			return Disk{}.WriteFrom(t.Context(), path, Idempotent, strings.NewReader("newer"), wanted("new"), 0)
		},
		"other": func(path string) error {
			return Disk{}.WriteFrom(t.Context(), path, Idempotent, strings.NewReader("old"), wanted("new"), 0)
		},
		"broken": func(path string) error {
			return Disk{}.WriteFrom(t.Context(), path, Replacing, iotest.TimeoutReader(strings.NewReader("new")), nil, 0)
		},
		"canceled": func(path string) error {
			r := io.MultiReader(strings.NewReader("ne"), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }))
			err := Disk{}.WriteFrom(ctx, path, Replacing, r, nil, 0)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("canceled: %v", err)
			}
			return err
		},
		"parent is a file": func(path string) error {
			return Disk{}.CreateExclusive(filepath.Join(path, "..", "..", "..", "file", "x", "y"), nil, 0)
		},
	} {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "file"), []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		before := listing(t, root)
		if err := run(filepath.Join(root, "a", "b", "c")); err == nil {
			t.Errorf("%s: no error", name)
		}
		if after := listing(t, root); !sameListing(before, after) {
			t.Errorf("%s: left %v", name, after)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestRacesHaveOneWinner(t *testing.T) {
	for _, verb := range []Verb{Exclusive, Idempotent} {
		path := filepath.Join(t.TempDir(), "a", "b", "file")
		var won atomic.Int32
		var winner atomic.Value
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				data := bytes.Repeat([]byte{byte('a' + i)}, 1<<16)
				err := Disk{}.WriteFrom(t.Context(), path, verb, bytes.NewReader(data), nil, 0)
				var different *DifferentError
				switch {
				case err == nil:
					won.Add(1)
					winner.Store(data)
				case verb == Exclusive && errors.Is(err, fs.ErrExist):
				case verb == Idempotent && errors.As(err, &different):
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		data, err := os.ReadFile(path)
		if err != nil || won.Load() != 1 || !bytes.Equal(data, winner.Load().([]byte)) {
			t.Errorf("verb %d: %d winners, %v", verb, won.Load(), err)
		}
	}
}

func TestRacingEqualWritersAllSucceed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "file")
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if err := (Disk{}).CreateIdempotent(path, []byte("same"), 0); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestFoldersUndoneByARivalAreMadeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "file")
	failing := Disk{Fault: func(op, _ string) (bool, error) {
		if op == "write" {
			return false, errors.New("failed")
		}
		return true, nil
	}}
	for range 50 {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { failing.Replace(path, []byte("x"), 0) })
		}
		group.Go(func() {
			if err := (Disk{}).Replace(path, []byte("y"), 0); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
		if err := os.RemoveAll(filepath.Dir(filepath.Dir(path))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStaged(t *testing.T) {
	root := t.TempDir()
	s, err := Disk{}.Stage(filepath.Join(root, "staging"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(s, "head")
	s.WriteAt([]byte("payload"), 8)
	io.WriteString(s, "er")
	if size, err := s.Size(); size != 15 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	p := make([]byte, 15)
	if _, err := s.ReadAt(p, 0); err != nil || string(p) != "header\x00\x00payload" {
		t.Errorf("read %q, %v", p, err)
	}
	path := filepath.Join(root, "out", "package.rpm")
	if err := s.Commit(path, Exclusive); err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(); err != nil {
		t.Errorf("discard after commit: %v", err)
	}
	if err := s.Commit(path, Replacing); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second commit: %v", err)
	}
	if got := listing(t, filepath.Join(root, "out")); !sameListing(got, map[string]string{"package.rpm": string(p)}) {
		t.Errorf("got %v", got)
	}

	before := listing(t, root)
	if s, err = (Disk{}).Stage(filepath.Join(root, "a", "b"), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(); err != nil {
		t.Error(err)
	}
	if after := listing(t, root); !sameListing(before, after) {
		t.Errorf("discard left %v", after)
	}
}

func TestFolderIsNotAFile(t *testing.T) {
	dir := t.TempDir()
	var different *DifferentError
	if err := (Disk{}).CreateIdempotent(dir, nil, 0); !errors.As(err, &different) {
		t.Errorf("idempotent on a folder: %v", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.WriteFile(filepath.Join(dir, "target"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	if err := (Disk{}).CreateIdempotent(link, []byte("x"), 0); !errors.As(err, &different) {
		t.Errorf("idempotent through a symbolic link: %v", err)
	}
	if err := (Disk{}).Replace(dir, nil, 0); err == nil {
		t.Error("replaced a folder")
	}
}
