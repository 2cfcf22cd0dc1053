package storetest

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"colophon/publish/store"
)

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
