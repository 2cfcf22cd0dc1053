// Package mirror is the history: the complete local copy of everything that was
// ever published. Nothing in it is changed or deleted.
//
// History format 1 is a folder with
//
//	README     says what this is
//	format     the number of the format, one line
//	lock       held while a command writes
//	tree/      the public tree, byte for byte, without its mutable objects
//	pending/   files of the publish that is under way, in the same layout
//	evidence/  signed checkpoints that contradict each other, if that ever happens
//
// The keys below tree/ and pending/ are those of the public tree, for example
// packages/NAME/NVRA.rpm, REPOSITORY/SERIAL/repodata/repomd.xml and ledger/tile/....
// The one file of tree/ that is replaced is ledger/checkpoint.
//
// What a publish adds is first written to pending/. It becomes history by
// Adopt, which moves the files over, the checkpoint last. So pending/ is either
// thrown away as a whole or adopted as a whole: Adopt may be cut off at any
// point and called again. Which of the two is right is the publisher's decision,
// from the ledger.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"colophon/mirror/disk"
)

const (
	format        = "1\n"
	checkpointKey = "ledger/checkpoint"
)

const readme = `This folder is the history of a Colophon publisher: every package, build log,
record, repository snapshot and ledger entry that was ever published.

  tree/      the public tree without its mutable objects; nothing here changes
  pending/   a publish that is under way or was cut off; the next run decides
  format     version of this layout
  lock       held while a command writes

Back it up. Do not edit it: metadata that is signed later is computed from it.
`

// FormatError reports a folder that is not a history this program can use.
type FormatError struct{ Path, Reason string }

func (e *FormatError) Error() string { return fmt.Sprintf("history %q %s", e.Path, e.Reason) }

// Hint says what to do.
func (e *FormatError) Hint() string {
	return "set history: in colophon.yaml to the publisher's history, or to a folder that does not exist yet"
}

// History is an opened history, locked against other writers.
type History struct {
	Tree    Area // what is history
	Pending Area // what may become history

	root    string
	disk    disk.Disk
	lock    *disk.Lock
	created bool // by this Open, and nothing was adopted since
}

// Open locks the history in a folder, which is made where it does not exist.
// A folder with anything else in it is *FormatError, another writer
// *disk.LockedError; both leave the folder alone.
func Open(root string, d disk.Disk) (*History, error) {
	fresh, err := examine(root)
	if err != nil {
		return nil, err
	}
	_, err = os.Lstat(root)
	h := &History{root: root, disk: d, created: errors.Is(err, fs.ErrNotExist)}
	if h.lock, err = d.Lock(filepath.Join(root, "lock")); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	h.Tree = Area{filepath.Join(root, "tree"), d}
	h.Pending = Area{filepath.Join(root, "pending"), d}
	if fresh {
		// The format goes last: a crash before leaves a folder that is made anew.
		if err = d.Replace(filepath.Join(root, "README"), []byte(readme), 0); err == nil {
			err = d.Replace(filepath.Join(root, "format"), []byte(format), 0)
		}
	}
	if err == nil {
		_, err = d.SweepTemporary(root)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open history: %w", err), h.Close())
	}
	return h, nil
}

// examine tells a history from a folder that is empty or missing.
func examine(root string) (fresh bool, err error) {
	switch found, err := os.ReadFile(filepath.Join(root, "format")); {
	case err == nil && string(found) == format:
		return false, nil
	case err == nil:
		return false, &FormatError{root, fmt.Sprintf("has format %q, this program knows %q", strings.TrimSpace(string(found)), strings.TrimSpace(format))}
	case !errors.Is(err, fs.ErrNotExist):
		return false, &FormatError{root, "cannot be read: " + err.Error()}
	}
	list, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, &FormatError{root, "cannot be read: " + err.Error()}
	}
	for _, e := range list {
		if e.Name() != "lock" && e.Name() != "README" && !strings.HasPrefix(e.Name(), disk.TemporaryPrefix) {
			return false, &FormatError{root, fmt.Sprintf("is not a history: it holds %q", e.Name())}
		}
	}
	return true, nil
}

// Close unlocks the history. One that this run made and put nothing into is
// removed again.
func (h *History) Close() error {
	var err error
	if h.created {
		err = h.disk.RemoveAll(h.root)
	}
	return errors.Join(err, h.lock.Close())
}

// Free is the space left for the history, in bytes.
func (h *History) Free() (int64, error) { return h.disk.Free(h.root) }

// Discard throws pending away.
func (h *History) Discard() error {
	if err := h.disk.RemoveAll(h.Pending.root); err != nil {
		return fmt.Errorf("discard pending: %w", err)
	}
	return nil
}

// Adopt makes pending history. The checkpoint is replaced when everything it
// speaks of is in its place, and pending vanishes last.
func (h *History) Adopt(ctx context.Context) error {
	h.created = false
	var checkpoint []byte
	err := h.Pending.Walk(func(key string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if key == checkpointKey {
			var err error
			checkpoint, err = h.Pending.ReadFile(ctx, key)
			return err
		}
		return h.adopt(key)
	})
	if err == nil && checkpoint != nil {
		err = h.disk.Replace(h.Tree.path(checkpointKey), checkpoint, 0)
	}
	if err != nil {
		return fmt.Errorf("adopt pending: %w", err)
	}
	return h.Discard()
}

// adopt moves one file. It may lie in its place already with the same bytes: a
// record or proof that was published before.
func (h *History) adopt(key string) error {
	err := h.disk.Move(h.Pending.path(key), h.Tree.path(key))
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	a, err := h.Pending.Open(key)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := h.Tree.Open(key)
	if err != nil {
		return err
	}
	defer b.Close()
	same, err := equal(a, b)
	if err == nil && !same {
		err = &disk.DifferentError{Path: h.Tree.path(key)}
	}
	if err != nil {
		return err
	}
	return h.disk.Remove(h.Pending.path(key))
}

func equal(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if string(x[:n]) != string(y[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			for _, err := range []error{errA, errB} {
				if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					return false, err
				}
			}
			return true, nil
		}
	}
}

// Evidence keeps what proves a contradiction, outside of the public tree.
func (h *History) Evidence(name string, data []byte) error {
	h.created = false
	return h.disk.CreateIdempotent(filepath.Join(h.root, filepath.FromSlash(name)), data, 0)
}
