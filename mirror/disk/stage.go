package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
)

// TemporaryPrefix begins the name of every temporary file. No other file may be called so.
const TemporaryPrefix = ".tmp-"

// Staged is a temporary file for an output that is written piece by piece, in any order, and gets its name at the
// end. Writes at different offsets may run at the same time; Commit and Discard may not run beside them.
//
// A caller defers Discard at once: it does nothing after Commit.
type Staged struct {
	disk Disk
	file *os.File
	dir  string
	made []string // folders made for it, outermost first
	done bool
}

var (
	_ io.Writer   = (*Staged)(nil)
	_ io.WriterAt = (*Staged)(nil)
	_ io.ReaderAt = (*Staged)(nil)
)

// Stage opens a temporary file in dir, which is made when missing. The file that Commit names must lie on the same
// file system. Mode 0 is DefaultMode.
func (d Disk) Stage(dir string, mode fs.FileMode) (*Staged, error) {
	s, err := d.stage(dir, mode)
	if err != nil {
		return nil, fmt.Errorf("stage a file in %q: %w", dir, err)
	}
	return s, nil
}

func (d Disk) stage(dir string, mode fs.FileMode) (*Staged, error) {
	if mode == 0 {
		mode = DefaultMode
	}
	// A writer that failed at the same moment may take away a folder that both found or made; then look again.
	for attempt := 1; ; attempt++ {
		made, err := d.mkdirAll(dir, folderMode(mode))
		if err == nil {
			var f *os.File
			if f, err = d.createTemporary(dir, mode); err == nil {
				return &Staged{disk: d, file: f, dir: dir, made: made}, nil
			}
			d.undoFolders(made)
		}
		if attempt == 10 || !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

var temporaries atomic.Uint64

func (d Disk) createTemporary(dir string, mode fs.FileMode) (*os.File, error) {
	for {
		name := filepath.Join(dir, fmt.Sprintf("%s%d-%d", TemporaryPrefix, os.Getpid(), temporaries.Add(1)))
		var f *os.File
		err := d.do("create", name, func() (err error) {
			f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
			return err
		})
		if err != nil {
			if f != nil {
				f.Close()
				d.removeTemporary(name)
			}
			if errors.Is(err, fs.ErrExist) {
				continue // left by a process of the same number
			}
			return nil, err
		}
		// The lock tells SweepTemporary that the writer lives. Where there are no locks the sweep takes every
		// temporary file, so it must run under a lock of its caller's anyway.
		got, err := flock(f)
		if held := err == nil && !got; held || !stillNamed(f, name) {
			f.Close() // a sweep came between create and lock, and removes it
			continue
		}
		return f, nil
	}
}

func stillNamed(f *os.File, name string) bool {
	a, errA := f.Stat()
	b, errB := os.Lstat(name)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Write writes behind what Write wrote before; WriteAt does not move that place.
func (s *Staged) Write(p []byte) (n int, err error) {
	err = s.disk.do("write", s.file.Name(), func() (err error) {
		n, err = s.file.Write(p)
		return err
	})
	return n, err
}

// WriteAt writes at off bytes from the start.
func (s *Staged) WriteAt(p []byte, off int64) (n int, err error) {
	err = s.disk.do("write", s.file.Name(), func() (err error) {
		n, err = s.file.WriteAt(p, off)
		return err
	})
	return n, err
}

// ReadAt reads what was written, and zero bytes from holes.
func (s *Staged) ReadAt(p []byte, off int64) (int, error) { return s.file.ReadAt(p, off) }

// Size returns the present size in bytes.
func (s *Staged) Size() (int64, error) {
	info, err := s.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Commit fsyncs the file, gives it the name path by the rules of verb, and fsyncs the folders. Missing folders are
// made. Whatever it returns, the temporary file is gone and s must not be used again.
func (s *Staged) Commit(path string, verb Verb) error {
	if err := s.commit(context.Background(), path, verb); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

func (s *Staged) commit(ctx context.Context, path string, verb Verb) error {
	if s.done {
		return fs.ErrClosed
	}
	defer s.Discard()
	d, temporary, parent := s.disk, s.file.Name(), filepath.Dir(path)
	if err := ctx.Err(); err != nil {
		return err
	}
	// Content before name: after a crash here there is only a temporary file.
	if err := d.do("sync", temporary, s.file.Sync); err != nil {
		return err
	}
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	made, err := d.mkdirAll(parent, folderMode(info.Mode().Perm()))
	s.made = append(s.made, made...)
	if err != nil {
		return err
	}
	if verb == Replacing {
		err = d.do("rename", path, func() error { return os.Rename(temporary, path) })
	} else {
		err = d.do("link", path, func() error { return os.Link(temporary, path) })
		if verb == Idempotent && errors.Is(err, fs.ErrExist) {
			err = d.confirm(ctx, path, io.NewSectionReader(s.file, 0, info.Size()), nil)
		}
	}
	if err != nil {
		return err
	}
	// A crash from here on leaves the whole new file under its name, and perhaps the temporary name beside it.
	s.made = nil
	if err := s.close(); err != nil {
		return err
	}
	if err := d.syncDir(parent); err != nil {
		return err
	}
	if filepath.Clean(s.dir) != filepath.Clean(parent) {
		return d.syncDir(s.dir)
	}
	return nil
}

// Discard removes the temporary file and the folders made for it. It does nothing after Commit or a first Discard.
func (s *Staged) Discard() error {
	if s.done {
		return nil
	}
	err := s.close()
	s.disk.undoFolders(s.made)
	return err
}

func (s *Staged) close() error {
	s.done = true
	err := s.disk.removeTemporary(s.file.Name())
	s.file.Close() // also releases the lock; the content was fsynced before
	return err
}

// removeTemporary tries twice: a first failure may have been only in the report.
func (d Disk) removeTemporary(name string) error {
	remove := func() error { return os.Remove(name) }
	err := d.do("remove", name, remove)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = d.do("remove", name, remove)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
