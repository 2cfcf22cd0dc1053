package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrLocked is what errors.Is finds in a *LockedError.
var ErrLocked = errors.New("locked")

// LockedError reports that somebody else holds the lock at Path.
type LockedError struct {
	Path string
	PID  int // of the holder, or 0 when not known
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%q is locked by another process", e.Path)
	}
	return fmt.Sprintf("%q is locked by process %d", e.Path, e.PID)
}

// Is makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// Hint tells what to do.
func (e *LockedError) Hint() string { return "wait until the other run has ended, then try again" }

// Lock is an exclusive flock(2), held by one opening of a file: it excludes other processes and other holders in
// this one. The kernel releases it when the process ends in whatever way. While it is held the file contains the
// process id; the file itself stays for ever, because removing it would let two holders lock two files of one name.
type Lock struct{ file *os.File }

// Lock takes the lock at path or fails at once with *LockedError. The file and its folders are made when missing.
func (d Disk) Lock(path string) (*Lock, error) {
	made, err := d.mkdirAll(filepath.Dir(path), folderMode(DefaultMode))
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	var f *os.File
	err = d.do("lock", path, func() (err error) {
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|noFollow, DefaultMode)
		return err
	})
	if err != nil {
		if f != nil {
			f.Close()
		}
		d.undoFolders(made)
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	got, err := flock(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	if !got {
		defer f.Close()
		return nil, &LockedError{Path: path, PID: holder(f)}
	}
	// The number only serves messages, so a full disk does not stop anybody here.
	if err := f.Truncate(0); err == nil {
		f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	return &Lock{f}, nil
}

// LockWait takes the lock at path, waiting for it until ctx is done. It is for locks that are held for moments.
func (d Disk) LockWait(ctx context.Context, path string) (*Lock, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 32*time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("lock %q: %w", path, err)
		}
		lock, err := d.Lock(path)
		// fs.ErrNotExist: somebody undid the folder between our making it and opening the file.
		if !errors.Is(err, ErrLocked) && !errors.Is(err, fs.ErrNotExist) {
			return lock, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// Close releases the lock. The file stays, empty.
func (l *Lock) Close() error {
	l.file.Truncate(0)
	return l.file.Close()
}

func holder(f *os.File) int {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
