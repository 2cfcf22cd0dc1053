// Package storetest tests stores and what uses them: one conformance suite that every store.Store passes, and a Fake
// in memory that polices the rules of the public tree and fails on command. Only tests import it.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"colophon/publish/store"
)

// Fake is a Store in memory. It calls Violation when a caller breaks a rule that a real store cannot enforce, and
// then refuses. Set the fields before use; it must not be copied.
type Fake struct {
	// Fault, when not nil, is called before each operation: "put", "swap", "open", "stat", "get" with the key, "list"
	// with the prefix. When err is nil the operation proceeds. Otherwise err is reported, and apply says whether a
	// write takes place all the same (as when the answer is lost).
	Fault func(op, key string) (apply bool, err error)

	// Violation is told of a broken rule, as t.Errorf. Nil panics.
	Violation func(format string, args ...any)

	// Rules are asked before each write that changes something; an error is a violation. They add to the built-in ones
	// and may use has to look at what is stored.
	Rules []func(w Write, has func(key string) bool) error

	mu      sync.Mutex
	objects map[string]object
	writes  []Write
	version int
}

// Write is one change of a Fake.
type Write struct {
	Op   string // "put" or "swap"
	Key  string
	Data []byte
}

type object struct {
	data []byte
	tag  store.Tag
	kind store.Kind
}

var _ store.Store = (*Fake)(nil)

// NewFake gives an empty Fake that reports violations to t.
func NewFake(t interface {
	Errorf(format string, args ...any)
}) *Fake {
	return &Fake{Violation: t.Errorf}
}

// Writes returns the changes so far, in order. Calls that found their work done are not among them.
func (f *Fake) Writes() []Write {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.writes)
}

// Objects returns the content of all objects.
func (f *Fake) Objects() map[string][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string][]byte{}
	for key, o := range f.objects {
		all[key] = bytes.Clone(o.data)
	}
	return all
}

// Tamper changes an object behind the back of every rule, as a bad server would. Nil data removes it.
func (f *Fake) Tamper(key string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if data == nil {
		delete(f.objects, key)
		return
	}
	kind, _ := store.KindOf(key)
	f.set(key, bytes.Clone(data), kind)
}

// Address implements store.Reader.
func (f *Fake) Address() string { return "fake:" }

// Open implements store.Reader.
func (f *Fake) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, store.Info, error) {
	o, err := f.look(ctx, "open", key)
	if err != nil {
		return nil, store.Info{}, err
	}
	size := int64(len(o.data))
	if offset < 0 || offset > size {
		return nil, store.Info{}, fmt.Errorf("read %q: %w", key, store.ErrRange)
	}
	if length < 0 || length > size-offset {
		length = size - offset
	}
	part := &stream{ctx, bytes.NewReader(o.data[offset : offset+length])}
	return io.NopCloser(part), f.info(key, o), nil
}

type stream struct {
	ctx context.Context
	r   io.Reader
}

func (s *stream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// Stat implements store.Reader.
func (f *Fake) Stat(ctx context.Context, key string) (store.Info, error) {
	o, err := f.look(ctx, "stat", key)
	if err != nil {
		return store.Info{}, err
	}
	return f.info(key, o), nil
}

// Get implements store.Reader.
func (f *Fake) Get(ctx context.Context, key string, limit int64) ([]byte, store.Tag, error) {
	o, err := f.look(ctx, "get", key)
	if err != nil {
		return nil, "", err
	}
	if int64(len(o.data)) > limit {
		return nil, "", fmt.Errorf("read %q: longer than %d bytes", key, limit)
	}
	return bytes.Clone(o.data), o.tag, nil
}

// Put implements store.Store.
func (f *Fake) Put(ctx context.Context, key string, body store.Body, kind store.Kind) error {
	if err := store.CheckPut(key, kind); err != nil {
		return f.violation("put: %w", err)
	}
	return f.write(ctx, "put", key, func() error {
		data, err := io.ReadAll(&stream{ctx, body.Reader()})
		if err != nil {
			return fmt.Errorf("put %q: %w", key, err)
		}
		sum := sha256.Sum256(data)
		if int64(len(data)) != body.Size() || hex.EncodeToString(sum[:]) != body.SHA256() {
			return fmt.Errorf("put %q: the source has other bytes than announced", key)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if old, ok := f.objects[key]; ok {
			if !bytes.Equal(old.data, data) {
				return &store.ConflictError{Key: key}
			}
			return nil
		}
		return f.change(Write{"put", key, data}, kind)
	})
}

// Swap implements store.Store.
func (f *Fake) Swap(ctx context.Context, key string, data []byte, kind store.Kind, expected store.Tag) (store.Tag, error) {
	if err := store.CheckSwap(key, kind); err != nil {
		return "", f.violation("swap: %w", err)
	}
	var tag store.Tag
	err := f.write(ctx, "swap", key, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		old, ok := f.objects[key]
		if !ok || !bytes.Equal(old.data, data) {
			if old.tag != expected {
				return fmt.Errorf("swap %q: %w", key, store.ErrChanged)
			}
			if err := f.change(Write{"swap", key, bytes.Clone(data)}, kind); err != nil {
				return err
			}
		}
		tag = f.objects[key].tag
		return nil
	})
	if err != nil {
		return "", err
	}
	return tag, nil
}

// List implements store.Store.
func (f *Fake) List(ctx context.Context, prefix string, each func(store.Info) error) error {
	if strings.HasPrefix(prefix, "/") || strings.Contains(prefix, "//") || strings.Contains("/"+prefix, "/../") {
		return fmt.Errorf("prefix %q", prefix)
	}
	if _, err := f.fault(ctx, "list", prefix); err != nil {
		return err
	}
	f.mu.Lock()
	objects := maps.Clone(f.objects)
	f.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.HasPrefix(key, prefix) {
			if err := each(f.info(key, objects[key])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Fake) info(key string, o object) store.Info {
	sum := sha256.Sum256(o.data)
	return store.Info{Key: key, Size: int64(len(o.data)), SHA256: hex.EncodeToString(sum[:])}
}

func (f *Fake) look(ctx context.Context, op, key string) (object, error) {
	if err := store.CheckKey(key); err != nil {
		return object{}, err
	}
	if _, err := f.fault(ctx, op, key); err != nil {
		return object{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.objects[key]
	if !ok {
		return object{}, fmt.Errorf("%s %q: %w", op, key, fs.ErrNotExist)
	}
	return o, nil
}

func (f *Fake) fault(ctx context.Context, op, key string) (apply bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if f.Fault == nil {
		return true, nil
	}
	return f.Fault(op, key)
}

func (f *Fake) write(ctx context.Context, op, key string, apply func() error) error {
	applied, err := f.fault(ctx, op, key)
	if err == nil {
		return apply()
	}
	if applied {
		apply() // its own outcome is what the caller does not learn
	}
	return err
}

// change asks the rules and stores. The caller holds mu.
func (f *Fake) change(w Write, kind store.Kind) error {
	has := func(key string) bool { _, ok := f.objects[key]; return ok }
	for _, rule := range append([]func(Write, func(string) bool) error{f.keepsImmutable, f.noFolders, payloadFirst}, f.Rules...) {
		if err := rule(w, has); err != nil {
			return f.violation("%s %q: %w", w.Op, w.Key, err)
		}
	}
	f.writes = append(f.writes, w)
	f.set(w.Key, w.Data, kind)
	return nil
}

func (f *Fake) set(key string, data []byte, kind store.Kind) {
	if f.objects == nil {
		f.objects = map[string]object{}
	}
	f.version++
	f.objects[key] = object{data, store.Tag(fmt.Sprintf("v%d", f.version)), kind}
}

func (f *Fake) violation(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if f.Violation == nil {
		panic(err)
	}
	f.Violation("rule broken: %v", err)
	return err
}

func (f *Fake) keepsImmutable(w Write, has func(string) bool) error {
	if has(w.Key) && f.objects[w.Key].kind.Immutable() {
		return fmt.Errorf("an immutable object changes")
	}
	return nil
}

// noFolders: no key is a folder of another.
func (f *Fake) noFolders(w Write, _ func(string) bool) error {
	for key := range f.objects {
		if strings.HasPrefix(key, w.Key+"/") || strings.HasPrefix(w.Key, key+"/") {
			return fmt.Errorf("%q is stored, and one would be a folder of the other", key)
		}
	}
	return nil
}

var snapshotAddress = regexp.MustCompile(`/([0-9]{6,}(?:-[0-9]+)?)/repodata/repomd\.xml`)

// payloadFirst: what an object points to is stored before it.
func payloadFirst(w Write, has func(string) bool) error {
	kind, _ := store.KindOf(w.Key)
	repository, _, _ := strings.Cut(w.Key, "/")
	var needs []string
	switch kind {
	case store.Head:
		found := snapshotAddress.FindAllSubmatch(w.Data, -1)
		if found == nil {
			return fmt.Errorf("a head that names no snapshot")
		}
		for _, match := range found {
			folder := repository + "/" + string(match[1]) + "/repodata/"
			needs = append(needs, folder+"repomd.xml", folder+"repomd.xml.asc")
		}
	case store.Checkpoint:
		needs = []string{"ledger/commit"}
	case store.Metadata, store.Latest:
		if strings.HasSuffix(w.Key, "/repomd.xml.asc") {
			needs = []string{"ledger/checkpoint"} // nothing is signed before it is in the ledger
		}
	case store.Log, store.Record, store.Proof:
		return nil
	}
	for _, key := range needs {
		if !has(key) {
			return fmt.Errorf("%q is not stored yet", key)
		}
	}
	return nil
}
