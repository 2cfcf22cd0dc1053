//go:build !cgo || external_libzstd

package pack

import "errors"

const libzstdBuilt = false

// openLibzstd is never reached: definitions that ask for the codec are refused.
func openLibzstd(int, int) (compressor, error) {
	return nil, errors.New("built without cgo")
}
