package pack

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/sys/unix"
)

// blockSize is the unit of holes and of frame cuts, in image coordinates: the
// block of the file systems that images hold.
const blockSize = 4096

// minHole is the shortest run of zero bytes that becomes a hole. Shorter ones
// compress to nothing, and would only make the hole map longer.
const minHole = 64 << 10

// readSize is how much of an image is read at a time.
const readSize = 1 << 20

var zeroBlock [blockSize]byte

// image is an opened root image: raw, or a compressed stream of a raw one.
type image struct {
	path  string
	file  *os.File
	codec string // "", "zst", "gz" or "xz"
	size  int64  // of the file as it lies on disk
	mtime time.Time
}

// foreign are the image formats people have at hand besides raw ones.
var foreign = []struct {
	magic  string
	offset int64
	name   string
	format string // qemu-img's name
}{
	{"QFI\xfb", 0, "qcow2", "qcow2"}, {"KDMV", 0, "VMDK", "vmdk"}, {"# Disk DescriptorFile", 0, "VMDK", "vmdk"},
	{"vhdxfile", 0, "VHDX", "vhdx"}, {"conectix", 0, "VHD", "vpc"}, {"<<< ", 0, "VDI", "vdi"}, {"QED\x00", 0, "QED", "qed"},
}

func openImage(path string) (*image, error) {
	bad := func(reason, advice string) error { return &InputError{path, 0, reason, advice} }
	f, info, err := openRegular(path)
	if err != nil {
		return nil, bad("image cannot be read: "+reason(err), "check image: in the definition")
	}
	if info.Size() == 0 {
		f.Close()
		return nil, bad("image is empty", "was the build interrupted?")
	}
	im := &image{path: path, file: f, size: info.Size(), mtime: info.ModTime()}
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, bad("image cannot be read: "+reason(err), "check the disk")
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		im.codec = "zst"
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		im.codec = "gz"
	case bytes.HasPrefix(head, []byte(xzMagic)):
		im.codec = "xz"
		if size, ok := xzDictionary(head); !ok || size > maxDictionary {
			f.Close()
			return nil, bad("compressed image cannot be read: not made by xz with its usual settings", "recompress it: xz -dc "+path+" | zstd -o root.img.zst")
		}
	}
	for _, x := range foreign {
		if bytes.HasPrefix(head, []byte(x.magic)) {
			f.Close()
			return nil, bad("image is in the format "+x.name+", not raw", fmt.Sprintf("convert it: qemu-img convert -f %s -O raw %s root.img", x.format, path))
		}
	}
	return im, nil
}

func (im *image) close() { im.file.Close() }

// unchanged says whether the file is still the one that was opened.
func (im *image) unchanged() error {
	info, err := im.file.Stat()
	if err != nil {
		return fmt.Errorf("read %q: %w", im.path, err)
	}
	if info.Size() != im.size || !info.ModTime().Equal(im.mtime) {
		return errChanged(im.path)
	}
	return nil
}

func errChanged(path string) error {
	return &InputError{path, 0, "image changed while it was read", "let the build finish first, then run the same command again"}
}

// scan calls data for every piece of the image that is not a hole of the file,
// in ascending order, and returns the image's size. Pieces start on a block
// boundary and, but for the last, are whole blocks; they are valid during the
// call. Which holes are left out depends on the file system and must not matter
// to the caller.
func (im *image) scan(ctx context.Context, data func(offset int64, piece []byte) error) (int64, error) {
	buf := make([]byte, readSize)
	if im.codec != "" {
		return im.scanStream(ctx, buf, data)
	}
	for at := int64(0); at < im.size; {
		start, end := im.nextData(at)
		for at = start; at < end; {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			n, err := im.file.ReadAt(buf[:min(readSize, end-at)], at)
			if int64(n) < min(readSize, end-at) {
				if err == nil || errors.Is(err, io.EOF) {
					return 0, errChanged(im.path)
				}
				return 0, fmt.Errorf("read %q: %w", im.path, err)
			}
			if err := data(at, buf[:n]); err != nil {
				return 0, err
			}
			at += int64(n)
		}
	}
	return im.size, nil
}

// nextData finds the next stretch that holds data at or behind an offset, in
// whole blocks. A file system that cannot tell counts as all data.
func (im *image) nextData(at int64) (start, end int64) {
	start, err := im.file.Seek(at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // nothing but a hole up to the end
		return im.size, im.size
	case err != nil:
		return at, im.size
	}
	end, err = im.file.Seek(start, unix.SEEK_HOLE)
	if err != nil {
		end = im.size
	}
	start = max(at, start/blockSize*blockSize)
	return start, min((end+blockSize-1)/blockSize*blockSize, im.size)
}

func (im *image) scanStream(ctx context.Context, buf []byte, data func(int64, []byte) error) (int64, error) {
	r, err := im.decompress()
	if err != nil {
		return 0, &InputError{im.path, 0, "compressed image cannot be read: " + err.Error(), "check the file: " + im.codec + " -t"}
	}
	defer r.Close()
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := fill(r, buf)
		if n > 0 {
			if err := data(at, buf[:n]); err != nil {
				return 0, err
			}
			at += int64(n)
		}
		switch {
		case err == io.EOF: // exactly: a cut-off stream has an error that wraps or resembles it
			return at, nil
		case err != nil:
			return 0, &InputError{im.path, 0, "compressed image cannot be read: " + err.Error(), "the file is damaged or cut off"}
		}
	}
}

// fill reads until the buffer is full and returns the reader's own error. Unlike
// io.ReadFull it does not call the end of the stream unexpected, which is what
// readers say of a stream that is cut off.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

func (im *image) decompress() (io.ReadCloser, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(im.file, 0, im.size), 1<<18)
	switch im.codec {
	case "gz":
		return gzip.NewReader(in)
	case "xz":
		r, err := xz.NewReader(in)
		return io.NopCloser(r), err
	}
	d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<27))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

const (
	xzMagic       = "\xfd7zXZ\x00"
	maxDictionary = 64 << 20 // xz -9
)

// xzDictionary reads the dictionary size of the first block, in bytes: the
// reader would allocate whatever a header asks for, up to 4 GiB. head is the
// start of the file. Source: the .xz file format 1.2, sections 3.1 and 5.3.1.
func xzDictionary(head []byte) (int64, bool) {
	const streamHeader, lzma2 = 12, 0x21
	if len(head) < streamHeader+5 {
		return 0, false
	}
	block := head[streamHeader:]
	if block[0] == 0 { // the index: a stream without blocks
		return 0, true
	}
	flags, at := block[1], 2
	if flags&0x03 != 0 { // more filters than one
		return 0, false
	}
	for _, field := range []byte{0x40, 0x80} { // sizes, each a number of at most nine bytes
		for more := flags&field != 0; more && at < len(block); at++ {
			more = block[at]&0x80 != 0
		}
	}
	if at+3 > len(block) || block[at] != lzma2 || block[at+1] != 1 || block[at+2] > 40 {
		return 0, false
	}
	bits := block[at+2]
	if bits == 40 {
		return 1<<32 - 1, true
	}
	return (2 | int64(bits&1)) << (bits/2 + 11), true
}
