// Package store is where the public tree lives: a folder, later a bucket, and for readers also an address on the web.
//
// The public tree is a flat set of objects named by keys (see CheckKey). Every object is of one Kind, which follows
// from its key (see KindOf) and fixes its content type, its cache policy and how it may be written:
//
//   - immutable objects (packages, logs, records, proofs, snapshot metadata, tiles, staged entries, blobs, the ledger's
//     verifier key) are written by Put, once;
//   - pointers (metalink, latest/, ledger/checkpoint, ledger/commit) are written by Swap, which is a compare-and-swap;
//   - the rest (client configuration, public keys, the witness policy, pages) may be written by either.
//
// No key is a folder of another: where "a/b" is an object, "a" is none.
//
// A store belongs to one ledger: the first thing written into an empty one is the ledger's verifier key as
// ledger/key.vkey (see Claim), and a place with anything else in it is refused.
//
// In a folder, an object is the regular file root/key. Beside the objects there are only temporary files (".tmp-...")
// and the lock of Swap (".colophon.lock" in the root); neither is a valid key, so no reader is ever shown one.
// Symbolic links below the root are not followed out of it.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Tag stands for the content of a mutable object at one moment. It comes from Get or Swap and is good for Swap at the
// same store only. The zero Tag stands for "does not exist". It is no digest, whatever it looks like.
type Tag string

// Info describes an object.
type Info struct {
	Key    string
	Size   int64  // in bytes; -1 where a web server does not tell
	SHA256 string // 64 lower-case hexadecimal digits where the store knows it without reading the object, else ""
}

// Reader reads a public tree. All methods may be called at the same time and may be retried.
//
// A missing object is fs.ErrNotExist. *UnreachableError means that nothing is known about the object. A key that
// CheckKey refuses is an error everywhere.
type Reader interface {
	// Address names the place in messages and reports, in the form that OpenReader takes.
	Address() string

	// Open streams length bytes from offset, or all from offset when length is negative. A range that ends behind the
	// object is cut short there; one that starts behind it is ErrRange. Info tells of the whole object. A stream
	// that ends early ends with an error, never with io.EOF. The bytes are of one version of the object even
	// when it is replaced meanwhile. The caller closes the stream.
	Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error)

	// Stat describes the object without reading it.
	Stat(ctx context.Context, key string) (Info, error)

	// Get returns a small object as a whole, with its Tag. More than limit bytes are an error. Where nothing can be
	// written, the Tag is empty.
	Get(ctx context.Context, key string, limit int64) ([]byte, Tag, error)
}

// Store is a Reader that can also write. When a writing method returns nil, the object is persisted: it survives a
// power failure of the store and every later read sees it. When it returns an error, the object is as before, or
// wholly as wanted, except where a final error below says that it is as before. Calling again with the same
// arguments is always right: both methods are idempotent.
type Store interface {
	Reader

	// Put writes an object if it is absent, and also succeeds when it is there with the same bytes.
	// Final: *ConflictError (it is there with other bytes, and stays so).
	Put(ctx context.Context, key string, body Body, kind Kind) error

	// Swap replaces the object if its Tag is still expected; the zero Tag expects that it does not exist. It also
	// succeeds when the object already has these bytes, as after an earlier Swap whose answer was lost. It
	// returns the Tag of the new content. Of many swaps at once with one expected Tag and different data exactly
	// one succeeds.
	// Final: ErrChanged (somebody else wrote it; read it and decide again).
	Swap(ctx context.Context, key string, data []byte, kind Kind, expected Tag) (Tag, error)

	// List calls f for every object whose key begins with prefix, in the order of the bytes of the keys, and stops
	// at the first error, which it returns. Objects written meanwhile may be missing. Prefix need not end at a slash.
	List(ctx context.Context, prefix string, f func(Info) error) error
}

var (
	// ErrChanged is the answer to a Swap that came too late.
	ErrChanged = errors.New("the object was changed by somebody else")
	// ErrRange is the answer to an Open behind the end of the object.
	ErrRange = errors.New("the range lies behind the end of the object")
)

// ConflictError reports that an object is there with other bytes than those to be put. It was not touched.
type ConflictError struct{ Key string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%q is already stored with other content", e.Key)
}

// Hint tells what to do.
func (e *ConflictError) Hint() string {
	return "published objects never change: give the new content a new version or release"
}

// Update brings a small mutable object to data with Get and Swap, and tells whether it wrote anything. It is for
// objects whose former content does not matter. ErrChanged as with Swap.
func Update(ctx context.Context, s Store, key string, data []byte, kind Kind) (changed bool, err error) {
	old, tag, err := s.Get(ctx, key, max(int64(len(data)), updateLimit))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, err
	case string(old) == string(data):
		return false, nil
	}
	_, err = s.Swap(ctx, key, data, kind, tag)
	return err == nil, err
}

// updateLimit bounds what Update reads of an object that it is about to replace: metadata of latest/ is the largest.
const updateLimit = 1 << 30

// contentTag is the Tag where the store has no better one.
func contentTag(data []byte) Tag {
	sum := sha256.Sum256(data)
	return Tag(hex.EncodeToString(sum[:]))
}

// readLimited reads a whole stream of at most limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	return data, nil
}

// cutRange gives the part of an object of size bytes that Open streams.
func cutRange(size, offset, length int64) (int64, error) {
	if offset < 0 || offset > size {
		return 0, ErrRange
	}
	if length < 0 || length > size-offset {
		length = size - offset
	}
	return length, nil
}
