package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash/maphash"
	"io"

	"colophon/pack/rpm"
)

// readBack reads the whole package from where it was written, and makes the
// digests that need its header first. It does what rpm.Read does, faster: the
// payload's own digest is known, so that a sum shows whether it is still the same.
func (w *writer) readBack(front, header []byte) (*rpm.Package, rpm.Digests, error) {
	in := io.NewSectionReader(w.out, 0, int64(len(front))+w.size)
	written := make([]byte, len(front))
	if _, err := io.ReadFull(in, written); err != nil {
		return nil, rpm.Digests{}, err
	}
	if !bytes.Equal(written, front) {
		return nil, rpm.Digests{}, errReadBack
	}
	pkg, err := rpm.ReadHeaders(bytes.NewReader(written))
	if err != nil {
		return nil, rpm.Digests{}, err
	}
	var sum maphash.Hash
	sum.SetSeed(w.written.Seed())
	file, content := sha256.New(), sha256.New()
	file.Write(front)
	content.Write(header)
	buf := make([]byte, readSize)
	for {
		n, err := fill(in, buf)
		together(
			func() { file.Write(buf[:n]) },
			func() { content.Write(buf[:n]); sum.Write(buf[:n]) },
		)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, rpm.Digests{}, err
		}
	}
	if sum.Sum64() != w.written.Sum64() {
		return nil, rpm.Digests{}, errReadBack
	}
	return pkg, rpm.Digests{
		File: hexSum(file), Content: hexSum(content), Header: pkg.HeaderDigest(), Payload: hexSum(w.compressed),
		Size: int64(len(front)) + w.size,
	}, nil
}

var errReadBack = errors.New("the disk returns other bytes than were written")
