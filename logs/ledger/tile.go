package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	entryLevel = -1 // what tlog calls the level of the entry bundles
)

// A Discrepancy is a file of the tree that is missing or does not hold what it
// must. It is an error, and the answer of VerifyTree.
type Discrepancy struct {
	Key     string
	Problem string
}

func (d *Discrepancy) Error() string { return d.Key + ": " + d.Problem }

// tileKey is the key of a tile. tlog writes the paths of the Go checksum
// database, tile/8/<L>/... and tile/8/data/...; tlog-tiles has the same groups
// of digits without the height, and another name for the entries.
func tileKey(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), "tile/8/")
	if t.L == entryLevel {
		return "ledger/tile/entries/" + strings.TrimPrefix(path, "data/")
	}
	return "ledger/tile/" + path
}

// tileAt is tile n of a level, or its first width elements.
func tileAt(level int, n int64, width int) tlog.Tile {
	return tlog.Tile{H: tileHeight, L: level, N: n, W: width}
}

// readTile reads the file of a tile. Where a partial tile is missing it takes
// the full one, since a log may drop partial tiles once they are full; then the
// key returned is that of the full one.
func readTile(ctx context.Context, tiles Tiles, t tlog.Tile) (data []byte, key string, err error) {
	key = tileKey(t)
	data, err = tiles.ReadFile(ctx, key)
	if errors.Is(err, fs.ErrNotExist) && t.W < tileWidth {
		full := tileKey(tileAt(t.L, t.N, tileWidth))
		data2, err2 := tiles.ReadFile(ctx, full)
		if !errors.Is(err2, fs.ErrNotExist) {
			data, key, err = data2, full, err2
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, key, &Discrepancy{key, "missing"}
	}
	if err != nil {
		return nil, key, fmt.Errorf("read %q: %w", key, err)
	}
	return data, key, nil
}

// readHashes reads the hashes of a tile.
func readHashes(ctx context.Context, tiles Tiles, t tlog.Tile) ([]tlog.Hash, error) {
	data, key, err := readTile(ctx, tiles, t)
	if err != nil {
		return nil, err
	}
	want := t.W
	if key != tileKey(t) {
		want = tileWidth
	}
	if len(data) != want*tlog.HashSize {
		return nil, &Discrepancy{key, fmt.Sprintf("%d bytes, not %d", len(data), want*tlog.HashSize)}
	}
	hashes := make([]tlog.Hash, t.W)
	for i := range hashes {
		hashes[i] = tlog.Hash(data[i*tlog.HashSize:])
	}
	return hashes, nil
}

// readBundle reads the entries of bundle n, or its first width ones.
func readBundle(ctx context.Context, tiles Tiles, n int64, width int) ([][]byte, error) {
	t := tileAt(entryLevel, n, width)
	data, key, err := readTile(ctx, tiles, t)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxObject {
		return nil, &Discrepancy{key, fmt.Sprintf("%d bytes, more than %d", len(data), MaxObject)}
	}
	entries, err := DecodeBundle(data)
	if err != nil {
		return nil, &Discrepancy{key, err.Error()}
	}
	want := width
	if key != tileKey(t) {
		want = tileWidth
	}
	if len(entries) != want {
		return nil, &Discrepancy{key, fmt.Sprintf("%d entries, not %d", len(entries), want)}
	}
	return entries[:width], nil
}

func leafHashes(entries [][]byte) []tlog.Hash {
	hashes := make([]tlog.Hash, len(entries))
	for i, e := range entries {
		hashes[i] = tlog.RecordHash(e)
	}
	return hashes
}

// subtree is the hash over a power of two of hashes of one level.
func subtree(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

// tileBytes is the file of a tile.
func tileBytes(hashes []tlog.Hash) []byte {
	data := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		data = append(data, h[:]...)
	}
	return data
}
