package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxCheckpoint bounds a signed checkpoint in bytes. A hundred signatures, more
// than the note format's readers take, need a quarter of it.
const maxCheckpoint = 64 << 10

var emptyRoot = tlog.Hash(sha256.Sum256(nil))

// A Checkpoint names one tree: whose it is, how many entries it has, and the
// hash that binds them all.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// EmptyTree is the tree before the first entry.
func EmptyTree(origin string) Checkpoint { return Checkpoint{Origin: origin, Root: emptyRoot} }

func (c Checkpoint) check() error {
	if err := checkName(c.Origin); err != nil {
		return err
	}
	if c.Size < 0 || c.Size > MaxSize {
		return fmt.Errorf("checkpoint size %d is outside 0 to %d", c.Size, int64(MaxSize))
	}
	if c.Size == 0 && c.Root != emptyRoot {
		return errors.New("checkpoint of an empty tree has the root of another")
	}
	return nil
}

// CheckpointText returns the text that gets signed: three lines.
func CheckpointText(c Checkpoint) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root), nil
}

// ParseCheckpoint reads a checkpoint text and accepts only what CheckpointText
// could have written. It says nothing about who vouches for it.
func ParseCheckpoint(text string) (Checkpoint, error) {
	// One more piece than lines, so that a fourth line is seen as one.
	lines := strings.SplitN(text, "\n", 5)
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, errors.New("checkpoint does not have exactly three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint size %q is not a number", lines[1])
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, fmt.Errorf("checkpoint root %q is not a hash in base64", lines[2])
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}
	again, err := CheckpointText(c)
	if err != nil {
		return Checkpoint{}, err
	}
	if again != text {
		return Checkpoint{}, errors.New("checkpoint is not in its one canonical form")
	}
	return c, nil
}

// Sign signs a checkpoint text. The key must have the name of the origin. A
// caller whose signer is another program opens the result before using it.
func Sign(text string, signer note.Signer) ([]byte, error) {
	c, err := ParseCheckpoint(text)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	if signer.Name() != c.Origin {
		return nil, fmt.Errorf("sign checkpoint: the key of %q cannot sign for %q", signer.Name(), c.Origin)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return signed, nil
}

// Open verifies a signed checkpoint with the log's public key and returns it.
// Signatures by other keys are ignored, a bad one by this key never is.
func Open(signed []byte, verifier note.Verifier) (Checkpoint, error) {
	if len(signed) > maxCheckpoint {
		return Checkpoint{}, fmt.Errorf("checkpoint has %d bytes, more than %d", len(signed), maxCheckpoint)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return Checkpoint{}, fmt.Errorf("checkpoint is not signed by %s+%08x", verifier.Name(), verifier.KeyHash())
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	// The note package takes base64 with stray bits at the end, which would give
	// one checkpoint several spellings.
	for _, s := range append(n.Sigs, n.UnverifiedSigs...) {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return Checkpoint{}, fmt.Errorf("checkpoint: signature of %q is not canonical base64", s.Name)
		}
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != verifier.Name() {
		return Checkpoint{}, fmt.Errorf("checkpoint is of %q, not of %q", c.Origin, verifier.Name())
	}
	return c, nil
}
