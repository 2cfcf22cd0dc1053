//go:build !(linux || darwin || freebsd)

package disk

import (
	"errors"
	"os"
)

// Elsewhere (WebAssembly, where the auditor runs in a browser) the package compiles and nothing can be locked.

const noFollow = 0

func flock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

func statfs(string) (int64, error) { return 0, errors.ErrUnsupported }
