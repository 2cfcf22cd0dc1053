package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"colophon/pack/rpm"
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
	codec string // "", "zstd", "gzip" or "xz"
	size  int64  // of the file as it lies on disk
	mtime time.Time
}

// foreign are formats that people have at hand besides raw images, by the bytes
// they have at an offset, with the command that makes a raw image of FILE.
var foreign = []struct {
	magic   string
	offset  int
	name    string
	command string
}{
	{"QFI\xfb", 0, "qcow2", "qemu-img convert -f qcow2 -O raw FILE root.img"},
	{"KDMV", 0, "VMDK", "qemu-img convert -f vmdk -O raw FILE root.img"},
	{"# Disk DescriptorFile", 0, "VMDK", "qemu-img convert -f vmdk -O raw FILE root.img"},
	{"vhdxfile", 0, "VHDX", "qemu-img convert -f vhdx -O raw FILE root.img"},
	{"conectix", 0, "VHD", "qemu-img convert -f vpc -O raw FILE root.img"},
	{"<<< ", 0, "VDI", "qemu-img convert -f vdi -O raw FILE root.img"},
	{"QED\x00", 0, "QED", "qemu-img convert -f qed -O raw FILE root.img"},
	{"ustar", 257, "tar", "tar -xSf FILE root.img"},
	{"BZh", 0, "bzip2", "bzip2 -dc FILE > root.img"},
	{"\x04\x22\x4d\x18", 0, "lz4", "lz4 -dc FILE > root.img"},
	{"LZIP", 0, "lzip", "lzip -dc FILE > root.img"},
	{"PK\x03\x04", 0, "zip", "unzip -p FILE > root.img"},
	{"7z\xbc\xaf\x27\x1c", 0, "7z", "7z x -so FILE > root.img"},
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
		im.codec = "zstd"
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		im.codec = "gzip"
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		im.codec = "xz"
	}
	for _, x := range foreign {
		if x.offset < len(head) && bytes.HasPrefix(head[x.offset:], []byte(x.magic)) {
			f.Close()
			return nil, bad("image is in the format "+x.name+", not raw", "convert it: "+strings.Replace(x.command, "FILE", path, 1))
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

// scanStream takes a stream of one of the compressed formats. Its reader has
// rpm's limits for windows and dictionaries, and sees to it that the stream is
// whole.
func (im *image) scanStream(ctx context.Context, buf []byte, data func(int64, []byte) error) (int64, error) {
	bad := func(err error) error {
		text := err.Error()
		var format *rpm.FormatError
		if errors.As(err, &format) {
			text = format.Reason
		}
		return &InputError{im.path, 0, "compressed image cannot be read: " + text, "the file is damaged or cut off: try " + im.codec + " -t"}
	}
	r, err := rpm.Decompress(im.codec, io.NewSectionReader(im.file, 0, im.size))
	if err != nil {
		return 0, bad(err)
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
		case err == io.EOF: // exactly: of a stream that is cut off readers say something like it
			return at, nil
		case err != nil:
			return 0, bad(err)
		}
	}
}

// fill reads until the buffer is full and returns the reader's own error, where
// io.ReadFull would call the end of the stream unexpected.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}
