package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"colophon/mirror/disk"
	"colophon/publish/store"
)

func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func writeFile(t *testing.T, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

// names returns all paths below dir.
func names(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			found = append(found, strings.TrimPrefix(path, dir+"/"))
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

const rpm = "packages/a/a-1-1.noarch.rpm"

// TestFileFaults fails every operation on the disk under every write of the store: the object is old or new, no
// temporary file stays, and the same call again succeeds.
func TestFileFaults(t *testing.T) {
	fault := errors.New("fault")
	data := []byte("new")
	points := 0
	for name, test := range map[string]struct {
		key, old string
		run      func(s *store.File, tag store.Tag) error
	}{
		"put": {rpm, "", func(s *store.File, _ store.Tag) error {
			return s.Put(t.Context(), rpm, store.Bytes(data), store.Package)
		}},
		"put again": {rpm, "new", func(s *store.File, _ store.Tag) error {
			return s.Put(t.Context(), rpm, store.Bytes(data), store.Package)
		}},
		"first swap": {"ledger/commit", "", func(s *store.File, tag store.Tag) error {
			_, err := s.Swap(t.Context(), "ledger/commit", data, store.Commit, tag)
			return err
		}},
		"swap": {"ledger/commit", "old", func(s *store.File, tag store.Tag) error {
			_, err := s.Swap(t.Context(), "ledger/commit", data, store.Commit, tag)
			return err
		}},
	} {
		for k, reached := 0, true; reached; k++ {
			for _, apply := range []bool{false, true} {
				n := -1
				reached = false
				second := false
				var op string
				s := newFile(t, disk.Disk{Fault: func(o, _ string) (bool, error) {
					if n++; n != k || second {
						return true, nil
					}
					op, reached = o, true
					return apply, fault
				}})
				var tag store.Tag
				if test.old != "" {
					writeFile(t, filepath.Join(s.Root(), test.key), test.old)
					_, tag, _ = s.Get(t.Context(), test.key, 100)
				}
				err := test.run(s, tag)
				if reached && op != "remove" && !errors.Is(err, fault) || err != nil && !errors.Is(err, fault) {
					t.Errorf("%s, %s %d, applied %t: %v", name, op, k, apply, err)
				}
				points++
				got, _, err := s.Get(t.Context(), test.key, 100)
				if errors.Is(err, fs.ErrNotExist) {
					err = nil
				}
				if err != nil || string(got) != test.old && string(got) != "new" {
					t.Errorf("%s, %s %d, applied %t: left %q, %v", name, op, k, apply, got, err)
				}
				for _, left := range names(t, s.Root()) {
					if strings.Contains(left, ".tmp-") {
						t.Errorf("%s, %s %d, applied %t: left %s", name, op, k, apply, left)
					}
				}
				second = true
				if err := test.run(s, tag); err != nil {
					t.Errorf("%s, %s %d, applied %t: again: %v", name, op, k, apply, err)
				}
			}
		}
	}
	t.Logf("%d fault points", points)
}

func TestFileSymlinks(t *testing.T) {
	s := newFile(t, disk.Disk{})
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "a-1-1.noarch.rpm"), "outside")
	writeFile(t, filepath.Join(s.Root(), "packages/b/b.rpm"), "inside")
	for link, target := range map[string]string{
		"packages/a":          outside,
		"packages/b/link.rpm": filepath.Join(outside, "a-1-1.noarch.rpm"),
		"ledger":              filepath.Join(outside, "missing"),
	} {
		if err := os.Symlink(target, filepath.Join(s.Root(), link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{rpm, "packages/b/link.rpm", "ledger/commit"} {
		if data, _, err := s.Get(t.Context(), key, 100); err == nil {
			t.Errorf("get %q gave %q", key, data)
		}
		if _, err := s.Stat(t.Context(), key); err == nil {
			t.Errorf("stat %q succeeded", key)
		}
	}
	for _, key := range []string{rpm, "packages/a/new.rpm", "packages/b/link.rpm"} {
		if err := s.Put(t.Context(), key, store.Bytes([]byte("outside")), store.Package); err == nil {
			t.Errorf("put %q succeeded", key)
		}
	}
	if _, err := s.Swap(t.Context(), "ledger/commit", []byte("x"), store.Commit, ""); err == nil {
		t.Error("swap succeeded")
	}
	if got := names(t, outside); len(got) != 1 {
		t.Errorf("outside there is %q", got)
	}
	var listed []string
	err := s.List(t.Context(), "", func(info store.Info) error { listed = append(listed, info.Key); return nil })
	if err != nil || len(listed) != 1 || listed[0] != "packages/b/b.rpm" {
		t.Errorf("listed %q, %v", listed, err)
	}
}

func TestFileHidesItsOwn(t *testing.T) {
	s := newFile(t, disk.Disk{})
	if _, err := s.Swap(t.Context(), "ledger/commit", []byte("x"), store.Commit, ""); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(s.Root(), "ledger/.tmp-1-1"), "")
	writeFile(t, filepath.Join(s.Root(), "ledger/not a key"), "")
	var listed []string
	err := s.List(t.Context(), "", func(info store.Info) error { listed = append(listed, info.Key); return nil })
	if err != nil || len(listed) != 1 || listed[0] != "ledger/commit" {
		t.Errorf("listed %q, %v", listed, err)
	}
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names(t, s.Root()), " "); got != ".colophon.lock ledger ledger/commit ledger/not a key" {
		t.Errorf("the folder holds %s", got)
	}
	if free, err := s.Free(); err != nil || free <= 0 {
		t.Errorf("free %d, %v", free, err)
	}
}

func TestFilePipeIsNoObject(t *testing.T) {
	s := newFile(t, disk.Disk{})
	writeFile(t, filepath.Join(s.Root(), "packages/a/b.rpm"), "")
	if err := syscall.Mkfifo(filepath.Join(s.Root(), rpm), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get(t.Context(), rpm, 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get: %v", err)
	}
	var conflict *store.ConflictError
	if err := s.Put(t.Context(), rpm, store.Bytes(nil), store.Package); !errors.As(err, &conflict) {
		t.Errorf("put: %v", err)
	}
}

func TestFileDamagedWhileRead(t *testing.T) {
	s := newFile(t, disk.Disk{})
	path := filepath.Join(s.Root(), rpm)
	writeFile(t, path, strings.Repeat("x", 1<<20))
	body, _, err := s.Open(t.Context(), rpm, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestFileRootIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "public")
	writeFile(t, path, "precious")
	if _, err := store.NewFile(path, disk.Disk{}); hint(err) == "" {
		t.Errorf("got %v", err)
	}
}

func TestReadingMakesNothing(t *testing.T) {
	s := newFile(t, disk.Disk{})
	s.Get(t.Context(), rpm, 1)
	s.Stat(t.Context(), rpm)
	s.List(t.Context(), "", func(store.Info) error { return nil })
	store.CheckClaim(t.Context(), s, "key")
	s.Swap(t.Context(), "ledger/commit", nil, store.Commit, "stale")
	if _, err := os.Stat(s.Root()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestClaimOfAForeignFolder(t *testing.T) {
	for _, entry := range []string{"file", "not a key", "folder/", "ledger/other", "ledger/folder/", "packages/a/a.rpm", ".hidden"} {
		t.Run(entry, func(t *testing.T) {
			s := newFile(t, disk.Disk{})
			path := filepath.Join(s.Root(), entry)
			if strings.HasSuffix(entry, "/") {
				if err := os.MkdirAll(path, 0o755); err != nil {
					t.Fatal(err)
				}
			} else {
				writeFile(t, path, "precious")
			}
			before := fmt.Sprint(names(t, s.Root()))
			for _, claim := range []error{
				store.CheckClaim(t.Context(), s, "key"), store.Claim(t.Context(), s, "key"),
			} {
				var foreign *store.ForeignError
				if !errors.As(claim, &foreign) || hint(claim) == "" || !strings.HasPrefix(entry, strings.TrimSuffix(foreign.Entry, "/")) {
					t.Errorf("got %v", claim)
				}
			}
			if after := fmt.Sprint(names(t, s.Root())); after != before {
				t.Errorf("the folder holds %s, before %s", after, before)
			}
		})
	}
}

func TestClaimOfAnotherKey(t *testing.T) {
	s := newFile(t, disk.Disk{})
	if err := store.Claim(t.Context(), s, "theirs"); err != nil {
		t.Fatal(err)
	}
	err := store.Claim(t.Context(), s, "ours")
	var claimed *store.ClaimedError
	if !errors.As(err, &claimed) || claimed.Found != "theirs" || claimed.Want != "ours" || hint(err) == "" {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"", "\n", "a\nb", strings.Repeat("x", 5000)} {
		if err := store.Claim(t.Context(), newFile(t, disk.Disk{}), bad); err == nil {
			t.Errorf("claimed with %.20q", bad)
		}
	}
}

// TestClaimAfterACrash: from every operation on, nothing of the first claim reaches the disk; the second succeeds.
func TestClaimAfterACrash(t *testing.T) {
	crash := errors.New("crash")
	for k, reached := 0, true; reached; k++ {
		n := -1
		reached = false
		s := newFile(t, disk.Disk{Fault: func(string, string) (bool, error) {
			if n++; n >= k {
				reached = true
				return false, crash
			}
			return true, nil
		}})
		if err := store.Claim(t.Context(), s, "key"); (err != nil) != reached {
			t.Errorf("operation %d: %v", k, err)
		}
		after, err := store.NewFile(s.Root(), disk.Disk{})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Claim(t.Context(), after, "key"); err != nil {
			t.Errorf("operation %d: again: %v", k, err)
		}
		if owner, err := store.Owner(t.Context(), after); owner != "key" || err != nil {
			t.Errorf("operation %d: owner %q, %v", k, owner, err)
		}
	}
}

func TestBody(t *testing.T) {
	data := []byte("content")
	known := store.Bytes(data)
	for _, digest := range []string{"", "x", strings.ToUpper(known.SHA256()), known.SHA256() + "00"} {
		if _, err := store.NewBody(bytes.NewReader(data), 7, digest); err == nil {
			t.Errorf("accepted the digest %q", digest)
		}
	}
	if _, err := store.NewBody(bytes.NewReader(data), -1, known.SHA256()); err == nil {
		t.Error("accepted a negative size")
	}
	if _, err := store.HashBody(t.Context(), bytes.NewReader(data), 8); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("hashed a short source: %v", err)
	}
	hashed, err := store.HashBody(t.Context(), bytes.NewReader(data), 7)
	if err != nil || hashed.SHA256() != known.SHA256() || hashed.Size() != 7 {
		t.Errorf("hashed %s, %d, %v", hashed.SHA256(), hashed.Size(), err)
	}
	for range 2 {
		if got, err := io.ReadAll(hashed.Reader()); err != nil || !bytes.Equal(got, data) {
			t.Errorf("read %q, %v", got, err)
		}
	}
}
