package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// SweepTemporary removes the temporary files that crashed writers left in dir and all folders below it, of whatever
// age, and returns how many it removed. A file whose writer is alive stays. A missing dir holds none. Symbolic links
// are not followed. The caller holds the lock of the tree.
func (d Disk) SweepTemporary(dir string) (removed int, err error) {
	touched := map[string]bool{}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone while we walked
		case err != nil:
			return err
		case !entry.Type().IsRegular() || !strings.HasPrefix(entry.Name(), TemporaryPrefix):
			return nil
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		if got, err := flock(f); err == nil && !got {
			return nil
		}
		if err := d.removeTemporary(path); err != nil {
			return err
		}
		removed++
		touched[filepath.Dir(path)] = true
		return nil
	})
	if err != nil {
		return removed, err
	}
	for path := range touched {
		if err := d.syncDir(path); err != nil {
			return removed, err
		}
	}
	return removed, nil
}
