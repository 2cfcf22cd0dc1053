package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
)

const (
	entriesKey = "ledger/tile/entries" // what findings about entries are filed under
	maxVKey    = 4096
	maxPolicy  = 64 << 10
)

// A book is what the ledger says as a whole.
type book struct {
	signed   []byte // the checkpoint
	tree     ledger.Checkpoint
	chain    ledger.Chain
	pending  []ledger.Entry    // committed, not yet in the checkpoint
	states   map[string]string // digest of every repomd.xml: the folder of its snapshot
	signers  map[string]bool   // fingerprint of every key, true for those of metadata
	packages int               // ever named
	total    int64             // bytes of packages, what lies beside them, and metadata
}

// readLedger checks the ledger and makes a.book and a.repositories, or leaves
// a.book nil and the reason in the report. Before is the checkpoint of the try
// before, if there was one.
func (a *auditor) readLedger(ctx context.Context, before *ledger.Checkpoint) error {
	a.book, a.repositories = nil, nil
	if err := a.judge(a.vkey(ctx)); err != nil {
		return err
	}
	signed, err := a.small(ctx, ledger.CheckpointKey, maxPointer)
	if isMissing(err) {
		return a.firstPublish(ctx)
	}
	if err != nil {
		return a.judge(err)
	}
	tree, err := ledger.Open(signed, a.verifier)
	if err != nil {
		a.wrong(ledger.CheckpointKey, "%v", err)
		return nil
	}
	found, err := ledger.VerifyTree(ctx, a.tiles, tree)
	if err != nil {
		return err
	}
	for _, d := range found {
		a.wrong(d.Key, "%s", d.Problem)
	}
	if len(found) > 0 {
		a.notice(ledger.CheckpointKey, "nothing else was looked at, because the ledger is damaged")
		return nil
	}
	if before != nil {
		if before.Size > tree.Size {
			a.wrong(ledger.CheckpointKey, "had %d entries when it was first read, now %d", before.Size, tree.Size)
		} else if err := a.judge(a.extends(ctx, ledger.CheckpointKey, *before, tree)); err != nil {
			return err
		}
	}
	b := &book{signed: signed, tree: tree, states: map[string]string{}, signers: map[string]bool{}}
	if ok, err := a.readEntries(ctx, b); err != nil || !ok {
		return err
	}
	a.book = b
	for _, name := range b.chain.Repositories() {
		last, _ := b.chain.Last(name)
		a.repositories = append(a.repositories, newRepository(last))
	}
	return a.judge(a.commit(ctx))
}

func (a *auditor) vkey(ctx context.Context) error {
	data, err := a.small(ctx, ledger.VKeyKey, maxVKey)
	if err == nil && string(data) != strings.TrimSuffix(a.options.VKey, "\n")+"\n" {
		err = wrong(ledger.VKeyKey, "is not the key that this tree is audited with")
	}
	return err
}

// readEntries decodes the entries and holds them against each other.
func (a *auditor) readEntries(ctx context.Context, b *book) (ok bool, err error) {
	errStop := errors.New("an entry cannot be read")
	err = ledger.ReadEntries(ctx, a.tiles, b.tree, 0, b.tree.Size, func(index int64, raw []byte) error {
		e, err := ledger.Decode(raw)
		if err != nil {
			a.wrong(entriesKey, "entry %d: %v", index, err)
			return errStop
		}
		for _, p := range e.Added {
			if _, published := b.chain.Published(p.NEVRA); !published {
				b.packages++
				b.total += p.Size + p.Record.Size
				if p.Log != nil {
					b.total += p.Log.Size
				}
			}
			if _, known := b.signers[p.Signer]; !known {
				b.signers[p.Signer] = false
			}
		}
		for _, line := range lines(b.chain.Add(e)) {
			a.wrong(entriesKey, "%s", strings.TrimPrefix(line, "ledger "))
		}
		b.signers[e.Signer] = true
		b.states[e.Next.Repomd.SHA256] = snapshotFolder(e.Repository, e.Serial)
		b.total += e.Next.Primary.Size + e.Next.Filelists.Size + e.Next.Other.Size
		if now := a.options.Now; index == b.tree.Size-1 && !now.IsZero() && e.Time.Sub(now) > max(a.options.Grace, 0) {
			a.wrong(entriesKey, "entry %d is dated %s, in the future", index, stamp(e.Time))
		}
		return nil
	})
	if errors.Is(err, errStop) {
		a.notice(ledger.CheckpointKey, "nothing else was looked at, because the ledger holds what this program cannot read")
		return false, nil
	}
	return err == nil, a.judge(err)
}

// extends wants the tree of older to be the beginning of that of newer. Key is
// where older was found.
func (a *auditor) extends(ctx context.Context, key string, older, newer ledger.Checkpoint) error {
	err := ledger.Consistent(ctx, a.tiles, older, newer)
	if errors.Is(err, ledger.ErrInconsistent) {
		return wrong(key, "is signed for a tree of %d entries with the root %s, which the tree of %d entries with the root %s does not begin with: "+
			"the ledger was forked; keep both, they are evidence", older.Size, older.Root, newer.Size, newer.Root)
	}
	return err
}

// commit holds the publisher's own pointer against the checkpoint. It may be
// ahead, while a publish is under way, and never behind.
func (a *auditor) commit(ctx context.Context) error {
	tree := a.book.tree
	data, err := a.small(ctx, ledger.CommitKey, maxPointer)
	if err != nil {
		return err
	}
	c, err := ledger.Open(data, a.verifier)
	if err != nil {
		return wrong(ledger.CommitKey, "%v", err)
	}
	if c.Size <= tree.Size {
		if err := a.extends(ctx, ledger.CommitKey, c, tree); err != nil {
			return err
		}
		if c.Size < tree.Size {
			return wrong(ledger.CommitKey, "has %d entries, %s has %d", c.Size, ledger.CheckpointKey, tree.Size)
		}
		return nil
	}
	a.book.pending, err = a.committed(ctx, tree, c)
	return err
}

// committed returns the entries that lead from one checkpoint to a committed
// one, whose tiles need not be there yet.
func (a *auditor) committed(ctx context.Context, from, to ledger.Checkpoint) ([]ledger.Entry, error) {
	raw, err := a.staged(ctx, from, to)
	if isMissing(err) {
		// Whatever became of the blob, the tiles may be there.
		if err = a.extends(ctx, ledger.CommitKey, from, to); err == nil {
			err = ledger.ReadEntries(ctx, a.tiles, to, from.Size, to.Size, func(_ int64, e []byte) error {
				raw = append(raw, e)
				return nil
			})
		}
	}
	if err != nil {
		return nil, err
	}
	var list []ledger.Entry
	for i, r := range raw {
		e, err := ledger.Decode(r)
		if err != nil {
			return nil, wrong(ledger.CommitKey, "entry %d: %v", from.Size+int64(i), err)
		}
		list = append(list, e)
	}
	return list, nil
}

// staged reads the blob that lies ready from before the commit.
func (a *auditor) staged(ctx context.Context, from, to ledger.Checkpoint) ([][]byte, error) {
	text, err := ledger.CheckpointText(to)
	if err != nil {
		return nil, err
	}
	key := ledger.StagingKey(text)
	blob, err := a.small(ctx, key, ledger.MaxObject)
	if err != nil {
		return nil, err
	}
	raw, err := ledger.DecodeBundle(blob)
	if err != nil {
		return nil, wrong(key, "%v", err)
	}
	grown, err := ledger.Extend(ctx, a.tiles, from, raw)
	if err != nil {
		return nil, err
	}
	if grown.Checkpoint != to {
		return nil, wrong(key, "does not lead from %s to %s", ledger.CheckpointKey, ledger.CommitKey)
	}
	return raw, nil
}

// checkPending judges the entries that are committed and not yet in the
// checkpoint, and their packages, which were uploaded before. It comes last,
// because it moves the chain on.
func (a *auditor) checkPending(ctx context.Context) error {
	for _, e := range a.book.pending {
		for _, line := range lines(a.book.chain.Add(e)) {
			a.wrong(ledger.CommitKey, "%s", strings.TrimPrefix(line, "ledger "))
		}
		a.unfinished(e, ledger.CommitKey, "serial %d of %q was committed at %s; the publish is not finished", e.Serial, e.Repository, stamp(e.Time))
		folder := snapshotFolder(e.Repository, e.Serial)
		for _, name := range snapshotFiles(e.Next) {
			a.point(folder + name)
		}
		for _, p := range e.Added {
			a.point(p.Path + proofSuffix)
			if a.seen[p.Path] {
				continue
			}
			a.seen[p.Path] = true
			if err := a.uploaded(ctx, e, p, a.within(e.Time)); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstPublish judges a tree without a checkpoint. It is whole only where the
// first publish ever is under way: then there is no head yet.
func (a *auditor) firstPublish(ctx context.Context) error {
	data, err := a.small(ctx, ledger.CommitKey, maxPointer)
	if isMissing(err) {
		untouched, err := a.untouched(ctx)
		if untouched {
			a.notice(ledger.CheckpointKey, "missing; nothing was committed here yet")
		} else if err == nil {
			a.wrong(ledger.CheckpointKey, "missing")
		}
		return err
	}
	if err != nil {
		return a.judge(err)
	}
	c, err := ledger.Open(data, a.verifier)
	if err != nil {
		a.wrong(ledger.CheckpointKey, "missing")
		a.wrong(ledger.CommitKey, "%v", err)
		return nil
	}
	list, err := a.committed(ctx, ledger.EmptyTree(c.Origin), c)
	if isFatal(err) {
		return err
	}
	young := err == nil && c.Size > 0
	for _, e := range list {
		_, err := a.small(ctx, headKey(e.Repository), maxPointer)
		if isFatal(err) {
			return err
		}
		young = young && isMissing(err) && a.within(e.Time)
	}
	if young {
		a.notice(ledger.CheckpointKey, "missing; the first publish was committed at %s and is not finished", stamp(list[0].Time))
	} else {
		a.wrong(ledger.CheckpointKey, "missing, although %d entries are committed", c.Size)
	}
	return nil
}

// policy checks what verifiers of proofs are told to trust.
func (a *auditor) policy(ctx context.Context) error {
	data, err := a.small(ctx, ledger.PolicyKey, maxPolicy)
	first := !slices.ContainsFunc(a.repositories, func(r *repository) bool { return r.last.Serial > 1 || !a.incomplete(r, r.last) })
	if first && isMissing(err) {
		a.notice(ledger.PolicyKey, "missing; the first publish is not finished")
		return nil
	}
	if err != nil {
		return err
	}
	want, err := ledger.PolicyText(strings.TrimSuffix(a.options.VKey, "\n"))
	if err != nil {
		return fmt.Errorf("make policy: %w", err)
	}
	if string(data) != want {
		return wrong(ledger.PolicyKey, "is not the policy of the ledger's key")
	}
	return nil
}

// lines splits a joined error.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// summaryOf is StateOf backwards.
func summaryOf(s ledger.State) rpmmd.Summary {
	return rpmmd.Summary{
		Filelists: rpmmd.Record(s.Filelists), Format: s.Format, Other: rpmmd.Record(s.Other), Packages: s.Packages,
		Primary: rpmmd.Record(s.Primary), Repomd: rpmmd.Digest(s.Repomd), Revision: s.Revision,
	}
}
