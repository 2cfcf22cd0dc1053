package ledger

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// prove is what a publisher does for the file beside a package.
func prove(t testing.TB, m *memory, c Checkpoint, s note.Signer, index int64) Proof {
	t.Helper()
	hashes, err := ProveInclusion(t.Context(), m, c, index)
	if err != nil {
		t.Fatal(err)
	}
	return Proof{Index: index, Hashes: hashes, Checkpoint: sign(t, c, s)}
}

func TestProof(t *testing.T) {
	s, v, _ := testKey(t, testOrigin, 1)
	for _, size := range treeSizes {
		m, c := batch(t, size)
		for index := 0; index < size; index += max(1, size/40) {
			data := prove(t, m, c, s, int64(index)).Encode()
			p, err := ParseProof(data)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.Verify(leaf(index), v); err != nil || got != c {
				t.Errorf("size %d, entry %d: %v", size, index, err)
			}
			if _, err := p.Verify(leaf(index+1), v); err == nil {
				t.Errorf("size %d, entry %d: holds for another entry", size, index)
			}
			p.Index++
			if _, err := p.Verify(leaf(index), v); err == nil {
				t.Errorf("size %d, entry %d: holds at another index", size, index)
			}
		}
	}
}

func TestProofMutations(t *testing.T) {
	s, v, _ := testKey(t, testOrigin, 1)
	m, c := batch(t, 257)
	proof := prove(t, m, c, s, 77)
	data := proof.Encode()
	t.Logf("proof of %d bytes", len(data))
	for i := range data {
		p, err := ParseProof(flip(data, i))
		if err == nil {
			_, err = p.Verify(leaf(77), v)
		}
		if err == nil {
			t.Errorf("byte %d flipped: still holds", i)
		}
	}
	with := func(old, new string) []byte { return bytes.Replace(data, []byte(old), []byte(new), 1) }
	for name, data := range map[string][]byte{
		"empty":           nil,
		"cut":             data[:40],
		"version":         with("@v1", "@v2"),
		"index sign":      with("index 77", "index +77"),
		"index zero":      with("index 77", "index 077"),
		"negative":        with("index 77", "index -77"),
		"no index":        with("index 77\n", ""),
		"extra last":      with("index 77\n", "index 77\nextra AA==\n"),
		"bad extra":       with("index 77\n", "extra A\nindex 77\n"),
		"only extra":      []byte(proofHeader + "extra AA==\n\nx"),
		"too many hashes": with("index 77\n", "index 77\n"+strings.Repeat(emptyRoot.String()+"\n", 64)),
		"too long":        append(bytes.Clone(data), make([]byte, maxProof)...),
		"carriage return": with("index 77\n", "index 77\r\n"),
	} {
		if _, err := ParseProof(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, extra := range [][]byte{{}, []byte("hello")} {
		proof.Extra = extra
		p, err := ParseProof(proof.Encode())
		if err != nil || !bytes.Equal(p.Extra, extra) || p.Extra == nil {
			t.Errorf("extra %q: %v", extra, err)
		}
	}
	for _, index := range []int64{-1, 257} {
		if _, err := ProveInclusion(t.Context(), m, c, index); err == nil {
			t.Errorf("proved entry %d of 257", index)
		}
	}
}

func TestConsistent(t *testing.T) {
	ctx := t.Context()
	sizes := append([]int{0}, treeSizes...)
	for _, n := range sizes {
		m, newer := batch(t, n)
		for _, o := range sizes {
			_, older := batch(t, o)
			if err := Consistent(ctx, m, older, newer); (err == nil) != (o <= n) || errors.Is(err, ErrInconsistent) {
				t.Errorf("%d to %d: %v", o, n, err)
			}
			if o == 0 || o > n {
				continue
			}
			older.Root[5] ^= 1
			if err := Consistent(ctx, m, older, newer); !errors.Is(err, ErrInconsistent) {
				t.Errorf("%d to %d with another root: %v", o, n, err)
			}
		}
	}
	m, newer := batch(t, 257)
	older := EmptyTree("example.com")
	if err := Consistent(ctx, m, older, newer); err == nil || errors.Is(err, ErrInconsistent) {
		t.Errorf("two origins: %v", err)
	}
	// A damaged tile is no evidence of a fork.
	_, older = batch(t, 255)
	m.files["ledger/tile/0/000"] = flip(m.files["ledger/tile/0/000"], 0)
	var d *Discrepancy
	if err := Consistent(ctx, m, older, newer); !errors.As(err, &d) || errors.Is(err, ErrInconsistent) {
		t.Errorf("damaged tile: %v", err)
	}
	delete(m.files, "ledger/tile/0/000")
	if err := Consistent(ctx, m, older, newer); !errors.As(err, &d) || d.Key != "ledger/tile/0/000" {
		t.Errorf("missing tile: %v", err)
	}
	if _, err := ProveInclusion(ctx, m, newer, 3); !errors.As(err, &d) {
		t.Errorf("missing tile: %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := Consistent(canceled, contextTiles{m}, older, newer); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

type contextTiles struct{ *memory }

func (c contextTiles) ReadFile(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.memory.ReadFile(ctx, key)
}
