package rpm

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
)

// Windows that a payload may ask its reader to keep. They are rpm's own limits:
// libzstd refuses more than 2^27 bytes unless told otherwise, and rpm gives
// liblzma 100 MiB (rpmio/rpmio.c), which the next size of an xz dictionary,
// 128 MiB, exceeds. A payload of a few bytes can make a reader allocate its
// whole window, so these are also the most memory that one costs.
const (
	maxZstdWindow = 1 << 27
	maxDictionary = 96 << 20
)

// Decompress reads a payload by the name of its compressor, as it stands in
// PayloadCompressor: gzip, bzip2, xz, lzma or zstd. Without a name the payload
// is not compressed, or, from the oldest packages, gzip. The compressed bytes
// must end where r does. Errors about the bytes are of type *FormatError.
func Decompress(name string, r io.Reader) (io.ReadCloser, error) {
	in := &source{r: r}
	d := &decompressor{name: name, in: in, buffer: bufio.NewReaderSize(in, 64<<10)}
	head, err := d.buffer.Peek(len(xzMagic))
	if err != nil && err != io.EOF {
		return nil, d.judge(err)
	}
	isGzip, isXZ := bytes.HasPrefix(head, []byte{0x1f, 0x8b}), bytes.Equal(head, xzMagic[:])
	switch {
	case name == "gzip", name == "" && isGzip:
		d.name = "gzip"
		d.out, err = gzip.NewReader(d.buffer)
	case name == "":
		d.out, err = d.buffer, nil
	case name == "bzip2":
		d.out, err = bzip2.NewReader(d.buffer), nil
	case (name == "xz" || name == "lzma") && isXZ: // rpm looks at the bytes too
		d.out, err = newXZReader(d.buffer), nil
	case name == "xz", name == "lzma":
		d.out, err = lzma.ReaderConfig{DictCap: maxDictionary}.NewReader(d.buffer)
	case name == "zstd":
		d.out, err = zstd.NewReader(d.buffer, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	default:
		return nil, payloadError("is compressed with %s; gzip, bzip2, xz, lzma and zstd are known", quote(name))
	}
	if err != nil {
		return nil, d.judge(err)
	}
	return d, nil
}

// decompressor tells errors of the bytes from errors of reading them.
type decompressor struct {
	name   string
	in     *source
	buffer *bufio.Reader
	out    io.Reader
}

func (d *decompressor) Read(b []byte) (int, error) {
	n, err := d.out.Read(b)
	if err == nil || err == io.EOF && d.atEnd() {
		return n, err
	}
	return n, d.judge(err)
}

// atEnd reports whether all compressed bytes were used.
func (d *decompressor) atEnd() bool {
	_, err := d.buffer.ReadByte()
	return err == io.EOF
}

func (d *decompressor) judge(err error) error {
	var format *FormatError
	switch {
	case d.in.err != nil:
		return d.in.err
	case errors.As(err, &format):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return payloadError("is cut off")
	case err == io.EOF:
		return payloadError("has bytes behind the end of its compressed data")
	}
	return payloadError("cannot be decompressed (%s): %v", d.name, err)
}

// Close frees what the decompressor holds.
func (d *decompressor) Close() error {
	if z, ok := d.out.(*zstd.Decoder); ok {
		z.Close()
	}
	return nil
}

// source remembers an error that is not about the bytes.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		s.err = fmt.Errorf("read payload: %w", err)
	}
	return n, err
}
