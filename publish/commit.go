package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"colophon/logs"
	"colophon/logs/ledger"
	"colophon/publish/site"
	"colophon/publish/store"
)

// SpaceError reports that a folder has too little room. Nothing was written there.
type SpaceError struct {
	Place      string
	Need, Free int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s has %s free, this publish needs %s", e.Place, site.Size(e.Free), site.Size(e.Need))
}

// Hint says what to do.
func (e *SpaceError) Hint() string { return "free some space and run the same command again" }

// commit uploads what the entries speak of, signs the checkpoint and swaps it
// in: steps 3 and 4. Then the change is history.
func (r *run) commit(ctx context.Context, c *change) error {
	if err := r.checkSpace(); err != nil {
		return err
	}
	if err := store.Claim(ctx, r.store, r.keys.VKey); err != nil {
		return err
	}
	if err := r.publishKeys(ctx); err != nil {
		return err
	}
	r.Report.Step("upload packages and build logs")
	for _, e := range c.entries {
		if err := r.putPackages(ctx, e); err != nil {
			return err
		}
	}
	text, err := ledger.CheckpointText(c.tree.Checkpoint)
	if err != nil {
		return err
	}
	if err := r.put(ctx, ledger.StagingKey(text)); err != nil {
		return err
	}
	r.Report.Step("commit to the ledger")
	signed, err := ledger.Sign(text, r.keys.Ledger)
	if err != nil {
		return err
	}
	if _, err := ledger.Open(signed, r.keys.Verifier); err != nil {
		return fmt.Errorf("check own checkpoint: %w", err)
	}
	// A crash before the file is durable leaves an unsigned pending, which the
	// next run throws away. From here on this checkpoint is the only one of its
	// size that is ever signed, unless somebody else wins.
	r.signed = true
	if err := r.history.Pending.Put(ledger.CheckpointKey, signed); err != nil {
		return err
	}
	if err := r.swapCommit(ctx, signed); err != nil {
		return err
	}
	if err := r.history.Adopt(ctx); err != nil {
		return err
	}
	r.local, err = readLocal(ctx, r.history.Tree, r.keys.Verifier)
	return err
}

// checkSpace refuses to start an upload into a folder that cannot hold it.
// Other stores do not tell.
func (r *run) checkSpace() error {
	place, ok := r.store.(interface{ Free() (int64, error) })
	if !ok {
		return nil
	}
	var need int64 = 1 << 20 // for what is made on the way: signatures, proofs, heads
	err := r.history.Pending.Walk(func(key string) error {
		f, err := r.history.Pending.Open(key)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		need += roundUp(info)
		if kind, ok := store.KindOf(key); ok && kind == store.Metadata {
			need += roundUp(info) // once more in latest/
		}
		return nil
	})
	if err != nil {
		return err
	}
	free, err := place.Free()
	if err != nil {
		return fmt.Errorf("measure free space: %w", err)
	}
	if free < need {
		return &SpaceError{"store " + r.store.Address(), need, free}
	}
	return nil
}

// putPackages uploads the packages that an entry adds and what lies beside them.
func (r *run) putPackages(ctx context.Context, e ledger.Entry) error {
	for _, p := range e.Added {
		keys := []string{p.Path, p.Path + logs.RecordSuffix}
		if p.Log != nil {
			keys = append(keys, p.Path+logs.LogSuffix)
		}
		for _, key := range keys {
			if err := r.put(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// put uploads an immutable object from the history, once in a run.
func (r *run) put(ctx context.Context, key string) error {
	if r.uploaded[key] {
		return nil
	}
	f, err := r.history.Pending.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = r.history.Tree.Open(key)
	}
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	kind, ok := store.KindOf(key)
	if !ok {
		return fmt.Errorf("upload %q: no object of the public tree", key)
	}
	body, err := store.HashBody(ctx, f, info.Size())
	if err == nil {
		err = r.store.Put(ctx, key, body, kind)
	}
	if err != nil {
		return fmt.Errorf("upload %q: %w", key, err)
	}
	r.uploaded[key] = true
	r.result.Objects++
	r.result.Bytes += info.Size()
	return nil
}
