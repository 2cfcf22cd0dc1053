package audit

import (
	"context"
	"errors"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
)

// Entry checks one entry as it lies in the tree: its leaf, its added packages and
// what lies beside them, its snapshot, and the difference from the snapshot
// before. It does not look at heads, so a publisher calls it before switching
// them. It wants the entry e at that index of the ledger, and has Tree's rules for
// all of it but one: without the headers of all packages it does not make the
// metadata anew, and compares what primary says about the added ones instead.
func Entry(ctx context.Context, r Reader, o Options, index int64, e ledger.Entry) ([]Finding, error) {
	a, err := newAuditor(r, o)
	if err != nil {
		return nil, err
	}
	a.report.clear()
	if err := a.judge(a.one(ctx, index, e)); err != nil {
		return nil, err
	}
	return a.report.Discrepancies, nil
}

func (a *auditor) one(ctx context.Context, index int64, e ledger.Entry) error {
	if err := a.judge(a.vkey(ctx)); err != nil {
		return err
	}
	signed, err := a.small(ctx, ledger.CheckpointKey, maxPointer)
	if err != nil {
		return err
	}
	tree, err := ledger.Open(signed, a.verifier)
	if err != nil {
		return wrong(ledger.CheckpointKey, "%v", err)
	}
	a.book = &book{tree: tree, states: map[string]string{}, signers: map[string]bool{e.Signer: true}}
	raw, err := a.leaf(ctx, index)
	if err != nil {
		return err
	}
	want, err := ledger.Encode(e)
	if err != nil {
		return err
	}
	if string(raw) != string(want) {
		return wrong(entriesKey, "entry %d is another one", index)
	}
	a.single, a.described = true, map[string]rpmmd.PackageInfo{}
	repo := newRepository(e)
	if e.Previous != nil {
		repo.listed, err = a.primary(ctx, snapshotFolder(e.Repository, e.Serial-1), *e.Previous, 0)
		repo.known = err == nil
		if err := a.judge(err); err != nil {
			return err
		}
	}
	return a.entry(ctx, repo, index, raw, e)
}

// leaf reads one entry, as the signed root vouches for it.
func (a *auditor) leaf(ctx context.Context, index int64) (raw []byte, err error) {
	if index < 0 || index >= a.book.tree.Size {
		return nil, wrong(ledger.CheckpointKey, "has %d entries, not one with the index %d", a.book.tree.Size, index)
	}
	err = ledger.ReadEntries(ctx, a.tiles, a.book.tree, index, index+1, func(_ int64, e []byte) error {
		raw = e
		return nil
	})
	if err == nil && raw == nil {
		err = errors.New("no entry was read")
	}
	return raw, err
}
