package pack

import (
	"encoding/binary"
	"fmt"
)

// tarHead makes the first part of a GNU sparse tar (the old format, type 'S')
// of root.img: one header of 512 bytes, which is all that the client reads to
// learn the image's size, and as many extension blocks of 512 bytes as the map
// of extents needs. Behind it come the extents' data, padded to 512 bytes, and
// two zero blocks. Layout: GNU tar manual, "Basic Tar Format" and "Old GNU
// Format".
//
// A map that does not reach the end of the image gets a last entry of size 0
// there, so that extracting makes the file as long as it was.
func tarHead(size int64, extents []extent, mtime int64) []byte {
	var data int64
	for _, e := range extents {
		data += e.size
	}
	sparse := extents
	if last := extents[len(extents)-1]; last.offset+last.size < size {
		sparse = append(extents[:len(extents):len(extents)], extent{size, 0})
	}
	const inHeader, inBlock = 4, 21

	b := make([]byte, 512)
	copy(b, "root.img")
	copy(b[100:], "0000644\x000000000\x000000000\x00") // mode, uid, gid
	tarNumber(b[124:136], data)
	tarNumber(b[136:148], mtime)
	copy(b[148:], "        ") // the checksum counts as blanks
	b[156] = 'S'
	copy(b[257:], "ustar  \x00")
	copy(b[265:], "root")
	copy(b[297:], "root")
	rest := tarMap(b[386:482], sparse, inHeader)
	b[482] = boolByte(len(rest) > 0)
	tarNumber(b[483:495], size)
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))

	for len(rest) > 0 {
		block := make([]byte, 512)
		rest = tarMap(block, rest, inBlock)
		block[504] = boolByte(len(rest) > 0)
		b = append(b, block...)
	}
	return b
}

// tarMap fills up to n entries of 24 bytes and returns the extents left over.
func tarMap(b []byte, extents []extent, n int) []extent {
	n = min(n, len(extents))
	for i, e := range extents[:n] {
		tarNumber(b[i*24:i*24+12], e.offset)
		tarNumber(b[i*24+12:i*24+24], e.size)
	}
	return extents[n:]
}

// tarNumber writes 11 octal digits and a NUL, or from 8 GiB on base 256.
func tarNumber(b []byte, v int64) {
	if v < 1<<33 {
		copy(b, fmt.Sprintf("%011o\x00", v))
		return
	}
	b[0] = 0x80
	binary.BigEndian.PutUint64(b[4:], uint64(v))
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// tarEnd is what follows the data of n bytes: padding and two zero blocks.
func tarEnd(n int64) []byte { return make([]byte, int(-n&511)+1024) }
