package rpm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// xzReader reads .xz streams (the .xz file format, version 1.2.1) with one
// LZMA2 filter per block, which is all that xz and rpm write for data. The
// container is read here, and not by the library that decompresses the blocks,
// because that one allocates whatever dictionary a block asks for: up to 4 GiB.
type xzReader struct {
	r      *counted
	err    error
	flags  [2]byte // of the stream: the kind of check
	blocks uint64  // of the stream so far
	block  io.Reader
	start  int64     // of the block's compressed data
	sum    hash.Hash // of the block's data; nil when its kind is not known
}

var (
	xzMagic  = [6]byte{0xfd, '7', 'z', 'X', 'Z', 0}
	crcTable = crc64.MakeTable(crc64.ECMA)
)

// xzCheckSize is the size of a block's check by its kind.
var xzCheckSize = [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}

var (
	errXZ     = errors.New("malformed xz container")
	errXZSum  = errors.New("wrong checksum")
	errFilter = errors.New("filters other than LZMA2")
	errWindow = errors.New("dictionary of more than 96 MiB")
)

// newXZReader reads streams from a reader that stands at the magic of the first.
func newXZReader(r *bufio.Reader) *xzReader { return &xzReader{r: &counted{r: r}} }

// Read implements io.Reader.
func (x *xzReader) Read(b []byte) (int, error) {
	for x.err == nil {
		if x.block == nil {
			x.err = x.next()
			continue
		}
		n, err := x.block.Read(b)
		if x.sum != nil {
			x.sum.Write(b[:n])
		}
		if err == io.EOF {
			x.block, err = nil, x.endBlock()
		}
		if x.err = err; n > 0 {
			return n, nil
		}
	}
	return 0, x.err
}

// next starts a block, or ends a stream and starts the next one. At the end of
// the last stream the error is io.EOF.
func (x *xzReader) next() error {
	if x.r.n == 0 {
		return x.startStream()
	}
	var size [1]byte
	if err := x.full(size[:]); err != nil {
		return err
	}
	if size[0] != 0 {
		return x.startBlock(size[0])
	}
	if err := x.endStream(); err != nil {
		return err
	}
	for { // padding between streams: whole groups of 4 zero bytes
		head, err := x.r.r.Peek(4)
		if err == io.EOF && len(head) == 0 {
			return io.EOF
		}
		if err != nil || !bytes.Equal(head, make([]byte, 4)) {
			break
		}
		if err := x.full(make([]byte, 4)); err != nil {
			return err
		}
	}
	return x.startStream()
}

func (x *xzReader) startStream() error {
	var head [12]byte
	if err := x.full(head[:]); err != nil {
		return err
	}
	if !bytes.Equal(head[:6], xzMagic[:]) || head[6] != 0 || head[7] > 15 {
		return errXZ
	}
	if binary.LittleEndian.Uint32(head[8:]) != crc32.ChecksumIEEE(head[6:8]) {
		return errXZSum
	}
	x.flags, x.blocks = [2]byte(head[6:8]), 0
	return nil
}

// startBlock reads a block's header; size is its first byte.
func (x *xzReader) startBlock(size byte) error {
	head := make([]byte, (int(size)+1)*4)
	head[0] = size
	if err := x.full(head[1:]); err != nil {
		return err
	}
	body := head[:len(head)-4]
	if binary.LittleEndian.Uint32(head[len(body):]) != crc32.ChecksumIEEE(body) {
		return errXZSum
	}
	flags, rest := body[1], body[2:]
	if flags&0x3f != 0 {
		return errFilter
	}
	for _, has := range []bool{flags&0x40 != 0, flags&0x80 != 0} { // sizes, which the index repeats
		if has {
			_, n := binary.Uvarint(rest)
			if n <= 0 {
				return errXZ
			}
			rest = rest[n:]
		}
	}
	if len(rest) < 3 {
		return errXZ
	}
	if rest[0] != 0x21 || rest[1] != 1 {
		return errFilter
	}
	if len(bytes.Trim(rest[3:], "\x00")) > 0 {
		return errXZ
	}
	dictionary, err := lzma.DecodeDictCap(rest[2])
	if err != nil {
		return errXZ
	}
	if dictionary > maxDictionary {
		return errWindow
	}
	x.start = x.r.n
	x.block, err = lzma.Reader2Config{DictCap: int(max(dictionary, lzma.MinDictCap))}.NewReader2(x.r)
	switch x.flags[1] {
	case 1:
		x.sum = crc32.NewIEEE()
	case 4:
		x.sum = crc64.New(crcTable)
	case 10:
		x.sum = sha256.New()
	default:
		x.sum = nil
	}
	x.blocks++
	return err
}

// endBlock reads what follows a block's data: padding and check.
func (x *xzReader) endBlock() error {
	tail := make([]byte, int(-(x.r.n-x.start)&3)+xzCheckSize[x.flags[1]])
	if err := x.full(tail); err != nil {
		return err
	}
	if x.sum == nil {
		return nil
	}
	sum := x.sum.Sum(nil)
	if x.flags[1] != 10 { // CRCs stand in the other byte order
		for i, j := 0, len(sum)-1; i < j; i, j = i+1, j-1 {
			sum[i], sum[j] = sum[j], sum[i]
		}
	}
	if !bytes.HasSuffix(tail, sum) {
		return errXZSum
	}
	return nil
}

// endStream reads the index behind its first byte, and the footer.
func (x *xzReader) endStream() error {
	index := crc32.NewIEEE()
	start := x.r.n - 1
	index.Write([]byte{0})
	read := io.TeeReader(x.r, index)
	count, err := binary.ReadUvarint(oneByte{read})
	if err != nil {
		return cut(err)
	}
	if count != x.blocks {
		return errXZ
	}
	for range 2 * count { // two sizes of each block
		if _, err := binary.ReadUvarint(oneByte{read}); err != nil {
			return cut(err)
		}
	}
	if _, err := io.ReadFull(read, make([]byte, -(x.r.n-start)&3)); err != nil {
		return cut(err)
	}
	size := x.r.n - start
	var tail [16]byte // CRC of the index; the footer: CRC, size of the index, flags, magic
	if err := x.full(tail[:]); err != nil {
		return err
	}
	le := binary.LittleEndian
	switch {
	case le.Uint32(tail[:]) != index.Sum32(), le.Uint32(tail[4:]) != crc32.ChecksumIEEE(tail[8:14]):
		return errXZSum
	case (int64(le.Uint32(tail[8:]))+1)*4 != size+4, [2]byte(tail[12:14]) != x.flags, string(tail[14:]) != "YZ":
		return errXZ
	}
	return nil
}

func (x *xzReader) full(b []byte) error {
	_, err := io.ReadFull(x.r, b)
	return cut(err)
}

// cut makes the end of the input in the middle of something an error.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// counted counts the bytes read.
type counted struct {
	r *bufio.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// oneByte reads single bytes.
type oneByte struct{ io.Reader }

func (r oneByte) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.Reader, b[:])
	return b[0], err
}
