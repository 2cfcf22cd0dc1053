package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"colophon/publish/store"
)

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
