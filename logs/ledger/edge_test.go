package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

var treeSizes = []int{1, 2, 255, 256, 257, 513}

func TestExtendRoot(t *testing.T) {
	for _, size := range append([]int{0, 3, 7, 512, 1000}, treeSizes...) {
		if _, c := batch(t, size); c.Size != int64(size) || c.Root != rootOf(leaves(0, size)) {
			t.Errorf("size %d: %+v", size, c)
		}
	}
}

// TestExtendFiles spells out the layout of the three sizes around a full tile.
func TestExtendFiles(t *testing.T) {
	for _, tt := range []struct {
		from, to int
		want     string
	}{
		{0, 1, "entries/000.p/1 0/000.p/1"},
		{254, 255, "entries/000.p/255 0/000.p/255"},
		{255, 256, "entries/000 0/000 1/000.p/1"},
		{0, 256, "entries/000 0/000 1/000.p/1"},
		{256, 257, "entries/001.p/1 0/001.p/1"},
		{255, 257, "entries/000 0/000 entries/001.p/1 0/001.p/1 1/000.p/1"},
		{0, 513, "entries/000 0/000 entries/001 0/001 entries/002.p/1 0/002.p/1 1/000.p/2"},
	} {
		m, c := batch(t, tt.from)
		a, err := Extend(t.Context(), m, c, leaves(tt.from, tt.to))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range a.Objects {
			got = append(got, strings.TrimPrefix(o.Key, "ledger/tile/"))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%d to %d: %q", tt.from, tt.to, got)
		}
	}
}

// TestExtendBatches: batches leave no trace but partial files.
func TestExtendBatches(t *testing.T) {
	const size = 600
	single := make([]int, size)
	for i := range single {
		single[i] = i + 1
	}
	want, wantC := batch(t, size)
	for _, sizes := range [][]int{single, {255, 256, 257, size}, {300, 300, size}, {1, 513, size}} {
		m, c := grow(t, sizes...)
		if c != wantC {
			t.Errorf("checkpoint %+v, not %+v", c, wantC)
		}
		for key, data := range want.files {
			if !bytes.Equal(m.files[key], data) {
				t.Errorf("%s differs", key)
			}
		}
		for key := range m.files {
			if _, ok := want.files[key]; !ok && !strings.Contains(key, ".p/") {
				t.Errorf("full file %s in one batching only", key)
			}
		}
	}
}

// TestStaging is the way back after a crash: whoever finds a checkpoint committed
// and its entries staged makes the same tree from them.
func TestStaging(t *testing.T) {
	m, c := batch(t, 255)
	want, err := Extend(t.Context(), m, c, leaves(255, 600))
	if err != nil {
		t.Fatal(err)
	}
	staged, err := EncodeBundle(leaves(255, 600))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := DecodeBundle(staged)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Extend(t.Context(), m, c, entries); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got.Checkpoint, err)
	}
	if got, want := StagingKey("abc"), "ledger/staging/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

func TestExtendNothing(t *testing.T) {
	m, c := batch(t, 257)
	if a, err := Extend(t.Context(), m, c, nil); err != nil || a.Checkpoint != c || len(a.Objects) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestExtendReads: an append reads the right edge, however large the tree is.
func TestExtendReads(t *testing.T) {
	for _, size := range []int{255, 257, 65537} {
		m, c := batch(t, size)
		m.reads = 0
		a, err := Extend(t.Context(), m, c, leaves(size, size+1))
		if err != nil {
			t.Fatal(err)
		}
		if m.reads > 4 || len(a.Objects) > 4 {
			t.Errorf("size %d: %d files read, %d written", size, m.reads, len(a.Objects))
		}
	}
}

// TestLarge is the first size with three levels, and a partial tile at each.
func TestLarge(t *testing.T) {
	m, c := batch(t, 65537)
	if c.Root != rootOf(leaves(0, 65537)) {
		t.Error("wrong root")
	}
	for _, key := range []string{"2/000.p/1", "1/000", "0/255", "0/256.p/1", "entries/256.p/1"} {
		if m.files["ledger/tile/"+key] == nil {
			t.Errorf("no %s", key)
		}
	}
	found, err := VerifyTree(t.Context(), m, c)
	if err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	next := int64(65000)
	err = ReadEntries(t.Context(), m, c, next, c.Size, func(i int64, e []byte) error {
		if i != next || !bytes.Equal(e, leaf(int(i))) {
			return fmt.Errorf("entry %d is %s", i, e)
		}
		next++
		return nil
	})
	if err != nil || next != c.Size {
		t.Errorf("read to %d: %v", next, err)
	}
}

func TestExtendRefuses(t *testing.T) {
	ctx := t.Context()
	good, c := batch(t, 257)
	for _, bad := range [][]byte{{}, make([]byte, MaxEntry+1)} {
		if _, err := Extend(ctx, good, c, [][]byte{bad}); err == nil {
			t.Errorf("entry of %d bytes was appended", len(bad))
		}
	}
	if a, err := Extend(ctx, good, c, [][]byte{make([]byte, MaxEntry)}); err != nil || a.Size != 258 {
		t.Errorf("entry of full size: %v", err)
	}
	for _, c := range []Checkpoint{
		{testOrigin, 258, c.Root}, {testOrigin, 257, emptyRoot}, {testOrigin, -1, c.Root},
		{testOrigin, MaxSize + 1, c.Root}, {testOrigin, 0, c.Root}, {"", 257, c.Root},
	} {
		if _, err := Extend(ctx, good, c, leaves(0, 1)); err == nil {
			t.Errorf("extended from %+v", c)
		}
	}
	// Damage to the edge must not be signed into the next root.
	for _, key := range []string{"entries/001.p/1", "0/001.p/1", "1/000.p/1"} {
		m := good.clone()
		m.files["ledger/tile/"+key] = flip(m.files["ledger/tile/"+key], 20)
		if _, err := Extend(ctx, m, c, leaves(257, 258)); err == nil {
			t.Errorf("extended with a damaged %s", key)
		}
		delete(m.files, "ledger/tile/"+key)
		var d *Discrepancy
		if _, err := Extend(ctx, m, c, leaves(257, 258)); !errors.As(err, &d) || d.Key != "ledger/tile/"+key {
			t.Errorf("without %s: %v", key, err)
		}
	}
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at%len(data)] ^= 1
	return data
}
