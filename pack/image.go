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
	codec string // "", "zst" or "gz"
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
	f, err := os.Open(path)
	if err != nil {
		return nil, bad("image cannot be read: "+reason(err), "check image: in the definition")
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = bad("image cannot be read: "+reason(err), "check image: in the definition")
	case !info.Mode().IsRegular():
		err = bad("image is not a regular file", "copy it into a file first")
	case info.Size() == 0:
		err = bad("image is empty", "was the build interrupted?")
	}
	if err != nil {
		f.Close()
		return nil, err
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
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		f.Close()
		return nil, bad("image is compressed with xz", "recompress it: xz -dc "+path+" | zstd -o root.img.zst")
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
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := data(at, buf[:n]); err != nil {
				return 0, err
			}
			at += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && im.atEnd(r):
			return at, nil
		case err != nil:
			return 0, &InputError{im.path, 0, "compressed image cannot be read: " + err.Error(), "the file is damaged or cut off"}
		}
	}
}

// atEnd tells a short last piece from a stream that is cut off: io.ReadFull
// reports both as unexpected end.
func (im *image) atEnd(r io.Reader) bool {
	_, err := r.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
}

func (im *image) decompress() (io.ReadCloser, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(im.file, 0, im.size), 1<<18)
	if im.codec == "gz" {
		return gzip.NewReader(in)
	}
	d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<27))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}
