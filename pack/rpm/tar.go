package rpm

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Extent is a stretch of a file that holds data; what lies between is zeros.
type Extent struct {
	Offset, Size int64
}

// TarHead is the head of the first member of a tar archive: a plain file, or a
// sparse one in GNU tar's old format.
type TarHead struct {
	Name     string
	Size     int64    // of the file, as the head declares it
	Restored int64    // of the file, as extracting makes it: the map may end early
	Stored   int64    // of the data in the archive
	Length   int64    // of the head in the archive, a multiple of 512
	Sparse   bool     // whether there is a map of extents
	Extents  []Extent // ascending, without those of size 0
}

// maxExtents bounds the map of a sparse file: 64 MiB of memory.
const maxExtents = 1 << 22

const tarBlock = 512

// ReadTarHead reads the head of a tar archive: a header of 512 bytes and the
// blocks of 512 bytes that the map of a sparse file needs beyond its first four
// extents. A member with a PAX header or a long name in front is an error that
// says so: clients look at the first 512 bytes only. r then stands at the data.
// Layout: GNU tar manual, "Basic Tar Format" and "Storing Sparse Files, Old GNU
// Format".
func ReadTarHead(r io.Reader) (*TarHead, error) {
	b := make([]byte, tarBlock)
	if err := tarFull(r, b); err != nil {
		return nil, err
	}
	if err := tarSum(b); err != nil {
		return nil, err
	}
	t := &TarHead{Name: tarText(b[:100]), Length: tarBlock}
	if string(b[257:263]) == "ustar\x00" && b[345] != 0 {
		t.Name = tarText(b[345:500]) + "/" + t.Name
	}
	var err error
	if t.Stored, err = tarNumber(b[124:136]); err != nil {
		return nil, err
	}
	switch kind := b[156]; kind {
	case '0', 0:
		t.Size, t.Restored = t.Stored, t.Stored
		if t.Size > 0 {
			t.Extents = []Extent{{0, t.Size}}
		}
		return t, nil
	case 'S':
	case 'x', 'g':
		return nil, errors.New("tar has a PAX header first")
	case 'L', 'K':
		return nil, errors.New("tar has a long name first")
	default:
		return nil, fmt.Errorf("tar has a first member of type %q, not a file", kind)
	}
	t.Sparse = true
	if t.Size, err = tarNumber(b[483:495]); err != nil {
		return nil, err
	}
	more, err := t.addMap(b[386:482], b[482])
	for more && err == nil {
		if err = tarFull(r, b); err != nil {
			return nil, err
		}
		t.Length += tarBlock
		more, err = t.addMap(b[:504], b[504])
	}
	if err != nil {
		return nil, err
	}
	var data int64
	for _, e := range t.Extents {
		data += e.Size
	}
	if data != t.Stored {
		return nil, fmt.Errorf("tar has %d bytes of data, its map of extents %d", t.Stored, data)
	}
	return t, nil
}

// addMap takes the extents of one block. An empty entry ends the map.
func (t *TarHead) addMap(b []byte, next byte) (more bool, err error) {
	for ; len(b) > 0; b = b[24:] {
		if b[12] == 0 {
			return false, nil
		}
		offset, err := tarNumber(b[:12])
		if err != nil {
			return false, err
		}
		size, err := tarNumber(b[12:24])
		if err != nil {
			return false, err
		}
		if offset < t.Restored || size > t.Size || offset > t.Size-size {
			return false, fmt.Errorf("tar has an extent of %d bytes at %d in a file of %d, where the one before ends at %d", size, offset, t.Size, t.Restored)
		}
		t.Restored = offset + size
		if size == 0 {
			continue
		}
		if len(t.Extents) == maxExtents {
			return false, fmt.Errorf("tar has more than %d extents", maxExtents)
		}
		t.Extents = append(t.Extents, Extent{offset, size})
	}
	return next != 0, nil
}

// Holes counts the stretches of zeros that the archive leaves out, and their bytes.
func (t *TarHead) Holes() (count int, size int64) {
	at := int64(0)
	for _, e := range append(t.Extents[:len(t.Extents):len(t.Extents)], Extent{t.Size, 0}) {
		if e.Offset > at {
			count++
			size += e.Offset - at
		}
		at = e.Offset + e.Size
	}
	return count, size
}

func tarFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("tar is cut off in its head")
	}
	return err
}

// tarSum checks the checksum: the bytes of the header, with itself as blanks.
func tarSum(b []byte) error {
	want, err := tarNumber(b[148:156])
	if err != nil {
		return errors.New("not a tar archive")
	}
	var sum int64 = 8 * ' '
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int64(c)
		}
	}
	if sum != want {
		return errors.New("not a tar archive: its first header has a wrong checksum")
	}
	return nil
}

// tarNumber reads octal digits, or base 256 when the first bit is set.
func tarNumber(b []byte) (int64, error) {
	if b[0]&0x80 != 0 {
		v := int64(b[0] & 0x7f) // a second bit would make it negative
		for _, c := range b[1:] {
			if v > 1<<53 {
				return 0, errors.New("tar has a number out of range")
			}
			v = v<<8 | int64(c)
		}
		return v, nil
	}
	v, err := strconv.ParseUint(strings.Trim(string(b), " \x00"), 8, 62)
	if err != nil {
		return 0, errors.New("tar has a malformed number")
	}
	return int64(v), nil
}

func tarText(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}
