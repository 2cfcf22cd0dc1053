package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"colophon/mirror/disk"
)

// File is a Store in a folder. Processes may share the folder: Put relies on link(2), Swap on a lock file.
type File struct {
	root string
	disk disk.Disk
}

var _ Store = (*File)(nil)

// NewFile gives the store in the folder root, which need not exist yet: the first write makes it.
func NewFile(root string, d disk.Disk) (*File, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(root)
	if err == nil && !info.IsDir() {
		return nil, &hinted{fmt.Errorf("store %q is not a folder", root), "name a folder that is empty or does not exist yet"}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &File{root, d}, nil
}

// Root is the absolute path of the folder.
func (f *File) Root() string { return f.root }

// Address implements Reader.
func (f *File) Address() string { return "file:" + f.root }

// Free returns how many bytes may still be written.
func (f *File) Free() (int64, error) { return f.disk.Free(f.root) }

// Sweep removes the temporary files of crashed writers. Living writers, also of other processes, are not disturbed.
func (f *File) Sweep() error {
	_, err := f.disk.SweepTemporary(f.root)
	return err
}

// Open implements Reader.
func (f *File) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	file, info, err := f.open(ctx, key)
	if err != nil {
		return nil, Info{}, err
	}
	length, err = cutRange(info.Size, offset, length)
	if err != nil {
		file.Close()
		return nil, Info{}, fmt.Errorf("read %q: %w", key, err)
	}
	// An object only ever gets shorter by damage from outside, which must not look like its end.
	return &rangeStream{exactReader{&contextReader{ctx, io.NewSectionReader(file, offset, length)}, length}, file}, info, nil
}

type rangeStream struct {
	exactReader
	io.Closer
}

// exactReader turns an early end into an error.
type exactReader struct {
	io.Reader
	left int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (f *File) open(ctx context.Context, key string) (*os.File, Info, error) {
	err := ctx.Err()
	if err == nil {
		err = CheckKey(key)
	}
	if err != nil {
		return nil, Info{}, err
	}
	file, info, err := tree(f.root).open(key)
	if err != nil {
		return nil, Info{}, fmt.Errorf("read %q from %s: %w", key, f.Address(), err)
	}
	return file, Info{Key: key, Size: info.Size()}, nil
}

// Stat implements Reader.
func (f *File) Stat(ctx context.Context, key string) (Info, error) {
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	if err := CheckKey(key); err != nil {
		return Info{}, err
	}
	info, err := tree(f.root).stat(key)
	if err != nil {
		return Info{}, fmt.Errorf("look up %q in %s: %w", key, f.Address(), err)
	}
	return Info{Key: key, Size: info.Size()}, nil
}

// Get implements Reader. The Tag is the SHA-256 of the content.
func (f *File) Get(ctx context.Context, key string, limit int64) ([]byte, Tag, error) {
	file, _, err := f.open(ctx, key)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	data, err := readLimited(file, limit)
	if err != nil {
		return nil, "", fmt.Errorf("read %q: %w", key, err)
	}
	return data, contentTag(data), nil
}

// Put implements Store.
func (f *File) Put(ctx context.Context, key string, body Body, kind Kind) error {
	if err := CheckPut(key, kind); err != nil {
		return err
	}
	if err := f.checkFolder(key); err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	want := &disk.Want{Size: body.Size(), SHA256: body.SHA256()}
	err := f.disk.WriteFrom(ctx, f.path(key), disk.Idempotent, body.Reader(), want, 0)
	if _, different := errors.AsType[*disk.DifferentError](err); different {
		return &ConflictError{key}
	}
	if err != nil {
		return fmt.Errorf("put %q: %w", key, err)
	}
	return nil
}

// Swap implements Store. It compares and writes under the lock file, which every writer of the folder respects.
func (f *File) Swap(ctx context.Context, key string, data []byte, kind Kind, expected Tag) (Tag, error) {
	if err := CheckSwap(key, kind); err != nil {
		return "", err
	}
	tag, err := f.swap(ctx, key, data, expected)
	if err != nil {
		return "", fmt.Errorf("swap %q: %w", key, err)
	}
	return tag, nil
}

func (f *File) swap(ctx context.Context, key string, data []byte, expected Tag) (Tag, error) {
	if err := f.checkFolder(key); err != nil {
		return "", err
	}
	if _, err := os.Stat(f.root); errors.Is(err, fs.ErrNotExist) && expected != "" {
		return "", ErrChanged // without making the folder for the lock
	}
	lock, err := f.disk.LockWait(ctx, filepath.Join(f.root, lockName))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	current, err := f.tag(ctx, key)
	if err != nil {
		return "", err
	}
	tag := contentTag(data)
	switch {
	case current == tag:
		// Perhaps written by a run that was killed before the folder was fsynced: the idempotent verb fsyncs it.
		return tag, f.disk.CreateIdempotent(f.path(key), data, 0)
	case current != expected:
		return "", ErrChanged
	case current == "":
		// Something that is no object may stand there, so nothing is replaced that was not compared.
		return tag, f.disk.CreateExclusive(f.path(key), data, 0)
	}
	return tag, f.disk.Replace(f.path(key), data, 0)
}

// tag is that of the content now, or "" when there is none.
func (f *File) tag(ctx context.Context, key string) (Tag, error) {
	file, _, err := f.open(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, &contextReader{ctx, file}); err != nil {
		return "", err
	}
	return Tag(hex.EncodeToString(sum.Sum(nil))), nil
}

// List implements Store.
func (f *File) List(ctx context.Context, prefix string, each func(Info) error) error {
	if err := checkPrefix(prefix); err != nil {
		return err
	}
	return tree(f.root).list(ctx, "", prefix, each)
}

func (f *File) path(key string) string { return filepath.Join(f.root, filepath.FromSlash(key)) }

// checkFolder refuses to write through a symbolic link that leads out of the root. It guards against accidents; who
// can make links in the folder while we write there can write there anyway.
func (f *File) checkFolder(key string) error {
	root, err := os.OpenRoot(f.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Stat(path.Dir(key)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
