package rpmmd

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
)

// OpenGzip gives the open bytes of a compressed file of metadata and holds it to
// its record: never more than want.OpenSize bytes come out, at most one byte
// more than want.Size is read, and io.EOF comes only after both digests and both
// sizes were found right. What was read before an error is not to be trusted.
func OpenGzip(src io.Reader, want Record) (io.Reader, error) {
	o := &opener{want: want, packed: sha256.New(), open: sha256.New()}
	o.source = &io.LimitedReader{R: src, N: want.Size + 1}
	o.buffered = bufio.NewReader(io.TeeReader(o.source, o.packed))
	var err error
	if o.gzip, err = gzip.NewReader(o.buffered); err != nil {
		return nil, fmt.Errorf("decompress: %w", cutOff(err))
	}
	o.gzip.Multistream(false)
	return o, nil
}

type opener struct {
	want         Record
	source       *io.LimitedReader // one byte more than it may have
	buffered     *bufio.Reader
	gzip         *gzip.Reader
	packed, open hash.Hash
	size         int64
	done         error
}

func (o *opener) Read(p []byte) (int, error) {
	if o.done != nil {
		return 0, o.done
	}
	n, err := o.gzip.Read(p)
	if room := o.want.OpenSize - o.size; int64(n) > room {
		n, err = int(room), fmt.Errorf("content has more than the recorded %d bytes", o.want.OpenSize)
	}
	o.open.Write(p[:n])
	o.size += int64(n)
	if err == io.EOF { // the bare value ends a member, a wrapped one is a fault
		if err = o.check(); err == nil {
			o.done = io.EOF
			return n, io.EOF
		}
	}
	if err != nil {
		o.done = fmt.Errorf("decompress: %w", cutOff(err))
	}
	return n, o.done
}

// check runs at the end of the gzip member.
func (o *opener) check() error {
	extra, err := io.Copy(io.Discard, o.buffered)
	switch {
	case err != nil:
		return err
	case extra > 0:
		return errors.New("bytes follow the end")
	case o.size != o.want.OpenSize || hex.EncodeToString(o.open.Sum(nil)) != o.want.OpenSHA256:
		return errors.New("content does not match its digest")
	case o.source.N != 1 || hex.EncodeToString(o.packed.Sum(nil)) != o.want.SHA256:
		return errors.New("file does not match its digest")
	}
	return nil
}
