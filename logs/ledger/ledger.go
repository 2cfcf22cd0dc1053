// Package ledger is the public, append-only record of everything a publisher
// signs: what one entry says, how entries form a Merkle tree, how that tree
// lies in static files, and how a reader checks all of it with nothing but
// those files and one public key.
//
// # Entry
//
// An entry is one leaf of the tree: canonical JSON as RFC 8785 has it, in a
// subset that leaves one way to write a value. Object keys stand in ascending
// order, there are no blanks, no floats and no escapes but \" and \\, lists are
// never null and are sorted by nevra without repeats. A decoder encodes what it
// read again and refuses bytes that differ, so unknown, repeated, missing or
// misplaced keys, other number forms and trailing bytes all fail. An entry has
// at most [MaxEntry] bytes. The fields are those of [Entry]; [Chain] has the
// rules that tie an entry to the ones before it.
//
// # Tree
//
// Leaves are hashed as RFC 6962 has it: SHA-256(0x00 || entry) for a leaf,
// SHA-256(0x01 || left || right) for a node, SHA-256 of nothing for the empty
// tree. The files follow c2sp.org/tlog-tiles v0.1.0 below the prefix "ledger":
//
//	ledger/tile/<L>/<N>            256 hashes, 8192 bytes, of level 8*L
//	ledger/tile/<L>/<N>.p/<W>      the first W of them, 1 <= W <= 255
//	ledger/tile/entries/<N>        256 entries
//	ledger/tile/entries/<N>.p/<W>  the first W of them
//
// N is written in groups of three digits, all but the last with an x in front
// (1234067 is x001/x234/067). An entry bundle is a row of entries, each with a
// big-endian uint16 length in front. A file never changes once it is public; a
// tree of size S has, at each level, floor(S/256^L) hashes, in full tiles and at
// most one partial one. A partial file may go when the full one is there, so a
// reader that misses it takes the first W elements of the full one.
//
// # Checkpoint
//
// A checkpoint is a signed note (c2sp.org/signed-note v1.0.0) over exactly three
// lines, each ended by LF: the origin, the size in decimal, the root hash in
// base64. We neither write nor accept extension lines. The origin equals the
// name of the log's key. The signature is Ed25519, which is deterministic: the
// same tree and key give the same bytes. Other signature lines, such as witness
// cosignatures, may follow and are ignored where their key is not known.
//
// Nothing in this package writes a file, reads a clock or opens a connection.
// [Extend] returns the files to write as values, and callers order the writes:
// a checkpoint must be durable before a file of its tree is public, and it goes
// up after all of them, or a crash between the two leaves a public file that
// the next attempt has to contradict.
package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// Keys of the ledger's files that are not tiles, relative to the root of the
// public tree.
const (
	CheckpointKey = "ledger/checkpoint"
	CommitKey     = "ledger/commit"
	VKeyKey       = "ledger/key.vkey"
	PolicyKey     = "ledger/policy"

	// ProofSuffix follows the key of a package: the proof of the entry that
	// first added it.
	ProofSuffix = ".tlog-proof"
)

const (
	// MaxEntry is the largest entry in bytes. The tile format ends at 65,535;
	// the rest is room for fields of later versions.
	MaxEntry = 60 << 10
	// MaxObject is the size in bytes of the largest file of a tree, a bundle
	// of 256 entries of full size.
	MaxObject = 256 * (2 + MaxEntry)
	// MaxSize is the largest tree, in entries, this package works with. It
	// keeps all index arithmetic far from overflow whatever a checkpoint says.
	MaxSize = 1 << 40
)

// Tiles reads the files of a tree.
type Tiles interface {
	// ReadFile returns the whole file under a key such as
	// "ledger/tile/0/000". The error for a file that does not exist wraps
	// fs.ErrNotExist; any other error means that it is not known what the
	// file holds, and ends the operation that asked. No valid file is larger
	// than MaxObject, so a reader over a network stops there and returns an
	// error or what it has. The returned bytes are not changed by the caller.
	ReadFile(ctx context.Context, key string) ([]byte, error)
}

// StagingKey is the key of the blob that holds the entries between the previous
// checkpoint and the one with the given text, in bundle encoding. The blob lies
// there before the checkpoint is offered at CommitKey, so that whoever finds the
// checkpoint committed can finish the publisher's work.
func StagingKey(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "ledger/staging/" + hex.EncodeToString(sum[:])
}
