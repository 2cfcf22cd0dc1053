package pack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// resolveInside follows symbolic links, but not out of the folder root: a path
// may lead elsewhere by its words, never by what it meets on the way.
func resolveInside(root, p string) (string, error) {
	real, err := filepath.EvalSymlinks(p)
	if err != nil {
		return "", err
	}
	if within(root, p) {
		realRoot, err := filepath.EvalSymlinks(root)
		if err != nil {
			return "", err
		}
		if !within(realRoot, real) {
			return "", errors.New("leads out of its folder by a symbolic link")
		}
	}
	return real, nil
}

func within(root, p string) bool {
	rel, err := filepath.Rel(root, p)
	return err == nil && filepath.IsLocal(rel)
}

func readRegular(name string, limit int64) ([]byte, error) {
	data, _, err := readRegularMode(name, limit)
	return data, err
}

// readRegularMode reads a regular file of at most limit bytes, never nil.
func readRegularMode(name string, limit int64) ([]byte, fs.FileMode, error) {
	f, info, err := openRegular(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("is larger than %d bytes", limit)
	}
	return data, info.Mode(), err
}

// openRegular asks first what it opens: a pipe would wait for its writer.
func openRegular(name string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a regular file")
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}
