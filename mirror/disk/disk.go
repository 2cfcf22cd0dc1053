// Package disk is the only way anything is written to a file.
//
// Rules:
//
//  1. A file is written by one of three verbs. Exclusive fails with fs.ErrExist when the path is taken.
//     Idempotent succeeds when the path already holds the same bytes and fails with *DifferentError when it holds
//     others. Replacing puts the new content in the place of the old one in a single step.
//  2. Each verb makes missing folders (and fsyncs the folder each was made in), writes a temporary file named
//     ".tmp-<pid>-<n>" in the folder of the target, fsyncs it, gives it its name with link(2) (Exclusive, Idempotent)
//     or rename(2) (Replacing), and fsyncs the folder. No reader ever sees a part of a file under its real name.
//  3. When a call returns nil, its effect survives a power failure. When it returns an error, the path holds
//     either the old or the new content, never a mixture; the caller reads it back to learn which. fs.ErrExist and
//     *DifferentError are certain: nothing was changed.
//  4. On an error the temporary file and the folders made for it are removed again. A crash can leave temporary
//     files; SweepTemporary removes them. A temporary file whose writer is alive is under flock(2) and is left alone.
//  5. Every operation that changes the disk passes Disk.Fault first, so that tests can fail each of them.
//
// Two limits: a folder made just before a process was killed is not fsynced again by the next run, it relies on the
// file system having written it meanwhile; and the file system must have hard links.
package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Disk changes files and folders. Its zero value is the real disk.
type Disk struct {
	// Fault, when not nil, is called before each operation that changes the disk, with one of the names below and
	// the path. When err is nil the operation proceeds. Otherwise err is reported to the caller, and apply says
	// whether the operation takes place all the same (as after a lost reply).
	//
	// Names: mkdir, create, write, sync, link, rename, syncdir, remove, removeall, lock.
	Fault func(op, path string) (apply bool, err error)
}

// Verb says what a write does when the path is already taken.
type Verb int

const (
	Exclusive  Verb = iota // an existing path is fs.ErrExist
	Idempotent             // equal bytes are success, other bytes *DifferentError
	Replacing              // the new content takes the place of the old one atomically
)

// DefaultMode is the mode of new files where the caller gives 0. The umask applies.
const DefaultMode fs.FileMode = 0o644

// DifferentError reports that an idempotent write found other bytes at Path. Nothing was changed.
type DifferentError struct{ Path string }

func (e *DifferentError) Error() string {
	return fmt.Sprintf("%q exists with other content", e.Path)
}

// Want is what a stream must turn out to be.
type Want struct {
	Size   int64  // in bytes
	SHA256 string // 64 lower-case hexadecimal digits
}

// CreateExclusive writes a new file. A path that is taken is fs.ErrExist.
func (d Disk) CreateExclusive(path string, data []byte, mode fs.FileMode) error {
	return d.WriteFrom(context.Background(), path, Exclusive, bytes.NewReader(data), nil, mode)
}

// CreateIdempotent writes a new file, or finds it there with the same bytes. Other bytes are *DifferentError.
func (d Disk) CreateIdempotent(path string, data []byte, mode fs.FileMode) error {
	return d.WriteFrom(context.Background(), path, Idempotent, bytes.NewReader(data), nil, mode)
}

// Replace gives path new content in one step, whether it existed or not.
func (d Disk) Replace(path string, data []byte, mode fs.FileMode) error {
	return d.WriteFrom(context.Background(), path, Replacing, bytes.NewReader(data), nil, mode)
}

// WriteFrom is the streaming form of the three verbs. It reads r to its end, or not at all when path already
// decides the outcome. With want, a stream of another size or digest is an error and nothing is written; an
// idempotent write onto an existing path then compares that file with want and leaves r unread. Mode 0 is DefaultMode.
// It stops between two reads when ctx is done.
func (d Disk) WriteFrom(ctx context.Context, path string, verb Verb, r io.Reader, want *Want, mode fs.FileMode) error {
	if err := d.writeFrom(ctx, path, verb, r, want, mode); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

func (d Disk) writeFrom(ctx context.Context, path string, verb Verb, r io.Reader, want *Want, mode fs.FileMode) error {
	r = &contextReader{ctx, r}
	if verb != Replacing {
		switch _, err := os.Lstat(path); {
		case err == nil && verb == Exclusive:
			return fs.ErrExist
		case err == nil:
			return d.confirm(ctx, path, r, want)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	s, err := d.stage(filepath.Dir(path), mode)
	if err != nil {
		return err
	}
	defer s.Discard()
	if err := copyWanted(s, r, want); err != nil {
		return err
	}
	return s.commit(ctx, path, verb)
}

// confirm succeeds when path holds what r or want says. It fsyncs, because an earlier run may have been killed
// between giving the file its name and writing the folder.
func (d Disk) confirm(ctx context.Context, path string, r io.Reader, want *Want) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || want != nil && info.Size() != want.Size {
		return &DifferentError{path}
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var same bool
	if want != nil {
		sum := sha256.New()
		_, err = io.CopyBuffer(sum, &contextReader{ctx, f}, make([]byte, bufferSize))
		same = hexSum(sum) == want.SHA256
	} else {
		same, err = equal(f, r)
	}
	if err != nil {
		return err
	}
	if !same {
		return &DifferentError{path}
	}
	if err := d.do("sync", path, f.Sync); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

const bufferSize = 256 << 10

// equal reads both to the first difference.
func equal(a, b io.Reader) (bool, error) {
	x, y := make([]byte, bufferSize), make([]byte, bufferSize)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		endA, endB := atEnd(errA), atEnd(errB)
		if errA != nil && !endA {
			return false, errA
		}
		if errB != nil && !endB {
			return false, errB
		}
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if endA || endB {
			return endA == endB, nil
		}
	}
}

func atEnd(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

func copyWanted(w io.Writer, r io.Reader, want *Want) error {
	if want == nil {
		_, err := io.CopyBuffer(onlyWriter{w}, r, make([]byte, bufferSize))
		return err
	}
	sum := sha256.New()
	// One byte more than wanted is enough to know that the stream is too long.
	n, err := io.CopyBuffer(io.MultiWriter(w, sum), io.LimitReader(r, want.Size+1), make([]byte, bufferSize))
	switch {
	case err != nil:
		return err
	case n < want.Size:
		return fmt.Errorf("the source ends after %d of %d bytes: %w", n, want.Size, io.ErrUnexpectedEOF)
	case n > want.Size:
		return fmt.Errorf("the source is longer than %d bytes", want.Size)
	case hexSum(sum) != want.SHA256:
		return fmt.Errorf("the source has sha256 %s, not %s", hexSum(sum), want.SHA256)
	}
	return nil
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// onlyWriter hides ReadFrom, so that every write passes the fault hook.
type onlyWriter struct{ io.Writer }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// do runs one operation that changes the disk.
func (d Disk) do(op, path string, f func() error) error {
	if d.Fault != nil {
		if apply, err := d.Fault(op, path); err != nil {
			if apply {
				f() // its own outcome is what the caller does not learn
			}
			return err
		}
	}
	return f()
}
