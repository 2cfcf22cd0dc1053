package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"colophon/logs/ledger"
	"colophon/publish/store"
)

// switchHead makes the last snapshot of a repository live: step 9. Of two
// publishers the one with the older snapshot does nothing.
func (r *run) switchHead(ctx context.Context, repository string) error {
	last, ok := r.local.chain.Last(repository)
	if !ok {
		return nil
	}
	head, err := r.config.headOf(last)
	if err != nil {
		return err
	}
	if current := r.remote.heads[repository]; string(current.data) != string(head) {
		tag, err := r.store.Swap(ctx, headKey(repository), head, store.Head, current.tag)
		if errors.Is(err, store.ErrChanged) {
			return ErrOvertaken
		}
		if err != nil {
			return fmt.Errorf("switch %q: %w", headKey(repository), err)
		}
		r.remote.heads[repository] = pointer{head, tag}
		r.result.Objects++
		r.result.Bytes += int64(len(head))
	}
	// Clients that read latest/ between the last two writes see a repomd.xml and
	// a signature that do not fit, and refuse them.
	for _, name := range snapshotFiles(last) {
		data, err := r.history.Tree.ReadFile(ctx, snapshotKey(last, name))
		if err != nil {
			return fmt.Errorf("read history: %w", err)
		}
		if err := r.update(ctx, latestKey(repository, name), data); err != nil {
			return err
		}
	}
	return nil
}

func latestKey(repository, file string) string { return repository + "/latest/repodata/" + file }

// latestIs says whether latest/ shows an entry's snapshot: its two files that
// change in place.
func (r *run) latestIs(ctx context.Context, e ledger.Entry) (bool, error) {
	for _, name := range []string{"repomd.xml", "repomd.xml.asc"} {
		want, err := r.history.Tree.ReadFile(ctx, snapshotKey(e, name))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		got, err := readPointer(ctx, r.store, latestKey(e.Repository, name))
		if err != nil || string(got.data) != string(want) {
			return false, err
		}
	}
	return true, nil
}
