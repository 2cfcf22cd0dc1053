package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// The product does not use torchwood for trees, so that here it is a reader of
// our files that shares nothing with their writer but the hash arithmetic.

// ledgerFS is what a client sees at the prefix of the log.
func ledgerFS(m *memory) fstest.MapFS {
	f := make(fstest.MapFS)
	for key, data := range m.files {
		f[strings.TrimPrefix(key, "ledger/")] = &fstest.MapFile{Data: data}
	}
	return f
}

func TestTorchwoodReads(t *testing.T) {
	s, _, vkey := testKey(t, testOrigin, 1)
	text, err := PolicyText(vkey)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := torchwood.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range append([]int{65537}, treeSizes...) {
		m, c := batch(t, size)
		tiles, err := torchwood.NewTileFS(ledgerFS(m))
		if err != nil {
			t.Fatal(err)
		}
		client, err := torchwood.NewClient(tiles)
		if err != nil {
			t.Fatal(err)
		}
		signed := sign(t, c, s)
		tree, _, err := torchwood.VerifyCheckpoint(signed, policy)
		if err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		n := 0
		for i, e := range client.AllEntries(t.Context(), tree.Tree, 0) {
			if i != int64(n) || !bytes.Equal(e, leaf(n)) {
				t.Fatalf("size %d: entry %d is %s", size, i, e)
			}
			n++
		}
		if client.Err() != nil || n != size {
			t.Errorf("size %d: %d entries, %v", size, n, client.Err())
		}

		for _, index := range []int{0, size / 2, size - 1} {
			entry, hashes, err := client.Entry(t.Context(), tree.Tree, int64(index))
			if err != nil || !bytes.Equal(entry, leaf(index)) {
				t.Fatalf("size %d: entry %d: %v", size, index, err)
			}
			p := prove(t, m, c, s, int64(index))
			if theirs := torchwood.FormatProof(int64(index), hashes, signed); !bytes.Equal(p.Encode(), theirs) {
				t.Errorf("size %d, entry %d: proofs differ\n%s\n%s", size, index, p.Encode(), theirs)
			}
			if err := torchwood.VerifyProof(policy, tlog.RecordHash(leaf(index)), p.Encode()); err != nil {
				t.Errorf("size %d, entry %d: %v", size, index, err)
			}
			if err := torchwood.VerifyProof(policy, tlog.RecordHash(leaf(-1)), p.Encode()); err == nil {
				t.Errorf("size %d, entry %d: torchwood accepts any entry", size, index)
			}
		}
	}
}

// TestTorchwoodPaths compares the names of files far beyond the trees above.
func TestTorchwoodPaths(t *testing.T) {
	for _, tile := range []tlog.Tile{
		tileAt(0, 0, 256), tileAt(0, 999, 1), tileAt(0, 1000, 256), tileAt(1, 1234067, 255),
		tileAt(entryLevel, 0, 256), tileAt(entryLevel, 1234067, 7), tileAt(4, MaxSize/256, 256),
	} {
		if got, want := tileKey(tile), "ledger/"+torchwood.TilePath(tile); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
	if got := tileKey(tileAt(0, 1234067, 5)); got != "ledger/tile/0/x001/x234/067.p/5" {
		t.Error(got)
	}
}

// TestTorchwoodQuorum: a policy with a witness refuses our checkpoint until the
// witness has signed it, and we accept the signed one.
func TestTorchwoodQuorum(t *testing.T) {
	s, v, vkey := testKey(t, testOrigin, 1)
	w, err := torchwood.NewCosignatureSigner("w.example.org", testSeed(9))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := torchwood.ParsePolicy([]byte("log " + vkey + "\nwitness w " + w.Verifier().String() + "\nquorum w\n"))
	if err != nil {
		t.Fatal(err)
	}
	m, c := batch(t, 257)
	p := prove(t, m, c, s, 5)
	var unverified *note.UnverifiedNoteError
	if err := torchwood.VerifyProof(policy, tlog.RecordHash(leaf(5)), p.Encode()); !errors.As(err, &unverified) {
		t.Errorf("without a cosignature: %v", err)
	}
	n, err := note.Open(p.Checkpoint, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	if p.Checkpoint, err = note.Sign(n, w); err != nil {
		t.Fatal(err)
	}
	if err := torchwood.VerifyProof(policy, tlog.RecordHash(leaf(5)), p.Encode()); err != nil {
		t.Error(err)
	}
	p, err = ParseProof(p.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(leaf(5), v); err != nil {
		t.Error(err)
	}
}
