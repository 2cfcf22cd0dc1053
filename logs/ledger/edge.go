package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// An edge is the right edge of a tree: for each level of tiles the hashes of its
// partial tile, 0 to 255 of them. It is all that is needed to know the root and
// to grow the tree, and has a few levels at any size: 8 bits of the size each.
type edge [][]tlog.Hash

// edgeTiles returns the partial tiles of a tree, lowest level first. A level
// whose last tile is full has a tile of width 0 here, and no file.
func edgeTiles(size int64) []tlog.Tile {
	var tiles []tlog.Tile
	for level := 0; size>>(level*tileHeight) > 0; level++ {
		n := size >> (level * tileHeight)
		tiles = append(tiles, tileAt(level, n/tileWidth, int(n%tileWidth)))
	}
	return tiles
}

func readEdge(ctx context.Context, tiles Tiles, size int64) (edge, error) {
	var e edge
	for _, t := range edgeTiles(size) {
		var hashes []tlog.Hash
		if t.W > 0 {
			var err error
			if hashes, err = readHashes(ctx, tiles, t); err != nil {
				return nil, err
			}
		}
		e = append(e, hashes)
	}
	return e, nil
}

// root folds the edge. RFC 6962 splits a tree at the largest power of two below
// its size, so the complete subtrees, one for each bit of the size, are joined
// from the smallest, which is the rightmost, to the largest.
func (e edge) root() tlog.Hash {
	var root tlog.Hash
	first := true
	for _, hashes := range e {
		for len(hashes) > 0 {
			n := 1 << bits.TrailingZeros(uint(len(hashes)))
			h := subtree(hashes[len(hashes)-n:])
			hashes = hashes[:len(hashes)-n]
			if first {
				root, first = h, false
			} else {
				root = tlog.NodeHash(h, root)
			}
		}
	}
	if first {
		return emptyRoot
	}
	return root
}

// An Object is a file of the tree.
type Object struct {
	Key  string
	Data []byte
}

// An Append is what Extend computed: the larger tree, and the files it has that
// the smaller one had not. None of them replaces a file of the smaller tree.
type Append struct {
	Checkpoint
	Objects []Object
}

// Extend appends entries to the tree of a checkpoint. It reads the right edge of
// the tree only, at most one hash tile per level and one entry bundle, and first
// holds it against the checkpoint: a damaged copy of the tree is an error, not
// the foundation of a signed one.
//
// The result depends on the tree and the entries alone. Full tiles and the root
// are the same however the entries were cut into batches; partial tiles are
// those of the sizes at the ends of the batches. The objects come in the order
// full bundles, full tiles as they fill up, then partial ones.
func Extend(ctx context.Context, tiles Tiles, old Checkpoint, entries [][]byte) (Append, error) {
	if err := old.check(); err != nil {
		return Append{}, err
	}
	if int64(len(entries)) > MaxSize-old.Size {
		return Append{}, errors.New("extend ledger: too many entries")
	}
	e, err := readEdge(ctx, tiles, old.Size)
	if err != nil {
		return Append{}, fmt.Errorf("extend ledger: %w", err)
	}
	if e.root() != old.Root {
		return Append{}, fmt.Errorf("extend ledger: the tiles are not those of the checkpoint of size %d", old.Size)
	}
	a := Append{Checkpoint: old}
	if len(entries) == 0 {
		return a, nil
	}
	if len(e) == 0 {
		e = edge{nil}
	}
	var bundle [][]byte
	if width := len(e[0]); width > 0 {
		n := old.Size / tileWidth
		if bundle, err = readBundle(ctx, tiles, n, width); err != nil {
			return Append{}, fmt.Errorf("extend ledger: %w", err)
		}
		for i, h := range leafHashes(bundle) {
			if h != e[0][i] {
				return Append{}, fmt.Errorf("extend ledger: entry %d is not that of the tree", n*tileWidth+int64(i))
			}
		}
	}

	for i, leaf := range entries {
		if err := checkLeaf(leaf); err != nil {
			return Append{}, fmt.Errorf("extend ledger: new entry %d: %w", i, err)
		}
		a.Size++
		if bundle = append(bundle, leaf); len(bundle) == tileWidth {
			a.bundle(bundle)
			bundle = nil
		}
		h := tlog.RecordHash(leaf)
		for level := 0; ; level++ {
			if level == len(e) {
				e = append(e, nil)
			}
			if e[level] = append(e[level], h); len(e[level]) < tileWidth {
				break
			}
			a.tile(level, e[level])
			h = subtree(e[level])
			e[level] = nil
		}
	}

	if len(bundle) > 0 {
		a.bundle(bundle)
	}
	for level, hashes := range e {
		shift := level * tileHeight
		if a.Size>>shift > old.Size>>shift && len(hashes) > 0 {
			a.tile(level, hashes)
		}
	}
	a.Root = e.root()
	return a, nil
}

// bundle adds the file of the entries that end at the size so far.
func (a *Append) bundle(entries [][]byte) {
	data, _ := EncodeBundle(entries) // every entry was checked
	t := tileAt(entryLevel, (a.Size-1)/tileWidth, len(entries))
	a.Objects = append(a.Objects, Object{tileKey(t), data})
}

// tile adds the file of the hashes that end at the size so far.
func (a *Append) tile(level int, hashes []tlog.Hash) {
	n := (a.Size>>(level*tileHeight) - 1) / tileWidth
	a.Objects = append(a.Objects, Object{tileKey(tileAt(level, n, len(hashes))), tileBytes(hashes)})
}
