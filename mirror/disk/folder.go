package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// MkdirAll makes path and its missing parents, and fsyncs the folder each was made in. Mode 0 is 0755; the umask
// applies. An existing folder is success.
func (d Disk) MkdirAll(path string, mode fs.FileMode) error {
	if mode == 0 {
		mode = folderMode(DefaultMode)
	}
	_, err := d.mkdirAll(path, mode)
	return err
}

// mkdirAll returns the folders that it made, outermost first. On an error it has removed them.
func (d Disk) mkdirAll(path string, mode fs.FileMode) (made []string, err error) {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return nil, &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	parent := filepath.Dir(path)
	if parent != path {
		if made, err = d.mkdirAll(parent, mode); err != nil {
			return nil, err
		}
	}
	err = d.do("mkdir", path, func() error {
		err := os.Mkdir(path, mode)
		if err == nil {
			made = append(made, path)
		}
		if errors.Is(err, fs.ErrExist) {
			_, err = os.Stat(path) // somebody else made it just now, and may have undone it again
		}
		return err
	})
	if err == nil {
		err = d.syncDir(parent)
	}
	if err != nil {
		d.undoFolders(made)
		return nil, err
	}
	return made, nil
}

// undoFolders removes the folders in which nobody put anything meanwhile. Failures do not matter: an empty folder
// means nothing to any reader.
func (d Disk) undoFolders(made []string) {
	for _, path := range slices.Backward(made) {
		if d.do("remove", path, func() error { return syscall.Rmdir(path) }) != nil {
			return
		}
	}
}

// folderMode lets those enter a folder who may read the file it is made for.
func folderMode(file fs.FileMode) fs.FileMode {
	return file.Perm() | file.Perm()>>2&0o111 | 0o300
}

// Move durably renames a file or a whole folder within one file system; missing parents of new are made. A path
// new that is taken is fs.ErrExist; two processes moving to one name at the same time must hold a lock. A file is
// fsynced first; what lies in a folder must have been written through this package.
func (d Disk) Move(old, new string) error {
	if err := d.move(old, new); err != nil {
		return fmt.Errorf("move %q to %q: %w", old, new, err)
	}
	return nil
}

func (d Disk) move(old, new string) error {
	info, err := os.Lstat(old)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(new); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info.Mode().IsRegular() {
		if err := d.sync(old); err != nil {
			return err
		}
	}
	made, err := d.mkdirAll(filepath.Dir(new), folderMode(DefaultMode))
	if err != nil {
		return err
	}
	if err := d.do("rename", new, func() error { return os.Rename(old, new) }); err != nil {
		d.undoFolders(made)
		return err
	}
	if err := d.syncDir(filepath.Dir(new)); err != nil {
		return err
	}
	if filepath.Dir(old) != filepath.Dir(new) {
		return d.syncDir(filepath.Dir(old))
	}
	return nil
}

// Remove durably removes a file or an empty folder. A missing one is fs.ErrNotExist.
func (d Disk) Remove(path string) error {
	if err := d.do("remove", path, func() error { return os.Remove(path) }); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

// RemoveAll durably removes a temporary or pending folder with all it holds. A missing one is success. A crash may
// leave a part of it: move it out of sight first where readers look at it.
func (d Disk) RemoveAll(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := d.do("removeall", path, func() error { return os.RemoveAll(path) }); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

func (d Disk) sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.do("sync", path, f.Sync)
}

func (d Disk) syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.do("syncdir", path, f.Sync)
}

// Free returns the bytes an unprivileged user may still write at path, which need not exist: its nearest existing
// parent is asked.
func (d Disk) Free(path string) (int64, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return 0, err
	}
	for {
		free, err := statfs(path)
		if err == nil {
			return free, nil
		}
		parent := filepath.Dir(path)
		if parent == path || !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("ask for the free space of %q: %w", path, err)
		}
		path = parent
	}
}
