package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
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
