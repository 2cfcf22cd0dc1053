package ledger

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// ReadEntries calls yield for the entries with index from <= i < to, in order.
// Each bundle is held against the root of the tree before any of its entries is
// passed on; one bundle is in memory at a time, and the slice passed on may be
// kept. An error of yield ends the reading and is returned as it is; a missing or
// wrong file is a *Discrepancy.
func ReadEntries(ctx context.Context, tiles Tiles, tree Checkpoint, from, to int64, yield func(index int64, entry []byte) error) error {
	if err := tree.check(); err != nil {
		return err
	}
	if from < 0 || from > to || to > tree.Size {
		return fmt.Errorf("read ledger entries %d to %d: the tree has %d", from, to, tree.Size)
	}
	r := hashReader(ctx, tiles, tree)
	var trusted []tlog.Hash // one for each full bundle under one tile of level 1
	var first int64         // the bundle that trusted[0] is of
	for n := from / tileWidth; n*tileWidth < to; n++ {
		width := int(min(tileWidth, tree.Size-n*tileWidth))
		entries, err := readBundle(ctx, tiles, n, width)
		if err != nil {
			return fmt.Errorf("read ledger entries: %w", err)
		}
		got := leafHashes(entries)
		var want []tlog.Hash
		if width < tileWidth {
			if want, err = r.ReadHashes(storedIndexes(0, n*tileWidth, tree.Size)); err != nil {
				return fmt.Errorf("read ledger entries: %w", err)
			}
		} else {
			if n-first >= int64(len(trusted)) {
				first = n
				last := min((n/tileWidth+1)*tileWidth, tree.Size/tileWidth, (to+tileWidth-1)/tileWidth)
				if trusted, err = r.ReadHashes(storedIndexes(tileHeight, first, last)); err != nil {
					return fmt.Errorf("read ledger entries: %w", err)
				}
			}
			got, want = []tlog.Hash{subtree(got)}, trusted[n-first:n-first+1]
		}
		for i := range want {
			if got[i] != want[i] {
				return fmt.Errorf("read ledger entries: %w",
					&Discrepancy{tileKey(tileAt(entryLevel, n, width)), "entries are not those of the tree"})
			}
		}
		for i, e := range entries {
			if index := n*tileWidth + int64(i); index >= from && index < to {
				if err := yield(index, e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// storedIndexes are tlog's numbers of the hashes from <= n < to of one level of
// the tree, not of its tiles.
func storedIndexes(level int, from, to int64) []int64 {
	var indexes []int64
	for n := from; n < to; n++ {
		indexes = append(indexes, tlog.StoredHashIndex(level, n))
	}
	return indexes
}
