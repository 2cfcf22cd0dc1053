package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
)

const (
	maxPointer = 64 << 10 // bytes of a checkpoint, a metalink, a repomd.xml, a signature
	maxKey     = 1 << 20  // bytes of a public key
	maxProof   = 128 << 10
	// cachedTiles is how many bytes of the ledger are kept, since it is walked
	// several times. Larger ledgers are read again.
	cachedTiles = 64 << 20
	progressive = 1 << 20 // bytes between two calls of Progress
)

// source reads objects and keeps account of them.
type source struct {
	reader            Reader
	progress          func(done, total int64)
	done, told, total int64
	bytes             int64
	named             map[string]bool // every key that something points to; true once it was read
}

// point notes that something points to a key.
func (s *source) point(key string) {
	if _, known := s.named[key]; !known {
		s.named[key] = false
	}
}

// open starts to read an object. Size is what it adds to the progress, whatever
// becomes of it. A missing object is a *problem.
func (s *source) open(ctx context.Context, key string, size int64) (*object, error) {
	s.point(key)
	body, err := s.reader.Open(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		s.advance(size)
		return nil, &problem{key, "missing", true}
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", key, err)
	}
	s.named[key] = true
	return &object{source: s, key: key, body: body, credit: size}, nil
}

func (s *source) advance(n int64) {
	s.done += n
	if s.progress != nil && (s.done-s.told >= progressive || s.done == s.total) {
		s.told = s.done
		s.progress(min(s.done, s.total), s.total) // what is committed only is not in the total
	}
}

// object is an object that is being read.
type object struct {
	*source
	key    string
	body   io.ReadCloser
	credit int64 // progress that is still to be made
	failed error // of the reader, which says nothing about the object
}

func (o *object) Read(p []byte) (int, error) {
	n, err := o.body.Read(p)
	o.bytes += int64(n)
	step := min(int64(n), o.credit)
	o.credit -= step
	o.advance(step)
	if err != nil && err != io.EOF {
		o.failed = err
	}
	return n, err
}

func (o *object) Close() {
	o.advance(o.credit)
	o.credit = 0
	o.body.Close() // only read from
}

// judge makes a problem of what a parser of the object says, unless it was the
// reading that failed.
func (o *object) judge(err error) error {
	switch {
	case o.failed != nil:
		return fmt.Errorf("read %q: %w", o.key, o.failed)
	case err != nil:
		return wrong(o.key, "%v", err)
	}
	return nil
}

// small reads an object into memory.
func (s *source) small(ctx context.Context, key string, limit int64) ([]byte, error) {
	o, err := s.open(ctx, key, 0)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	data, err := io.ReadAll(io.LimitReader(o, limit+1))
	if err := o.judge(err); err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, wrong(key, "has more than %d bytes", limit)
	}
	return data, nil
}

// exact reads an object of which the ledger knows the digest, up to a limit.
func (s *source) exact(ctx context.Context, key string, want ledger.Digest, limit int64) ([]byte, error) {
	if want.Size > limit {
		return nil, wrong(key, "has %d bytes by the ledger; at most %d are allowed", want.Size, limit)
	}
	data, err := s.small(ctx, key, want.Size)
	s.advance(want.Size)
	if err != nil {
		return nil, err
	}
	if got := ledger.Digest(rpmmd.DigestOf(data)); got != want {
		return nil, wrong(key, "%s", differs(got, want))
	}
	return data, nil
}

// same compares an object with its digest without keeping it.
func (s *source) same(ctx context.Context, key string, want ledger.Digest) error {
	o, err := s.open(ctx, key, 0)
	if err != nil {
		return err
	}
	defer o.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(o, want.Size+1))
	if err := o.judge(err); err != nil {
		return err
	}
	if got := (ledger.Digest{SHA256: hex.EncodeToString(sum.Sum(nil)), Size: n}); got != want {
		return wrong(key, "%s", differs(got, want))
	}
	return nil
}

// tiles reads the ledger's files and keeps those of a small one.
type tiles struct {
	*source
	cache map[string][]byte
	size  int
}

// ReadFile implements ledger.Tiles.
func (t *tiles) ReadFile(ctx context.Context, key string) ([]byte, error) {
	if data, ok := t.cache[key]; ok {
		return data, nil
	}
	o, err := t.open(ctx, key, 0)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	data, err := io.ReadAll(io.LimitReader(o, ledger.MaxObject+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", key, err)
	}
	if t.size+len(data) <= cachedTiles {
		if t.cache == nil {
			t.cache = map[string][]byte{}
		}
		t.cache[key] = data
		t.size += len(data)
	}
	return data, nil
}
