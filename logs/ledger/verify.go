package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// maxDiscrepancies ends a verification that finds nothing right: a signed size
// with no tree behind it must not keep an auditor busy for ever.
const maxDiscrepancies = 1000

// VerifyTree reads every file of the tree of a checkpoint, recomputes all hash
// tiles and the root from the entries, and returns what is missing or wrong, at
// most a thousand lines and a last one that says so. The error is for a question
// that could not be answered; then the list is incomplete. It does not look into
// the entries, and not at partial files of smaller trees.
//
// The blame goes where it belongs: what the signed root vouches for, directly or
// through the tiles above, is right, and what disagrees with it is wrong. Where
// a tile is wrong itself, the tiles below are recomputed and judged on their own.
func VerifyTree(ctx context.Context, tiles Tiles, tree Checkpoint) ([]*Discrepancy, error) {
	if err := tree.check(); err != nil {
		return nil, err
	}
	v := &treeVerifier{ctx: ctx, tiles: tiles}
	partial := edgeTiles(tree.Size)
	served := make(edge, len(partial))
	complete := true
	for i, t := range partial {
		if t.W > 0 {
			served[i] = v.read(t)
			complete = complete && served[i] != nil
		}
	}
	trusted := complete && served.root() == tree.Root
	computed := make(edge, len(partial))
	known := true
	for i, t := range partial {
		if t.W > 0 {
			computed[i] = v.below(t, served[i], trusted)
			known = known && computed[i] != nil
			if !trusted {
				v.compare(t, served[i], computed[i])
			}
		}
	}
	if !trusted && known && computed.root() != tree.Root {
		v.report(CheckpointKey, "root is not that of the %d entries served", tree.Size)
	}
	if v.done() && v.err == nil {
		v.found = append(v.found, &Discrepancy{"ledger/tile", "too many discrepancies, the rest was not looked at"})
	}
	return v.found, v.err
}

type treeVerifier struct {
	ctx   context.Context
	tiles Tiles
	found []*Discrepancy
	err   error
}

func (v *treeVerifier) done() bool { return v.err != nil || len(v.found) >= maxDiscrepancies }

func (v *treeVerifier) report(key, format string, args ...any) {
	if !v.done() {
		v.found = append(v.found, &Discrepancy{key, fmt.Sprintf(format, args...)})
	}
}

// note keeps the error of a read apart: a discrepancy goes on the list.
func (v *treeVerifier) note(err error) {
	var d *Discrepancy
	if errors.As(err, &d) {
		v.report(d.Key, "%s", d.Problem)
	} else if err != nil && v.err == nil {
		v.err = err
	}
}

// read returns the hashes of a tile, nil if there are none to be had.
func (v *treeVerifier) read(t tlog.Tile) []tlog.Hash {
	if v.done() {
		return nil
	}
	hashes, err := readHashes(v.ctx, v.tiles, t)
	v.note(err)
	return hashes
}

// below recomputes the hashes of a tile from what lies under it and returns nil
// if any is not to be had. With trusted set the served ones are known to be
// right, and what lies under them is judged by them.
func (v *treeVerifier) below(t tlog.Tile, served []tlog.Hash, trusted bool) []tlog.Hash {
	if t.L == 0 {
		return v.bundle(t, served, trusted)
	}
	hashes := make([]tlog.Hash, t.W)
	complete := true
	for i := range hashes {
		if v.done() {
			return nil
		}
		var want *tlog.Hash
		if trusted {
			want = &served[i]
		}
		h := v.full(tileAt(t.L-1, t.N*tileWidth+int64(i), tileWidth), want)
		if h == nil {
			complete = false
			continue
		}
		hashes[i] = *h
	}
	if !complete {
		return nil
	}
	return hashes
}

// full judges a full tile by its hash in the tile above, where that is known,
// and returns its hash, nil if it cannot be known.
func (v *treeVerifier) full(t tlog.Tile, want *tlog.Hash) *tlog.Hash {
	served := v.read(t)
	trusted := want != nil && served != nil && subtree(served) == *want
	computed := v.below(t, served, trusted)
	if trusted {
		return want
	}
	if want != nil && served != nil {
		v.report(tileKey(t), "does not lead to the root")
	} else {
		v.compare(t, served, computed)
	}
	if computed == nil {
		return want
	}
	h := subtree(computed)
	if want != nil && h != *want {
		v.report(tileKey(t), "cannot be recomputed, what lies below does not lead to the root either")
		return want
	}
	return &h
}

// bundle hashes the entries under a tile of level 0.
func (v *treeVerifier) bundle(t tlog.Tile, served []tlog.Hash, trusted bool) []tlog.Hash {
	if v.done() {
		return nil
	}
	entries, err := readBundle(v.ctx, v.tiles, t.N, t.W)
	if err != nil {
		v.note(err)
		return nil
	}
	hashes := leafHashes(entries)
	for i, h := range hashes {
		if trusted && h != served[i] {
			v.report(tileKey(tileAt(entryLevel, t.N, t.W)), "entry %d is not that of the tree", t.N*tileWidth+int64(i))
		}
	}
	return hashes
}

// compare holds a tile that nothing vouches for against what lies below it.
func (v *treeVerifier) compare(t tlog.Tile, served, computed []tlog.Hash) {
	if served == nil || computed == nil {
		return
	}
	for i := range served {
		if served[i] != computed[i] {
			v.report(tileKey(t), "hash %d is not that of what lies below it", i)
			return
		}
	}
}
