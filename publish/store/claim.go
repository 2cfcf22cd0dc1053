package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"colophon/mirror/disk"
)

// VKeyKey is the key of the object that says whose store it is.
const VKeyKey = "ledger/key.vkey"

// maxVKey bounds a verifier key line in bytes.
const maxVKey = 4096

// ClaimedError reports a store that belongs to another ledger.
type ClaimedError struct {
	Address     string
	Found, Want string // verifier keys
}

func (e *ClaimedError) Error() string {
	return fmt.Sprintf("%s belongs to another ledger: its key is %q, ours is %q", e.Address, e.Found, e.Want)
}

// Hint tells what to do.
func (e *ClaimedError) Hint() string {
	return "use the ledger key this store was made with, or name another, empty store"
}

// ForeignError reports a store that holds things and is not ours.
type ForeignError struct {
	Address string
	Entry   string // one of the things in it
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s is not a store of ours: it holds %q but no %s", e.Address, e.Entry, VKeyKey)
}

// Hint tells what to do.
func (e *ForeignError) Hint() string { return "name an empty or new place as the store" }

// Owner returns the verifier key of the ledger that the tree belongs to, without the newline. An unclaimed one is
// fs.ErrNotExist.
func Owner(ctx context.Context, r Reader) (string, error) {
	data, _, err := r.Get(ctx, VKeyKey, maxVKey)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(data)), nil
}

// CheckClaim tells whether Claim would succeed, and writes nothing. *ClaimedError and *ForeignError are final.
func CheckClaim(ctx context.Context, s Store, vkey string) error {
	_, err := checkClaim(ctx, s, vkey)
	return err
}

// Claim makes a store ours: an empty one gets the verifier key (one line, with or without a newline; stored with one)
// as its first object, one that has this key is fine. Of two that claim an empty store at once one succeeds.
// *ClaimedError and *ForeignError are final and nothing was written.
func Claim(ctx context.Context, s Store, vkey string) error {
	owned, err := checkClaim(ctx, s, vkey)
	if err != nil || owned {
		return err
	}
	err = s.Put(ctx, VKeyKey, Bytes([]byte(strings.TrimSpace(vkey)+"\n")), VKey)
	if _, lost := errors.AsType[*ConflictError](err); lost {
		_, err = checkClaim(ctx, s, vkey)
	}
	return err
}

func checkClaim(ctx context.Context, s Store, vkey string) (owned bool, err error) {
	want := strings.TrimSpace(vkey)
	if want == "" || strings.ContainsAny(want, "\r\n") || len(want) >= maxVKey {
		return false, fmt.Errorf("claim %s: not a verifier key: %q", s.Address(), vkey)
	}
	var entry string
	for range 2 {
		found, err := Owner(ctx, s)
		switch {
		case err == nil && found == want:
			return true, nil
		case err == nil:
			return false, &ClaimedError{s.Address(), found, want}
		case !errors.Is(err, fs.ErrNotExist):
			return false, fmt.Errorf("claim %s: %w", s.Address(), err)
		}
		// What is found may be of somebody who claimed the store since we looked: then there is a key now.
		if entry, err = foreignEntry(ctx, s); err != nil {
			return false, fmt.Errorf("claim %s: %w", s.Address(), err)
		}
		if entry == "" {
			return false, nil
		}
	}
	return false, &ForeignError{s.Address(), entry}
}

// foreignEntry returns something that is in an unclaimed store, or "".
func foreignEntry(ctx context.Context, s Store) (string, error) {
	if f, ok := s.(interface{ foreignEntry() (string, error) }); ok {
		return f.foreignEntry()
	}
	found := errors.New("found")
	var entry string
	err := s.List(ctx, "", func(info Info) error {
		// What a broken-off self-test left says nothing about whose bucket it is.
		if kind, _ := KindOf(info.Key); kind == SelfTest {
			return nil
		}
		entry = info.Key
		return found
	})
	if errors.Is(err, found) {
		err = nil
	}
	return entry, err
}

// foreignEntry also sees what is no object: other people's files, links and folders. Only the lock, temporary files
// and a ledger folder with nothing but those in it are ours; a first Claim that was killed leaves no more.
func (f *File) foreignEntry() (string, error) {
	return tree(f.root).foreign("")
}

func (t tree) foreign(folder string) (string, error) {
	entries, err := t.read(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case folder == "" && name == lockName:
		case entry.Type().IsRegular() && strings.HasPrefix(name, disk.TemporaryPrefix):
		case folder == "" && name == path.Dir(VKeyKey) && entry.IsDir():
			if inner, err := t.foreign(name); inner != "" || err != nil {
				return inner, err
			}
		default:
			return path.Join(folder, name) + slashOf(entry), nil
		}
	}
	return "", nil
}

func slashOf(entry os.DirEntry) string {
	if entry.IsDir() {
		return "/"
	}
	return ""
}
