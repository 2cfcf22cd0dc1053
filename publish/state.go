package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/note"

	"colophon/logs/ledger"
	"colophon/mirror"
	"colophon/mirror/rpmmd"
	"colophon/publish/store"
)

// maxPointer bounds checkpoints and metalinks, in bytes.
const maxPointer = 1 << 20

// leaf is an entry with its bytes in the ledger.
type leaf struct {
	index int64
	raw   []byte
	entry ledger.Entry
}

// local is the ledger of the history.
type local struct {
	chain  ledger.Chain
	tree   ledger.Checkpoint
	signed []byte // nil before the first entry
	leaves []leaf
}

// readLocal reads and checks a ledger that lies in files.
func readLocal(ctx context.Context, area mirror.Area, verifier note.Verifier) (local, error) {
	l := local{tree: ledger.EmptyTree(verifier.Name())}
	var err error
	l.signed, err = area.ReadFile(ctx, ledger.CheckpointKey)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		l.tree, err = ledger.Open(l.signed, verifier)
	}
	if err != nil {
		return l, fmt.Errorf("%s: %w", ledger.CheckpointKey, err)
	}
	return l, ledger.ReadEntries(ctx, area, l.tree, 0, l.tree.Size, func(index int64, raw []byte) error {
		e, err := ledger.Decode(raw)
		if err == nil {
			err = l.chain.Add(e)
		}
		l.leaves = append(l.leaves, leaf{index, raw, e})
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		return nil
	})
}

// remote is what the store's pointers say.
type remote struct {
	commit     pointer
	checkpoint pointer
	heads      map[string]pointer // by repository
}

// pointer is a small mutable object; data is nil where it does not exist.
type pointer struct {
	data []byte
	tag  store.Tag
}

func readPointer(ctx context.Context, r store.Reader, key string) (pointer, error) {
	data, tag, err := r.Get(ctx, key, maxPointer)
	if errors.Is(err, fs.ErrNotExist) {
		return pointer{}, nil
	}
	return pointer{data, tag}, err
}

func readRemote(ctx context.Context, s store.Store, c *Config) (remote, error) {
	r := remote{heads: map[string]pointer{}}
	var err error
	if r.commit, err = readPointer(ctx, s, ledger.CommitKey); err != nil {
		return r, err
	}
	if r.checkpoint, err = readPointer(ctx, s, ledger.CheckpointKey); err != nil {
		return r, err
	}
	for _, repository := range c.Repositories {
		if r.heads[repository.Name], err = readPointer(ctx, s, headKey(repository.Name)); err != nil {
			return r, err
		}
	}
	return r, nil
}

func headKey(repository string) string { return repository + "/metalink" }

// settle compares the two ledgers and decides about a publish that was cut off
// in step 4. Afterwards pending is empty and local is up to date.
func (r *run) settle(ctx context.Context) error {
	var err error
	if r.local, err = readLocal(ctx, r.history.Tree, r.keys.Verifier); err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	pending, err := r.history.Pending.ReadFile(ctx, ledger.CheckpointKey)
	if errors.Is(err, fs.ErrNotExist) {
		if err := r.history.Discard(); err != nil { // nothing was signed
			return err
		}
		return r.compare(ctx)
	}
	if err != nil {
		return fmt.Errorf("read pending: %w", err)
	}
	r.signed = true
	if string(r.remote.commit.data) != string(pending) {
		if err := r.compare(ctx); err != nil {
			r.signed = !errors.Is(err, ErrOvertaken) // lost: it was never released
			return err
		}
		// Not released, as far as anybody can see. It is swapped in as it is: a
		// second checkpoint of this size is never signed.
		r.Report.Step("commit the publish that was cut off")
		if err := r.swapCommit(ctx, pending); err != nil {
			return err
		}
	}
	if err := r.history.Adopt(ctx); err != nil {
		return err
	}
	r.signed = false
	r.local, err = readLocal(ctx, r.history.Tree, r.keys.Verifier)
	return err
}

// swapCommit makes a signed checkpoint the public commit. An unknown outcome is
// read again and compared.
func (r *run) swapCommit(ctx context.Context, signed []byte) error {
	tag, err := r.store.Swap(ctx, ledger.CommitKey, signed, store.Commit, r.remote.commit.tag)
	if err != nil {
		now, again := readPointer(ctx, r.store, ledger.CommitKey)
		switch {
		case again == nil && string(now.data) == string(signed):
			tag = now.tag // ours after all
		case errors.Is(err, store.ErrChanged):
			r.signed = false // lost: it was never released
			return ErrOvertaken
		default:
			return fmt.Errorf("commit: outcome unknown, run the same command again: %w", err)
		}
	}
	r.remote.commit = pointer{signed, tag}
	return nil
}

// compare holds the store's ledger against the history's.
func (r *run) compare(ctx context.Context) error {
	if r.remote.commit.data == nil {
		return nil // a new store: everything is uploaded
	}
	theirs, err := ledger.Open(r.remote.commit.data, r.keys.Verifier)
	if err != nil {
		return fmt.Errorf("read %s of the store: %w", ledger.CommitKey, err)
	}
	ours := r.local.tree
	if theirs.Size <= ours.Size {
		err = ledger.Consistent(ctx, r.history.Tree, theirs, ours)
	} else {
		err = ledger.Consistent(ctx, tiles{r.store}, ours, theirs)
		var d *ledger.Discrepancy
		if err == nil || errors.As(err, &d) && d.Problem == "missing" {
			return ErrOvertaken // a moment ago, where its tiles are still going up
		}
	}
	if errors.Is(err, ledger.ErrInconsistent) {
		return r.fork()
	}
	return err
}

// fork keeps both signed checkpoints.
func (r *run) fork() error {
	name := "evidence/" + r.now().Format("20060102T150405Z")
	err := errors.Join(
		r.history.Evidence(name+"/ours", r.local.signed),
		r.history.Evidence(name+"/theirs", r.remote.commit.data))
	return errors.Join(&ForkError{r.config.Resolve(r.config.History) + "/" + name}, err)
}

// tiles reads the ledger's files from a store.
type tiles struct{ store.Reader }

func (t tiles) ReadFile(ctx context.Context, key string) ([]byte, error) {
	data, _, err := t.Get(ctx, key, ledger.MaxObject)
	return data, err
}

// headOf is the metalink that makes an entry's snapshot live.
func (c *Config) headOf(e ledger.Entry) ([]byte, error) {
	return rpmmd.Metalink{
		Revision: e.Next.Revision,
		Repomd:   rpmmd.Digest(e.Next.Repomd),
		URLs:     []string{c.Site.URL + "/" + snapshotKey(e, "repomd.xml")},
	}.Marshal()
}
