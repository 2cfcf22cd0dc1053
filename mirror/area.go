package mirror

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"colophon/mirror/disk"
	"colophon/pack/rpm"
)

// Area is a folder of files named by the keys of the public tree.
type Area struct {
	root string
	disk disk.Disk
}

// path is a key's file. Keys come from names that were checked when they came in.
func (a Area) path(key string) string { return filepath.Join(a.root, filepath.FromSlash(key)) }

// Open opens a file for reading; a missing one is fs.ErrNotExist.
func (a Area) Open(key string) (*os.File, error) { return os.Open(a.path(key)) }

// ReadFile reads a small file; a missing one is fs.ErrNotExist.
func (a Area) ReadFile(_ context.Context, key string) ([]byte, error) {
	return os.ReadFile(a.path(key))
}

// Has reports whether a file is there.
func (a Area) Has(key string) bool {
	_, err := os.Lstat(a.path(key))
	return err == nil
}

// Put writes a file that never changes: it may be there with the same bytes.
func (a Area) Put(key string, data []byte) error {
	return a.disk.CreateIdempotent(a.path(key), data, 0)
}

// Replace writes a file that may have been there with other bytes.
func (a Area) Replace(key string, data []byte) error {
	return a.disk.Replace(a.path(key), data, 0)
}

// Stage opens a temporary file that Keep will name.
func (a Area) Stage() (*disk.Staged, error) { return a.disk.Stage(a.root, 0) }

// Keep gives a staged file its key.
func (a Area) Keep(s *disk.Staged, key string) error {
	return s.Commit(a.path(key), disk.Idempotent)
}

// Walk calls f for every file, in the order of keys. A missing area is empty.
func (a Area) Walk(f func(key string) error) error {
	err := filepath.WalkDir(a.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(a.root, path)
		if err != nil {
			return err
		}
		return f(filepath.ToSlash(key))
	})
	if _, missing := os.Lstat(a.root); missing != nil && os.IsNotExist(missing) {
		return nil
	}
	return err
}

// Headers reads the headers of the package under a key and checks them against
// their digest in hex.
func (a Area) Headers(key, digest string) (*rpm.Package, error) {
	f, err := a.Open(key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := rpm.ReadHeaders(io.Reader(f))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", key, err)
	}
	if got := p.HeaderDigest(); got != digest {
		return nil, fmt.Errorf("read %q: history is damaged: header has the digest %s, the ledger says %s", key, got, digest)
	}
	return p, nil
}
