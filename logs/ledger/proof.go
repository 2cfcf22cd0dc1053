package ledger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	proofHeader = "c2sp.org/tlog-proof@v1\n"
	maxProof    = 2 * maxCheckpoint
)

// A Proof is the content of a .tlog-proof file, c2sp.org/tlog-proof@v1: an
// inclusion proof together with the signed checkpoint it leads to.
type Proof struct {
	Extra      []byte // nothing vouches for it; nil for no extra line, which is what we write
	Index      int64
	Hashes     tlog.RecordProof
	Checkpoint []byte // signed, with whatever cosignatures it has
}

// Encode returns the bytes of the file.
func (p Proof) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader)
	if p.Extra != nil {
		fmt.Fprintf(&b, "extra %s\n", base64.StdEncoding.EncodeToString(p.Extra))
	}
	fmt.Fprintf(&b, "index %d\n", p.Index)
	for _, h := range p.Hashes {
		fmt.Fprintf(&b, "%s\n", h)
	}
	b.WriteString("\n")
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// ParseProof reads a .tlog-proof file and accepts only what Encode could have
// written. Nothing in the result is verified.
func ParseProof(data []byte) (Proof, error) {
	if len(data) > maxProof {
		return Proof{}, fmt.Errorf("ledger proof has %d bytes, more than %d", len(data), maxProof)
	}
	rest, ok := strings.CutPrefix(string(data), proofHeader)
	if !ok {
		return Proof{}, errors.New("not a ledger proof")
	}
	head, checkpoint, ok := strings.Cut(rest, "\n\n")
	if !ok {
		return Proof{}, errors.New("ledger proof has no checkpoint")
	}
	p := Proof{Checkpoint: []byte(checkpoint)}
	lines := strings.Split(head, "\n")
	if extra, ok := strings.CutPrefix(lines[0], "extra "); ok {
		data, err := base64.StdEncoding.DecodeString(extra)
		if err != nil {
			return Proof{}, errors.New("ledger proof has a malformed extra line")
		}
		p.Extra = append([]byte{}, data...)
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return Proof{}, errors.New("ledger proof has no index line")
	}
	digits, ok := strings.CutPrefix(lines[0], "index ")
	index, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || index < 0 {
		return Proof{}, errors.New("ledger proof has no valid index line")
	}
	p.Index = index
	// No tree below 2^63 entries has a longer path.
	if len(lines)-1 > 63 {
		return Proof{}, fmt.Errorf("ledger proof has %d hashes, more than 63", len(lines)-1)
	}
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			return Proof{}, fmt.Errorf("ledger proof: %q is not a hash", line)
		}
		p.Hashes = append(p.Hashes, h)
	}
	if !bytes.Equal(p.Encode(), data) {
		return Proof{}, errors.New("ledger proof is not in its one canonical form")
	}
	return p, nil
}

// Verify checks that the entry with these bytes is in the tree of the proof's
// checkpoint, at the proof's index, and that the log's key signed it.
func (p Proof) Verify(entry []byte, verifier note.Verifier) (Checkpoint, error) {
	c, err := Open(p.Checkpoint, verifier)
	if err != nil {
		return Checkpoint{}, err
	}
	if err := tlog.CheckRecord(p.Hashes, c.Size, c.Root, p.Index, tlog.RecordHash(entry)); err != nil {
		return Checkpoint{}, fmt.Errorf("ledger proof does not hold for this entry, index %d and size %d", p.Index, c.Size)
	}
	return c, nil
}
