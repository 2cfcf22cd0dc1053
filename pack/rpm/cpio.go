package rpm

import (
	"fmt"
	"math"
)

// CpioEntry is one member of a payload in the format "newc" (magic 070701):
// a header of 110 bytes in hex, the name with its NUL, padding to 4, the data,
// padding to 4. Names start with "./", as rpm writes them.
type CpioEntry struct {
	Name  string // absolute path; written with a leading dot
	Inode uint32
	Mode  uint32
	Links uint32
	MTime uint32 // seconds since 1970
	Size  int64  // at most 4 GiB - 1
}

// Head is all bytes of the member before its data.
func (e CpioEntry) Head() ([]byte, error) {
	if e.Size < 0 || e.Size > math.MaxUint32 {
		return nil, fmt.Errorf("cpio member %q has %d bytes, more than the format can hold", e.Name, e.Size)
	}
	return cpioHead("."+e.Name, e), nil
}

// CpioTrailer ends a payload.
func CpioTrailer() []byte { return cpioHead("TRAILER!!!", CpioEntry{Links: 1}) }

// CpioPadding is the number of zero bytes after data of a size.
func CpioPadding(size int64) int { return int(-size & 3) }

func cpioHead(name string, e CpioEntry) []byte {
	b := fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		e.Inode, e.Mode, 0, 0, e.Links, e.MTime, e.Size, 0, 0, 0, 0, len(name)+1, 0)
	b = append(b, name...)
	b = append(b, 0)
	return append(b, make([]byte, -len(b)&3)...)
}
