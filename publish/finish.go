package publish

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"colophon/logs/ledger"
	"colophon/publish/store"
)

// finish makes the store show what the history says: steps 5 to 10. It works
// from the difference between the two alone, so a run that was cut off anywhere
// behind the commit is finished by the next one.
func (r *run) finish(ctx context.Context) error {
	r.result.fill(r)
	behind, err := r.behind(ctx)
	if err != nil {
		return err
	}
	if len(behind) == 0 {
		return r.publishPages(ctx) // a run may have been cut off just before them
	}
	r.result.published(behind)
	if err := store.Claim(ctx, r.store, r.keys.VKey); err != nil {
		return err
	}
	if err := r.publishKeys(ctx); err != nil {
		return err
	}
	for _, l := range behind {
		if err := r.putPackages(ctx, l.entry); err != nil {
			return err
		}
	}
	if err := r.publishLedger(ctx, behind); err != nil {
		return err
	}
	for _, l := range behind {
		if err := r.publishSnapshot(ctx, l); err != nil {
			return err
		}
	}
	if err := r.publishSettings(ctx); err != nil {
		return err
	}
	if err := r.verify(ctx, behind); err != nil {
		return err
	}
	r.Report.Step("switch the heads")
	for _, repository := range r.config.Repositories {
		if !slices.ContainsFunc(behind, func(l leaf) bool { return l.entry.Repository == repository.Name }) {
			continue
		}
		if err := r.switchHead(ctx, repository.Name); err != nil {
			return err
		}
	}
	return r.publishPages(ctx)
}

// behind lists the entries that the store does not fully show yet.
func (r *run) behind(ctx context.Context) ([]leaf, error) {
	var shown int64 // entries of the public checkpoint
	if r.remote.checkpoint.data != nil {
		c, err := ledger.Open(r.remote.checkpoint.data, r.keys.Verifier)
		if err != nil {
			return nil, fmt.Errorf("read %s of the store: %w", ledger.CheckpointKey, err)
		}
		shown = c.Size
	}
	live := map[string]int64{} // serial of the head
	for _, l := range r.local.leaves {
		head, err := r.config.headOf(l.entry)
		if err != nil {
			return nil, err
		}
		if string(head) == string(r.remote.heads[l.entry.Repository].data) {
			live[l.entry.Repository] = l.entry.Serial
		}
	}
	var list []leaf
	for _, l := range r.local.leaves {
		e := l.entry
		if _, configured := r.remote.heads[e.Repository]; !configured {
			continue // no longer in colophon.yaml: its tree stays as it is
		}
		stale := false
		if last, _ := r.local.chain.Last(e.Repository); last.Serial == e.Serial && live[e.Repository] == e.Serial {
			same, err := r.latestIs(ctx, e)
			if err != nil {
				return nil, err
			}
			stale = !same
		}
		if l.index >= shown || e.Serial > live[e.Repository] || stale {
			list = append(list, l)
		}
	}
	return list, nil
}

// publishLedger uploads tiles, proofs and then the checkpoint: step 5. A crash
// before the checkpoint leaves tiles that nobody points to.
func (r *run) publishLedger(ctx context.Context, behind []leaf) error {
	r.Report.Step("upload the ledger")
	if string(r.remote.commit.data) != string(r.local.signed) {
		// The store was replaced or restored: the history is ahead of it.
		if err := r.swapCommit(ctx, r.local.signed); err != nil {
			return err
		}
	}
	for _, l := range behind {
		if err := r.prove(ctx, l); err != nil {
			return err
		}
	}
	if string(r.remote.checkpoint.data) == string(r.local.signed) {
		return nil
	}
	err := r.history.Tree.Walk(func(key string) error {
		if !strings.HasPrefix(key, "ledger/tile/") {
			return nil
		}
		return r.put(ctx, key)
	})
	if err != nil {
		return err
	}
	tag, err := r.store.Swap(ctx, ledger.CheckpointKey, r.local.signed, store.Checkpoint, r.remote.checkpoint.tag)
	if err != nil {
		return fmt.Errorf("upload %q: %w", ledger.CheckpointKey, err)
	}
	r.remote.checkpoint = pointer{r.local.signed, tag}
	return nil
}

// prove writes the inclusion proofs of the packages that an entry adds. A
// package has one proof for ever: that of the first entry that added it.
func (r *run) prove(ctx context.Context, l leaf) error {
	var proof []byte
	for _, p := range l.entry.Added {
		key := p.Path + ".tlog-proof"
		if !r.history.Tree.Has(key) {
			if proof == nil {
				var err error
				if proof, err = r.proof(ctx, l); err != nil {
					return err
				}
			}
			if err := r.history.Tree.Put(key, proof); err != nil {
				return err
			}
		}
		if err := r.put(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// proof shows that an entry is in the current tree.
func (r *run) proof(ctx context.Context, l leaf) ([]byte, error) {
	hashes, err := ledger.ProveInclusion(ctx, r.history.Tree, r.local.tree, l.index)
	if err != nil {
		return nil, fmt.Errorf("prove entry %d: %w", l.index, err)
	}
	return ledger.Proof{Index: l.index, Hashes: hashes, Checkpoint: r.local.signed}.Encode(), nil
}
