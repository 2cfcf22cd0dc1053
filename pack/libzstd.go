//go:build cgo && !external_libzstd

package pack

import "github.com/DataDog/zstd"

// libzstdBuilt says that this program holds the codec. The module's build tag
// external_libzstd would link whatever version the system has.
const libzstdBuilt = true

// openLibzstd is the codec "libzstd": the C library, for the ratio of its higher
// levels. All cores are used by compressing several frames at a time.
func openLibzstd(level, _ int) (compressor, error) { return libzstd(level), nil }

type libzstd int

// compress starts from a fresh context every time: a context that is used again
// salts the hashes of some match finders with what it saw before (libzstd 1.5.7,
// ZSTD_advanceHashSalt), so that bytes would depend on the order of work.
func (l libzstd) compress(buffer, data []byte) ([]byte, error) {
	return zstd.CompressLevel(buffer[:0], data, int(l))
}

func (libzstd) close() {}
