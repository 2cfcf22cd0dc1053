package rpm

import (
	"fmt"
	"io"
)

// A payload is a cpio archive. Each member is "newc" (see CpioEntry; magic
// 070702 differs by a checksum that nobody looks at), or stripped: magic 07070X,
// 8 hex digits with the member's place in the header's file list, and two bytes
// of padding. rpm writes stripped members when a file has more than 4 GiB. The
// newc member TRAILER!!! ends both. Source: rpm's lib/cpio.c.
const (
	cpioTrailer   = "TRAILER!!!"
	cpioNewc      = "070701"
	cpioNewcCRC   = "070702"
	cpioStripped  = "07070X"
	cpioHeadSize  = 110
	cpioShortSize = 14
)

// cpioMember is what an archive says of a member.
type cpioMember struct {
	index int64 // in the file list, for a stripped member; else -1
	name  string
	inode uint32
	mode  uint32
	links uint32
	size  int64 // unknown for a stripped member: its reader sets it by expect
}

// archive reads members one after the other.
type archive struct {
	r    io.Reader
	at   int64 // bytes read
	left int64 // data of the current member that was not read yet
	head [cpioHeadSize]byte
}

func payloadError(format string, args ...any) error {
	return &FormatError{"payload", fmt.Sprintf(format, args...)}
}

// next reads the head of the next member. The data of the one before must have
// been read. Behind the trailer the error is io.EOF.
func (a *archive) next() (m cpioMember, err error) {
	if err := a.pad(); err != nil {
		return m, err
	}
	short := a.head[:cpioShortSize]
	if err := a.full(short); err != nil {
		return m, err
	}
	switch magic := string(short[:6]); magic {
	case cpioStripped:
		index, ok := hex8(short[6:])
		if !ok {
			return m, payloadError("has a member with a malformed number at byte %d", a.at)
		}
		return cpioMember{index: int64(index)}, a.pad()
	case cpioNewc, cpioNewcCRC:
	default:
		return m, payloadError("has no member where one should start, at byte %d", a.at-cpioShortSize)
	}
	if err := a.full(a.head[cpioShortSize:]); err != nil {
		return m, err
	}
	var field [13]uint32
	for i := range field {
		var ok bool
		if field[i], ok = hex8(a.head[6+8*i:]); !ok {
			return m, payloadError("has a member with a malformed number at byte %d", a.at)
		}
	}
	m = cpioMember{index: -1, inode: field[0], mode: field[1], links: field[4], size: int64(field[6])}
	size := field[11]
	if size < 2 || size > maxName {
		return m, payloadError("has a member whose name has %d bytes; 1 to %d are allowed", int64(size)-1, maxName-1)
	}
	name := make([]byte, size)
	if err := a.full(name); err != nil {
		return m, err
	}
	m.name = string(name[:size-1])
	for i, c := range name {
		if (c == 0) != (i == len(name)-1) {
			return m, payloadError("has the member %s, whose name does not end with its only zero byte", quote(m.name))
		}
	}
	if err := a.pad(); err != nil {
		return m, err
	}
	if m.name == cpioTrailer {
		if m.size != 0 {
			return m, payloadError("has a trailer with data")
		}
		return m, io.EOF
	}
	a.left = m.size
	return m, nil
}

// expect sets the size of a stripped member.
func (a *archive) expect(size int64) { a.left = size }

// Read reads the current member's data.
func (a *archive) Read(b []byte) (int, error) {
	if a.left == 0 {
		return 0, io.EOF
	}
	n, err := a.r.Read(b[:min(int64(len(b)), a.left)])
	a.at += int64(n)
	a.left -= int64(n)
	if err == io.EOF && a.left > 0 {
		return n, payloadError("is cut off within a file")
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

func (a *archive) full(b []byte) error {
	n, err := io.ReadFull(a.r, b)
	a.at += int64(n)
	return readError(err, "payload", "is cut off: its trailer is missing")
}

// pad skips to the next multiple of 4.
func (a *archive) pad() error {
	var zero [3]byte
	return a.full(zero[:-a.at&3])
}

// maxPadding bounds what may follow the trailer: cpio fills up its last block.
const maxPadding = 64 << 10

// end checks that nothing follows the trailer.
func (a *archive) end() error {
	b := make([]byte, 4096)
	for total := 0; total <= maxPadding; {
		n, err := a.r.Read(b)
		for _, c := range b[:n] {
			if c != 0 {
				return payloadError("has data behind its trailer")
			}
		}
		total += n
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return payloadError("has more than %d bytes behind its trailer", maxPadding)
}

// hex8 reads 8 hex digits, upper or lower case.
func hex8(b []byte) (v uint32, ok bool) {
	for _, c := range b[:8] {
		switch {
		case '0' <= c && c <= '9':
			v = v<<4 | uint32(c-'0')
		case 'a' <= c && c <= 'f':
			v = v<<4 | uint32(c-'a'+10)
		case 'A' <= c && c <= 'F':
			v = v<<4 | uint32(c-'A'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
