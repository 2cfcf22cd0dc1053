package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrInconsistent is wrapped by the error for two checkpoints of one log of
// which neither tree is the beginning of the other: evidence of a fork.
var ErrInconsistent = errors.New("trees have no common history")

// hashReader reads authenticated hashes of the tree of a checkpoint: every tile
// it uses leads up to the root. The reader of the tiles is kept apart from the
// judgement on them, so that a failed download never looks like a forgery.
func hashReader(ctx context.Context, tiles Tiles, c Checkpoint) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		if len(indexes) == 0 || c.Size == 0 {
			return nil, nil // tlog's reader takes neither
		}
		tr := &tileReader{ctx: ctx, tiles: tiles}
		hashes, err := tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tr).ReadHashes(indexes)
		if err != nil && tr.err == nil {
			err = &Discrepancy{"ledger/tile", fmt.Sprintf("hash tiles do not lead to the root of the checkpoint of size %d", c.Size)}
		}
		return hashes, err
	})
}

type tileReader struct {
	ctx   context.Context
	tiles Tiles
	err   error
}

func (r *tileReader) Height() int { return tileHeight }

func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		hashes, err := readHashes(r.ctx, r.tiles, t)
		if err != nil {
			r.err = err
			return nil, err
		}
		data[i] = tileBytes(hashes)
	}
	return data, nil
}

func (r *tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// ProveInclusion returns the hashes that lead from entry index up to the root of
// the tree, lowest first. The tiles are checked against the root on the way.
func ProveInclusion(ctx context.Context, tiles Tiles, tree Checkpoint, index int64) (tlog.RecordProof, error) {
	if err := tree.check(); err != nil {
		return nil, err
	}
	if index < 0 || index >= tree.Size {
		return nil, fmt.Errorf("prove ledger entry %d: the tree has %d", index, tree.Size)
	}
	p, err := tlog.ProveRecord(tree.Size, index, hashReader(ctx, tiles, tree))
	if err != nil {
		return nil, fmt.Errorf("prove ledger entry %d: %w", index, err)
	}
	return p, nil
}

// ProveConsistency returns the hashes that prove that the tree, whose tiles are
// given, begins with its own first size entries; a holder of an older root
// checks with them that this is the tree of that root. It is empty for size 0
// and for the size of the tree.
func ProveConsistency(ctx context.Context, tiles Tiles, size int64, tree Checkpoint) (tlog.TreeProof, error) {
	if err := tree.check(); err != nil {
		return nil, err
	}
	if size < 0 || size > tree.Size {
		return nil, fmt.Errorf("prove ledger consistency from %d: the tree has %d entries", size, tree.Size)
	}
	if size == 0 || size == tree.Size {
		return tlog.TreeProof{}, nil
	}
	p, err := tlog.ProveTree(tree.Size, size, hashReader(ctx, tiles, tree))
	if err != nil {
		return nil, fmt.Errorf("prove ledger consistency from %d to %d: %w", size, tree.Size, err)
	}
	return p, nil
}

// Consistent checks that the tree of older is the beginning of the tree of newer,
// whose tiles are given. The error wraps ErrInconsistent where it is not; any
// other error means that the question could not be answered.
func Consistent(ctx context.Context, tiles Tiles, older, newer Checkpoint) error {
	if err := older.check(); err != nil {
		return err
	}
	if older.Origin != newer.Origin {
		return fmt.Errorf("compare checkpoints: one is of %q, the other of %q", older.Origin, newer.Origin)
	}
	proof, err := ProveConsistency(ctx, tiles, older.Size, newer)
	if err != nil {
		return err
	}
	switch older.Size {
	case 0:
		return nil
	case newer.Size:
		if older.Root == newer.Root {
			return nil
		}
	default:
		if tlog.CheckTree(proof, newer.Size, newer.Root, older.Size, older.Root) == nil {
			return nil
		}
	}
	return fmt.Errorf("checkpoints of size %d and %d: %w", older.Size, newer.Size, ErrInconsistent)
}
