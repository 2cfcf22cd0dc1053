package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Tree is the public tree in a folder as a read-only file system: Open takes a key and gives a regular file, or
// fs.ErrNotExist. It shows no folders, no locks, no temporary files, and nothing that a symbolic link leads to
// outside the folder. Files are *os.File, so they can be sought. A missing folder is an error with a hint.
func Tree(dir string) (fs.FS, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return nil, &hinted{fmt.Errorf("no public tree: %w", err), "publish something first, or name the folder of a published tree"}
	}
	return tree(dir), nil
}

type tree string

// Open implements fs.FS.
func (t tree) Open(key string) (fs.File, error) {
	f, _, err := t.open(key)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// open opens the folder anew each time, so that a tree which is moved away and made again is seen.
func (t tree) open(key string) (file *os.File, info fs.FileInfo, err error) {
	err = t.visit(key, func(root *os.Root) error {
		if file, err = root.Open(key); err != nil {
			return err
		}
		if info, err = file.Stat(); err != nil {
			file.Close()
		}
		return err
	})
	return file, info, err
}

func (t tree) stat(key string) (info fs.FileInfo, err error) {
	err = t.visit(key, func(root *os.Root) error {
		info, err = root.Stat(key)
		return err
	})
	return info, err
}

// visit calls f if key is a regular file. It asks before it opens, because opening a pipe would wait for ever.
func (t tree) visit(key string, f func(root *os.Root) error) error {
	missing := &fs.PathError{Op: "open", Path: key, Err: fs.ErrNotExist}
	if CheckKey(key) != nil {
		return missing
	}
	root, err := os.OpenRoot(string(t))
	if err == nil {
		defer root.Close()
		var info fs.FileInfo
		if info, err = root.Stat(key); err == nil && !info.Mode().IsRegular() {
			return missing
		}
		if err == nil {
			err = f(root)
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return missing
	}
	return err
}

// list walks the regular files below folder, "" for the root, whose keys begin with prefix. Symbolic links and names
// that are no keys are left out. The order is that of the keys, not that of the names: "a-b/c" comes before "a/b".
func (t tree) list(ctx context.Context, folder, prefix string, f func(Info) error) error {
	entries, err := t.read(folder)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	name := func(entry fs.DirEntry) string {
		if entry.IsDir() {
			return entry.Name() + "/"
		}
		return entry.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(name(a), name(b)) })
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := path.Join(folder, entry.Name())
		switch {
		case CheckKey(key) != nil:
		case entry.IsDir():
			if within := key + "/"; strings.HasPrefix(within, prefix) || strings.HasPrefix(prefix, within) {
				if err := t.list(ctx, key, prefix, f); err != nil {
					return err
				}
			}
		case entry.Type().IsRegular() && strings.HasPrefix(key, prefix):
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := f(Info{Key: key, Size: info.Size()}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t tree) read(folder string) ([]fs.DirEntry, error) {
	f, err := os.OpenInRoot(string(t), path.Join(".", folder))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.ReadDir(-1)
}

// hinted is an error that tells what to do.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }
func (h *hinted) Hint() string  { return h.hint }
