package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// memory is a tree in memory that polices what a public one promises: a file
// never changes. reads counts the files asked for.
type memory struct {
	files map[string][]byte
	reads int
}

func newMemory() *memory { return &memory{files: make(map[string][]byte)} }

func (m *memory) ReadFile(_ context.Context, key string) ([]byte, error) {
	m.reads++
	data, ok := m.files[key]
	if !ok {
		return nil, fmt.Errorf("open %q: %w", key, fs.ErrNotExist)
	}
	return data, nil
}

func (m *memory) write(t testing.TB, a Append) {
	t.Helper()
	for _, o := range a.Objects {
		if old, ok := m.files[o.Key]; ok {
			t.Fatalf("%s is written a second time, equal %v", o.Key, bytes.Equal(old, o.Data))
		}
		m.files[o.Key] = o.Data
	}
}

func (m *memory) clone() *memory { return &memory{files: maps.Clone(m.files)} }

const testOrigin = "example.org/ledger"

func leaf(i int) []byte { return []byte(fmt.Sprintf(`{"leaf":%d}`, i)) }

func leaves(from, to int) [][]byte {
	var all [][]byte
	for i := from; i < to; i++ {
		all = append(all, leaf(i))
	}
	return all
}

// grow makes a tree in batches that end at the given sizes.
func grow(t testing.TB, sizes ...int) (*memory, Checkpoint) {
	t.Helper()
	m, c := newMemory(), EmptyTree(testOrigin)
	for _, size := range sizes {
		a, err := Extend(t.Context(), m, c, leaves(int(c.Size), size))
		if err != nil {
			t.Fatal(err)
		}
		m.write(t, a)
		c = a.Checkpoint
	}
	return m, c
}

// batch is grow in one batch, made once per size: tests only read it.
func batch(t testing.TB, size int) (*memory, Checkpoint) {
	t.Helper()
	type tree struct {
		m *memory
		c Checkpoint
	}
	batchMu.Lock()
	defer batchMu.Unlock()
	if v, ok := batches[size].(tree); ok {
		return v.m.clone(), v.c
	}
	m, c := grow(t, size)
	batches[size] = tree{m, c}
	return m.clone(), c
}

var (
	batchMu sync.Mutex
	batches = make(map[int]any)
)

// rootOf is the definition of the root in RFC 6962, section 2.1.
func rootOf(leaves [][]byte) tlog.Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	l, r := rootOf(leaves[:k]), rootOf(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func testState(name string, packages int, revision int64) State {
	x := func(s string) XML {
		return XML{OpenSHA256: hash(name + s), OpenSize: 2000, SHA256: hash(name + s + "gz"), Size: 500}
	}
	return State{
		Filelists: x("filelists"), Format: 1, Other: x("other"), Packages: packages, Primary: x("primary"),
		Repomd: Digest{hash(name + "repomd"), 3000}, Revision: revision,
	}
}

func testPackage(nevra string) Package {
	path, err := PackagePath(nevra)
	if err != nil {
		panic(err)
	}
	return Package{
		ContentID: hash(nevra + "content"), Header: hash(nevra + "header"),
		Log:   &Log{hash(nevra + "log"), 5000, hash(nevra + "zst"), 700},
		NEVRA: nevra, Path: path, Record: Digest{hash(nevra + "record"), 4000},
		SHA256: hash(nevra), Signer: strings.Repeat("AB", 20), Size: 1 << 30,
	}
}

var testTime = time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)

// testEntries is a small ledger: two repositories, packages that come and go.
func testEntries() []Entry {
	const v1, v2 = "qubes-template-a-4.2-1.noarch", "qubes-template-a-4.2-2.noarch"
	one, two := testState("one", 1, 1700000000), testState("two", 2, 1700000001)
	three, other := testState("three", 1, 1700000002), testState("other", 1, 1700000000)
	entry := func(repository string, serial int64, previous *State, next State) Entry {
		return Entry{
			Added: []Package{}, Kind: KindPublish, Next: next, Previous: previous, Removed: []Removal{},
			Repository: repository, Serial: serial, Signer: strings.Repeat("0F", 20),
			Time: testTime.Add(time.Duration(serial) * time.Hour), Tool: Tool{"colophon", "0.1.0"}, Version: 1,
		}
	}
	a := entry("templates", 1, nil, one)
	a.Added = []Package{testPackage(v1)}
	b := entry("templates-testing", 1, nil, other)
	b.Added = []Package{testPackage(v1)}
	c := entry("templates", 2, &one, two)
	c.Added = []Package{testPackage(v2)}
	c.Added[0].Log, c.Added[0].NoLog = nil, "built before logs were kept"
	d := entry("templates", 3, &two, three)
	d.Removed = []Removal{{v1, "superseded", hash(v1)}}
	return []Entry{a, b, c, d}
}
