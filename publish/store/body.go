package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// Body is the content of an object to be put: its size, its digest, and bytes that can be read again and again and
// in pieces, so that a store can retry them and send them in parts. It does not change and is not closed by the store.
// The zero Body is empty. A store checks size and digest of what it stores, so a source that changed is an error.
type Body struct {
	source io.ReaderAt
	size   int64
	sha256 string
}

// Bytes is a Body in memory. The caller must not change data any more.
func Bytes(data []byte) Body {
	sum := sha256.Sum256(data)
	return Body{bytes.NewReader(data), int64(len(data)), hex.EncodeToString(sum[:])}
}

// NewBody is a Body of known size in bytes and known digest (64 lower-case hexadecimal digits), such as a package
// of the history. The source must stay open until the store is done with it.
func NewBody(source io.ReaderAt, size int64, sha256hex string) (Body, error) {
	raw, err := hex.DecodeString(sha256hex)
	if err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != sha256hex {
		return Body{}, fmt.Errorf("%q is not a sha256", sha256hex)
	}
	if size < 0 {
		return Body{}, fmt.Errorf("negative size %d", size)
	}
	return Body{source, size, sha256hex}, nil
}

// HashBody reads size bytes of source once to learn their digest.
func HashBody(ctx context.Context, source io.ReaderAt, size int64) (Body, error) {
	sum := sha256.New()
	n, err := io.Copy(sum, &contextReader{ctx, io.NewSectionReader(source, 0, size)})
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return Body{}, fmt.Errorf("read a body of %d bytes: %w", size, err)
	}
	return Body{source, size, hex.EncodeToString(sum.Sum(nil))}, nil
}

// Size is in bytes.
func (b Body) Size() int64 { return b.size }

// SHA256 is in 64 lower-case hexadecimal digits.
func (b Body) SHA256() string {
	if b.source == nil {
		return Bytes(nil).sha256
	}
	return b.sha256
}

// Reader returns a new reader of the whole. Many may be used at the same time.
func (b Body) Reader() *io.SectionReader {
	if b.source == nil {
		return Bytes(nil).Reader()
	}
	return io.NewSectionReader(b.source, 0, b.size)
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
