//go:build cgo && !external_libzstd

package pack

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
static void return_large_blocks(void) { mallopt(M_MMAP_THRESHOLD, 8 << 20); }
#else
static void return_large_blocks(void) {}
#endif
*/
import "C"

import (
	"sync"

	"github.com/DataDog/zstd"
)

// libzstdBuilt says that this program holds the codec. The module's build tag
// external_libzstd would link whatever version the system has.
const libzstdBuilt = true

// fromLargeTables is the level from which a frame's tables take tens of MiB and
// compressing it takes so long that getting them fresh from the system is nothing.
const fromLargeTables = 8

// openLibzstd is the codec "libzstd": the C library, for the ratio of its higher
// levels. All cores are used by compressing several frames at a time.
//
// The C library's allocator would keep the tables of every thread that ever
// compressed a frame, a third of the memory that packing takes at level 19.
func openLibzstd(level, _ int) (compressor, error) {
	if level >= fromLargeTables {
		C.return_large_blocks()
	}
	return &libzstd{level: level}, nil
}

type libzstd struct {
	level int
	room  sync.Pool // of *[]byte: the library wants room for the worst case
}

// compress starts from a fresh context every time: a context that is used again
// salts the hashes of some match finders with what it saw before (libzstd 1.5.7,
// ZSTD_advanceHashSalt), so that bytes would depend on the order of work.
func (l *libzstd) compress(buffer, data []byte) ([]byte, error) {
	room, _ := l.room.Get().(*[]byte)
	if room == nil {
		room = new([]byte)
	}
	defer l.room.Put(room)
	frame, err := zstd.CompressLevel(*room, data, l.level)
	if err != nil {
		return nil, err
	}
	*room = frame[:0]
	return append(buffer[:0], frame...), nil
}

func (*libzstd) close() {}
