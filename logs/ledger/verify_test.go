package ledger

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func verifyKeys(t *testing.T, m *memory, c Checkpoint) []string {
	t.Helper()
	found, err := VerifyTree(t.Context(), m, c)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, d := range found {
		if d.Problem == "" || strings.Contains(d.Error(), "\n") {
			t.Errorf("discrepancy %q", d.Error())
		}
		keys = append(keys, d.Key)
	}
	return keys
}

// TestVerifyTreeMutations changes and deletes every file of trees of all sizes,
// one at a time: the file itself is named, and no other.
func TestVerifyTreeMutations(t *testing.T) {
	for _, size := range append([]int{0}, treeSizes...) {
		m, c := batch(t, size)
		if got := verifyKeys(t, m, c); len(got) != 0 {
			t.Fatalf("size %d, untouched: %q", size, got)
		}
		for key, data := range m.files {
			for name, edited := range map[string][]byte{
				"delete": nil, "empty": {},
				"flip first": flip(data, 0), "flip middle": flip(data, len(data)/2), "flip last": flip(data, len(data)-1),
				"cut": data[:len(data)-1], "longer": append(bytes.Clone(data), 0), "twice": append(bytes.Clone(data), data...),
			} {
				bad := m.clone()
				bad.files[key] = edited
				if name == "delete" {
					delete(bad.files, key)
				}
				got := verifyKeys(t, bad, c)
				if len(got) == 0 {
					t.Errorf("size %d, %s %s: not seen", size, name, key)
				}
				for _, k := range got {
					if k != key {
						t.Errorf("size %d, %s %s: blames %q", size, name, key, got)
					}
				}
			}
		}
	}
}

// TestVerifyTreeSwaps: files that are each well-formed, in the wrong place.
func TestVerifyTreeSwaps(t *testing.T) {
	m, c := batch(t, 513)
	for _, pair := range [][2]string{{"entries/000", "entries/001"}, {"0/000", "0/001"}} {
		bad := m.clone()
		a, b := "ledger/tile/"+pair[0], "ledger/tile/"+pair[1]
		bad.files[a], bad.files[b] = m.files[b], m.files[a]
		got := strings.Join(verifyKeys(t, bad, c), " ")
		if !strings.Contains(got, a) || !strings.Contains(got, b) || strings.Contains(got, CheckpointKey) {
			t.Errorf("%v: %s", pair, got)
		}
	}
}

// TestVerifyTreeForged: another ledger, consistent in itself, under our root.
func TestVerifyTreeForged(t *testing.T) {
	m, c := batch(t, 513)
	forge := func(from Checkpoint, edit func([][]byte)) *memory {
		all := leaves(0, 513)
		edit(all)
		f := newMemory()
		a, err := Extend(t.Context(), f, from, all)
		if err != nil {
			t.Fatal(err)
		}
		f.write(t, a)
		return f
	}
	f := forge(EmptyTree(testOrigin), func(all [][]byte) { all[300] = leaf(-1) })
	if got := verifyKeys(t, f, c); strings.Join(got, " ") != CheckpointKey {
		t.Errorf("whole tree forged: %q", got)
	}
	// The true tile at the top convicts the forged ones below, both of them.
	f.files["ledger/tile/1/000.p/2"] = m.files["ledger/tile/1/000.p/2"]
	if got := verifyKeys(t, f, c); len(got) != 2 || got[0] != "ledger/tile/0/001" || got[1] != "ledger/tile/0/001" {
		t.Errorf("forged below a true tile: %q", got)
	}
	// And with the true tile of level 0 the bundle stands alone.
	f.files["ledger/tile/0/001"] = m.files["ledger/tile/0/001"]
	if got := verifyKeys(t, f, c); strings.Join(got, " ") != "ledger/tile/entries/001" {
		t.Errorf("forged bundle: %q", got)
	}
	delete(f.files, "ledger/tile/0/001")
	if got := verifyKeys(t, f, c); strings.Join(got, " ") != "ledger/tile/0/001 ledger/tile/0/001" {
		t.Errorf("forged bundle, no tile: %q", got)
	}
}

// TestVerifyTreeOlder: the tree of an older checkpoint is checked within the
// larger one, whether or not its partial files are still there.
func TestVerifyTreeOlder(t *testing.T) {
	_, older := batch(t, 300)
	m, newer := grow(t, 300, 600)
	for range 2 {
		if got := verifyKeys(t, m, older); len(got) != 0 {
			t.Errorf("older tree: %q", got)
		}
		if err := Consistent(t.Context(), m, older, newer); err != nil {
			t.Error(err)
		}
		delete(m.files, "ledger/tile/entries/001.p/44")
		delete(m.files, "ledger/tile/0/001.p/44")
	}
}

type brokenTiles struct{ *memory }

var errBroken = errors.New("connection reset")

func (b brokenTiles) ReadFile(ctx context.Context, key string) ([]byte, error) {
	if strings.Contains(key, "entries/001") {
		return nil, errBroken
	}
	return b.memory.ReadFile(ctx, key)
}

// TestUnreadable: what cannot be read is not what is wrong.
func TestUnreadable(t *testing.T) {
	m, c := batch(t, 513)
	b := brokenTiles{m}
	if _, err := VerifyTree(t.Context(), b, c); !errors.Is(err, errBroken) {
		t.Errorf("verify: %v", err)
	}
	var d *Discrepancy
	err := ReadEntries(t.Context(), b, c, 0, c.Size, func(int64, []byte) error { return nil })
	if !errors.Is(err, errBroken) || errors.As(err, &d) {
		t.Errorf("read: %v", err)
	}
}

// TestVerifyTreeEmptyStore: a signed size with nothing behind it ends soon.
func TestVerifyTreeEmptyStore(t *testing.T) {
	start := time.Now()
	got := verifyKeys(t, newMemory(), Checkpoint{testOrigin, MaxSize - 1, rootOf(leaves(0, 1))})
	if len(got) != maxDiscrepancies+1 || time.Since(start) > 5*time.Second {
		t.Errorf("%d discrepancies in %v", len(got), time.Since(start))
	}
}

func TestReadEntries(t *testing.T) {
	m, c := batch(t, 513)
	for _, r := range [][2]int64{{0, 0}, {0, 1}, {0, 513}, {255, 257}, {256, 512}, {100, 101}, {512, 513}, {513, 513}} {
		next := r[0]
		err := ReadEntries(t.Context(), m, c, r[0], r[1], func(i int64, e []byte) error {
			if i != next || !bytes.Equal(e, leaf(int(i))) {
				t.Errorf("%v: entry %d is %s", r, i, e)
			}
			next++
			return nil
		})
		if err != nil || next != r[1] {
			t.Errorf("%v: ended at %d, %v", r, next, err)
		}
	}
	for _, r := range [][2]int64{{-1, 1}, {2, 1}, {0, 514}} {
		if err := ReadEntries(t.Context(), m, c, r[0], r[1], nil); err == nil {
			t.Errorf("%v: no error", r)
		}
	}
	stop := errors.New("stop")
	if err := ReadEntries(t.Context(), m, c, 0, 513, func(int64, []byte) error { return stop }); err != stop {
		t.Errorf("error of the callback became %v", err)
	}
}

// TestReadEntriesMutations: no wrong entry is passed on, and every wrong bundle
// is an error.
func TestReadEntriesMutations(t *testing.T) {
	for _, size := range treeSizes {
		m, c := batch(t, size)
		for key, data := range m.files {
			bad := m.clone()
			bad.files[key] = flip(data, len(data)-1)
			err := ReadEntries(t.Context(), bad, c, 0, c.Size, func(i int64, e []byte) error {
				if !bytes.Equal(e, leaf(int(i))) {
					t.Errorf("size %d, %s: entry %d is %s", size, key, i, e)
				}
				return nil
			})
			var d *Discrepancy
			if strings.Contains(key, "entries") && !errors.As(err, &d) {
				t.Errorf("size %d, %s: %v", size, key, err)
			}
		}
	}
}
