package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"colophon/publish/store"
)

// Run runs the conformance suite. Each test gets a store of its own from open, which must be empty.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"put and read", testPut},
		{"put conflicts", testConflict},
		{"put refuses a source that lies", testLyingBody},
		{"put race of different writers", testPutRace},
		{"put race of equal writers", testEqualPutRace},
		{"swap", testSwap},
		{"swap race", testSwapRace},
		{"swap is never seen half", testSwapIsAtomic},
		{"update", testUpdate},
		{"ranges", testRanges},
		{"list", testList},
		{"missing", testMissing},
		{"big object", testBig},
		{"get limit", testLimit},
		{"keys", testKeys},
		{"kinds", testKinds},
		{"cancel", testCancel},
		{"claim", testClaim},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

const (
	packageKey = "packages/qubes-template-a/qubes-template-a-4.3.0-1.noarch.rpm"
	pageKey    = "index.html"
	writers    = 16
	someLimit  = 1 << 20
)

func put(t *testing.T, s store.Store, key, data string) {
	t.Helper()
	kind, _ := store.KindOf(key)
	if err := s.Put(t.Context(), key, store.Bytes([]byte(data)), kind); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, s store.Reader, key, want string) {
	t.Helper()
	data, _, err := s.Get(t.Context(), key, someLimit)
	if err != nil || string(data) != want {
		t.Errorf("get %q: %.60q, %v; want %.60q", key, data, err, want)
	}
	body, info, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Error(err)
		return
	}
	defer body.Close()
	data, err = io.ReadAll(body)
	if err != nil || string(data) != want || info.Size != int64(len(want)) || info.Key != key {
		t.Errorf("open %q: %.60q, %+v, %v; want %.60q", key, data, info, err, want)
	}
	info, err = s.Stat(t.Context(), key)
	sum := sha256.Sum256([]byte(want))
	if err != nil || info.Size != int64(len(want)) || info.Key != key ||
		info.SHA256 != "" && info.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("stat %q: %+v, %v", key, info, err)
	}
}

func checkMissing(t *testing.T, s store.Reader, key string) {
	t.Helper()
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat %q: %v, want fs.ErrNotExist", key, err)
	}
	if _, _, err := s.Get(t.Context(), key, someLimit); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("get %q: %v, want fs.ErrNotExist", key, err)
	}
	for _, length := range []int64{-1, 0, 1} {
		if _, _, err := s.Open(t.Context(), key, 0, length); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %q: %v, want fs.ErrNotExist", key, err)
		}
	}
}

func testPut(t *testing.T, s store.Store) {
	put(t, s, packageKey, "package")
	check(t, s, packageKey, "package")
	put(t, s, packageKey, "package")
	put(t, s, packageKey+".log.zst", "")
	check(t, s, packageKey+".log.zst", "")
	put(t, s, "packages/c++~1^2_x/c++~1^2_x-1.rpm", "odd")
	check(t, s, "packages/c++~1^2_x/c++~1^2_x-1.rpm", "odd")
	if err := s.Put(t.Context(), "packages/a/zero.rpm", store.Body{}, store.Package); err != nil {
		t.Errorf("put of the zero body: %v", err)
	}
	check(t, s, "packages/a/zero.rpm", "")
}

func testConflict(t *testing.T, s store.Store) {
	put(t, s, packageKey, "package")
	for _, data := range []string{"PACKAGE", "packag", "package ", ""} {
		err := s.Put(t.Context(), packageKey, store.Bytes([]byte(data)), store.Package)
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || conflict.Key != packageKey {
			t.Errorf("put of %q: %v, want *ConflictError", data, err)
		}
	}
	check(t, s, packageKey, "package")
}

func testLyingBody(t *testing.T, s store.Store) {
	announced := store.Bytes([]byte("package"))
	for _, data := range []string{"PACKAGE", "packag"} {
		body, err := store.NewBody(strings.NewReader(data), announced.Size(), announced.SHA256())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), packageKey, body, store.Package); err == nil {
			t.Errorf("put of %q as %q succeeded", data, "package")
		}
		checkMissing(t, s, packageKey)
	}
}

// race runs f for each writer at the same moment and returns who succeeded.
func race(f func(i int) error, expected func(error) bool) (won []int, err error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range writers {
		group.Go(func() {
			<-start
			e := f(i)
			mu.Lock()
			defer mu.Unlock()
			if e == nil {
				won = append(won, i)
			} else if !expected(e) {
				err = errors.Join(err, e)
			}
		})
	}
	close(start)
	group.Wait()
	return won, err
}

// racer is the content of one writer, of many pages, and as long as every other.
func racer(i int) string { return strings.Repeat(fmt.Sprintf("writer %02d\n", i), 4096) }

func testPutRace(t *testing.T, s store.Store) {
	for round := range 4 {
		key := fmt.Sprintf("packages/a/a-%d.rpm", round)
		won, err := race(
			func(i int) error { return s.Put(t.Context(), key, store.Bytes([]byte(racer(i))), store.Package) },
			func(err error) bool { var conflict *store.ConflictError; return errors.As(err, &conflict) },
		)
		if err != nil || len(won) != 1 {
			t.Fatalf("winners %v, %v; want one", won, err)
		}
		check(t, s, key, racer(won[0]))
	}
}

func testEqualPutRace(t *testing.T, s store.Store) {
	won, err := race(
		func(int) error { return s.Put(t.Context(), packageKey, store.Bytes([]byte(racer(0))), store.Package) },
		func(error) bool { return false },
	)
	if err != nil || len(won) != writers {
		t.Errorf("winners %v, %v; want all", won, err)
	}
	check(t, s, packageKey, racer(0))
}

func swap(s store.Store, ctx context.Context, data string, expected store.Tag) (store.Tag, error) {
	return s.Swap(ctx, "ledger/commit", []byte(data), store.Commit, expected)
}

func testSwap(t *testing.T, s store.Store) {
	ctx := t.Context()
	if _, err := swap(s, ctx, "one", "stale"); !errors.Is(err, store.ErrChanged) {
		t.Errorf("swap of nothing with a tag: %v, want ErrChanged", err)
	}
	checkMissing(t, s, "ledger/commit")
	one, err := swap(s, ctx, "one", "")
	if err != nil || one == "" {
		t.Fatalf("first swap: %q, %v", one, err)
	}
	if _, tag, err := s.Get(ctx, "ledger/commit", someLimit); err != nil || tag != one {
		t.Errorf("get has tag %q, swap gave %q, %v", tag, one, err)
	}
	if _, err := swap(s, ctx, "two", ""); !errors.Is(err, store.ErrChanged) {
		t.Errorf("swap expecting nothing: %v, want ErrChanged", err)
	}
	check(t, s, "ledger/commit", "one")
	two, err := swap(s, ctx, "two", one)
	if err != nil || two == one {
		t.Fatalf("second swap: %q, %v", two, err)
	}
	if _, err := swap(s, ctx, "three", one); !errors.Is(err, store.ErrChanged) {
		t.Errorf("stale swap: %v, want ErrChanged", err)
	}
	check(t, s, "ledger/commit", "two")
	for _, expected := range []store.Tag{one, two, ""} {
		if tag, err := swap(s, ctx, "two", expected); err != nil || tag != two {
			t.Errorf("swap to what is there: %q, %v; want %q", tag, err, two)
		}
	}
	if _, err := swap(s, ctx, "", two); err != nil {
		t.Errorf("swap to nothing: %v", err)
	}
	check(t, s, "ledger/commit", "")
	if _, err := swap(s, ctx, "x", ""); !errors.Is(err, store.ErrChanged) {
		t.Errorf("the zero tag matched an empty object: %v", err)
	}
}

func testSwapRace(t *testing.T, s store.Store) {
	var tag store.Tag
	for range 4 {
		tags := make([]store.Tag, writers)
		won, err := race(func(i int) (err error) {
			tags[i], err = swap(s, t.Context(), racer(i)+string(tag), tag)
			return err
		}, func(err error) bool { return errors.Is(err, store.ErrChanged) })
		if err != nil || len(won) != 1 {
			t.Fatalf("winners %v, %v; want one", won, err)
		}
		check(t, s, "ledger/commit", racer(won[0])+string(tag))
		tag = tags[won[0]]
	}
}

func testSwapIsAtomic(t *testing.T, s store.Store) {
	tag, err := swap(s, t.Context(), racer(0), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	for range 2 {
		group.Go(func() {
			for ctx.Err() == nil {
				data, _, err := s.Get(t.Context(), "ledger/commit", someLimit)
				if err != nil || len(data) != len(racer(0)) || !bytes.Equal(data[:10], data[len(data)-10:]) {
					t.Errorf("read %d bytes, %v", len(data), err)
					return
				}
			}
		})
	}
	for i := range 40 {
		if tag, err = swap(s, t.Context(), racer(i+1), tag); err != nil {
			t.Fatal(err)
		}
	}
}

func testUpdate(t *testing.T, s store.Store) {
	for _, step := range []struct {
		data    string
		changed bool
	}{{"one", true}, {"one", false}, {"two", true}, {"one", true}} {
		changed, err := store.Update(t.Context(), s, pageKey, []byte(step.data), store.Page)
		if err != nil || changed != step.changed {
			t.Errorf("update to %q: %t, %v; want %t", step.data, changed, err, step.changed)
		}
		check(t, s, pageKey, step.data)
	}
}

func testRanges(t *testing.T, s store.Store) {
	put(t, s, packageKey, "0123456789")
	put(t, s, packageKey+".log.zst", "")
	for _, test := range []struct {
		key            string
		offset, length int64
		want           string
		err            error
	}{
		{packageKey, 0, -1, "0123456789", nil},
		{packageKey, 0, 10, "0123456789", nil},
		{packageKey, 0, 4, "0123", nil},
		{packageKey, 3, 4, "3456", nil},
		{packageKey, 3, -1, "3456789", nil},
		{packageKey, 9, 1, "9", nil},
		{packageKey, 8, 100, "89", nil},
		{packageKey, 4, 0, "", nil},
		{packageKey, 10, -1, "", nil},
		{packageKey, 10, 5, "", nil},
		{packageKey, 10, 0, "", nil},
		{packageKey, 11, -1, "", store.ErrRange},
		{packageKey, 11, 1, "", store.ErrRange},
		{packageKey, 11, 0, "", store.ErrRange},
		{packageKey, -1, 1, "", store.ErrRange},
		{packageKey + ".log.zst", 0, -1, "", nil},
		{packageKey + ".log.zst", 0, 1, "", nil},
		{packageKey + ".log.zst", 1, 1, "", store.ErrRange},
	} {
		checkRange(t, s, test.key, test.offset, test.length, test.want, test.err)
	}
}

func checkRange(t *testing.T, s store.Reader, key string, offset, length int64, want string, wantErr error) {
	t.Helper()
	body, info, err := s.Open(t.Context(), key, offset, length)
	if wantErr != nil {
		if !errors.Is(err, wantErr) {
			t.Errorf("open %d+%d: %v, want %v", offset, length, err, wantErr)
		}
		return
	}
	if err != nil {
		t.Errorf("open %d+%d: %v", offset, length, err)
		return
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil || string(data) != want {
		t.Errorf("open %d+%d: %q, %v; want %q", offset, length, data, err, want)
	}
	if whole, err := s.Stat(t.Context(), key); err != nil || info.Size != whole.Size {
		t.Errorf("open %d+%d tells size %d, stat %d, %v", offset, length, info.Size, whole.Size, err)
	}
}

func testList(t *testing.T, s store.Store) {
	if got := list(t, s, ""); got != nil {
		t.Errorf("an empty store lists %q", got)
	}
	// '-' and '+' sort before '/', so the order of keys is not that of a walk through folders.
	keys := []string{
		"a-b/index.html", "a/b-c/index.html", "a/b/index.html", "a/bc.html", "index.html", packageKey, "packages/b/b.rpm",
		"templates/000001/repodata/repomd.xml",
	}
	for _, key := range slices.Backward(keys) {
		put(t, s, key, key)
	}
	slices.Sort(keys)
	for _, prefix := range []string{
		"", "a", "a/", "a/b", "a/b/", "a-", "index.html", "packages/", "packages/q", "none", "packages/none/", "index.html/",
		"templates/000001/repodata/repomd.xml", "a/b.",
	} {
		var want []string
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		if got := list(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("list %q: %q, want %q", prefix, got, want)
		}
	}
	stop, seen := errors.New("stop"), 0
	err := s.List(t.Context(), "", func(store.Info) error {
		if seen++; seen == 2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || seen != 2 {
		t.Errorf("list went on to %d, %v", seen, err)
	}
	for _, prefix := range []string{"/", "../", "a//b", "a/../b"} {
		if err := s.List(t.Context(), prefix, func(store.Info) error { return nil }); err == nil {
			t.Errorf("list %q succeeded", prefix)
		}
	}
}

func list(t *testing.T, s store.Store, prefix string) (keys []string) {
	t.Helper()
	err := s.List(t.Context(), prefix, func(info store.Info) error {
		if info.Size != int64(len(info.Key)) {
			t.Errorf("list %q: size %d of %q", prefix, info.Size, info.Key)
		}
		keys = append(keys, info.Key)
		return nil
	})
	if err != nil {
		t.Errorf("list %q: %v", prefix, err)
	}
	return keys
}

func testMissing(t *testing.T, s store.Store) {
	checkMissing(t, s, packageKey)
	put(t, s, packageKey, "package")
	checkMissing(t, s, "packages/qubes-template-a")
	checkMissing(t, s, "packages")
	checkMissing(t, s, packageKey+"/x")
}

// pattern is a source of any size that takes no memory.
type pattern int64

func (p pattern) ReadAt(buf []byte, off int64) (int, error) {
	for i := range buf {
		at := off + int64(i)
		if at >= int64(p) {
			return i, io.EOF
		}
		buf[i] = byte(at ^ at>>8 ^ at>>16*7)
	}
	return len(buf), nil
}

func testBig(t *testing.T, s store.Store) {
	const size = 24<<20 + 17
	body, err := store.HashBody(t.Context(), pattern(size), size)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Put(t.Context(), packageKey, body, store.Package); err != nil {
			t.Fatal(err)
		}
	}
	stream, info, err := s.Open(t.Context(), packageKey, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	sum := sha256.New()
	if n, err := io.Copy(sum, stream); n != size || err != nil || info.Size != size {
		t.Errorf("read %d bytes of %d, %v", n, info.Size, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != body.SHA256() {
		t.Errorf("digest %s, want %s", got, body.SHA256())
	}
	part := make([]byte, 1000)
	pattern(size).ReadAt(part, size-500-17)
	checkRange(t, s, packageKey, size-500-17, 517, string(part[:517]), nil)
}

func testLimit(t *testing.T, s store.Store) {
	put(t, s, pageKey, "0123456789")
	if _, _, err := s.Get(t.Context(), pageKey, 10); err != nil {
		t.Errorf("get of 10 bytes with limit 10: %v", err)
	}
	if _, _, err := s.Get(t.Context(), pageKey, 9); err == nil {
		t.Error("get of 10 bytes with limit 9 succeeded")
	}
}

// BadKeys are refused by everything.
var BadKeys = []string{
	"", "/", "/index.html", "index.html/", "a//b.html", ".", "..", "../index.html", "a/../index.html", "a/./b.html", "a/..",
	"a b.html", "a\\b.html", "a%2fb.html", "ä.html", "a\x00b.html", "a\nb.html", "a:b.html", "a?b.html", "a*b.html",
	".tmp-1-1", "a/.tmp-x.html", ".colophon.lock", "a/.colophon.html", strings.Repeat("a", 256) + ".html",
	strings.Repeat("a/", 511) + "index.html",
}

func testKeys(t *testing.T, s store.Store) {
	// What a Fake would call a violation is meant here.
	if fake, ok := s.(*Fake); ok {
		fake.Violation = func(string, ...any) {}
	}
	for _, key := range BadKeys {
		_, _, errGet := s.Get(t.Context(), key, someLimit)
		_, _, errOpen := s.Open(t.Context(), key, 0, -1)
		_, errStat := s.Stat(t.Context(), key)
		errPut := s.Put(t.Context(), key, store.Bytes(nil), store.Page)
		_, errSwap := s.Swap(t.Context(), key, nil, store.Page, "")
		for op, err := range map[string]error{"get": errGet, "open": errOpen, "stat": errStat, "put": errPut, "swap": errSwap} {
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s %q: %v", op, key, err)
			}
		}
	}
	if got := list(t, s, ""); got != nil {
		t.Errorf("stored %q", got)
	}
}

func testKinds(t *testing.T, s store.Store) {
	if fake, ok := s.(*Fake); ok {
		fake.Violation = func(string, ...any) {}
	}
	body := store.Bytes([]byte("x"))
	for key, kind := range map[string]store.Kind{
		"templates/metalink":                   store.Head,
		"templates/latest/repodata/repomd.xml": store.Latest,
		"ledger/checkpoint":                    store.Checkpoint,
		"ledger/commit":                        store.Commit,
		"ledger/policy":                        store.Page,
		packageKey:                             store.Log,
		"unknown":                              store.Page,
	} {
		if err := s.Put(t.Context(), key, body, kind); err == nil {
			t.Errorf("put of %q as %s succeeded", key, kind)
		}
	}
	for key, kind := range map[string]store.Kind{
		packageKey:                             store.Package,
		"templates/000001/repodata/repomd.xml": store.Metadata,
		"ledger/key.vkey":                      store.VKey,
		"ledger/commit":                        store.Checkpoint,
	} {
		if _, err := s.Swap(t.Context(), key, []byte("x"), kind, ""); err == nil {
			t.Errorf("swap of %q as %s succeeded", key, kind)
		}
	}
	if got := list(t, s, ""); got != nil {
		t.Errorf("stored %q", got)
	}
}

// cancelingSource cancels when it has been read to a third.
type cancelingSource struct {
	pattern
	cancel context.CancelFunc
}

func (c cancelingSource) ReadAt(p []byte, off int64) (int, error) {
	if off > int64(c.pattern)/3 {
		c.cancel()
	}
	return c.pattern.ReadAt(p, off)
}

func testCancel(t *testing.T, s store.Store) {
	const size = 8 << 20
	whole, err := store.HashBody(t.Context(), pattern(size), size)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body, err := store.NewBody(cancelingSource{size, cancel}, size, whole.SHA256())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, packageKey, body, store.Package); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v, want context.Canceled", err)
	}
	checkMissing(t, s, packageKey)
	if err := s.Put(t.Context(), packageKey, whole, store.Package); err != nil {
		t.Errorf("put again: %v", err)
	}

	_, errSwap := swap(s, ctx, "x", "")
	_, _, errGet := s.Get(ctx, packageKey, size)
	_, errStat := s.Stat(ctx, packageKey)
	_, _, errOpen := s.Open(ctx, packageKey, 0, -1)
	errList := s.List(ctx, "", func(store.Info) error { return nil })
	errPut := s.Put(ctx, packageKey, whole, store.Package)
	for op, err := range map[string]error{
		"swap": errSwap, "get": errGet, "stat": errStat, "open": errOpen, "list": errList, "put": errPut,
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", op, err)
		}
	}
	checkMissing(t, s, "ledger/commit")
}

const (
	vkeyA = "example.org/ledger+01234567+AAAA"
	vkeyB = "example.org/ledger+89abcdef+BBBB"
)

func testClaim(t *testing.T, s store.Store) {
	if _, err := store.Owner(t.Context(), s); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("owner of an empty store: %v", err)
	}
	if err := store.CheckClaim(t.Context(), s, vkeyA); err != nil {
		t.Errorf("check of an empty store: %v", err)
	}
	checkMissing(t, s, store.VKeyKey)
	won, err := race(
		func(i int) error { return store.Claim(t.Context(), s, []string{vkeyA, vkeyB}[i%2]) },
		func(err error) bool { var claimed *store.ClaimedError; return errors.As(err, &claimed) },
	)
	if err != nil || len(won) != writers/2 {
		t.Errorf("winners %v, %v; want half", won, err)
	}
	mine, other := vkeyA, vkeyB
	if len(won) > 0 && won[0]%2 == 1 {
		mine, other = other, mine
	}
	if owner, err := store.Owner(t.Context(), s); err != nil || owner != mine {
		t.Errorf("owner %q, %v; want %q", owner, err, mine)
	}
	check(t, s, store.VKeyKey, mine+"\n")
	put(t, s, packageKey, "package")
	if err := store.Claim(t.Context(), s, mine+"\n"); err != nil {
		t.Errorf("second claim: %v", err)
	}
	var claimed *store.ClaimedError
	if err := store.Claim(t.Context(), s, other); !errors.As(err, &claimed) || claimed.Found != mine {
		t.Errorf("claim of another's store: %v", err)
	}
}
