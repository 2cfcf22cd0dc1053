package storetest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"colophon/publish/store"
	"colophon/publish/store/storetest"
)

const rpm = "packages/a/a-1-1.noarch.rpm"

// TestViolations: each broken rule is told and refused.
func TestViolations(t *testing.T) {
	ctx := t.Context()
	put := func(f *storetest.Fake, key, data string) error {
		kind, _ := store.KindOf(key)
		return f.Put(ctx, key, store.Bytes([]byte(data)), kind)
	}
	swap := func(f *storetest.Fake, key, data string) error {
		kind, _ := store.KindOf(key)
		_, err := f.Swap(ctx, key, []byte(data), kind, "")
		return err
	}
	const head = "<url>http://localhost/templates/000001/repodata/repomd.xml</url>"
	for name, run := range map[string]func(f *storetest.Fake) error{
		"put of a head":             func(f *storetest.Fake) error { return put(f, "templates/metalink", head) },
		"swap of a package":         func(f *storetest.Fake) error { return swap(f, rpm, "x") },
		"wrong kind":                func(f *storetest.Fake) error { return f.Put(ctx, rpm, store.Body{}, store.Log) },
		"head without snapshot":     func(f *storetest.Fake) error { return swap(f, "templates/metalink", head) },
		"head that names nothing":   func(f *storetest.Fake) error { return swap(f, "templates/metalink", "<metalink/>") },
		"checkpoint without commit": func(f *storetest.Fake) error { return swap(f, "ledger/checkpoint", "x") },
		"signature without ledger":  func(f *storetest.Fake) error { return put(f, "templates/000001/repodata/repomd.xml.asc", "x") },
		"folder of an object": func(f *storetest.Fake) error {
			put(f, "a.html", "x")
			return put(f, "a.html/b.html", "x")
		},
		"rule of the test": func(f *storetest.Fake) error {
			f.Rules = append(f.Rules, func(w storetest.Write, has func(string) bool) error {
				if !has(rpm) {
					return fmt.Errorf("no %s before %s", rpm, w.Key)
				}
				return nil
			})
			return put(f, "index.html", "x")
		},
	} {
		var told []string
		f := &storetest.Fake{Violation: func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }}
		if err := run(f); err == nil || len(told) != 1 {
			t.Errorf("%s: %v, told %q", name, err, told)
		}
	}

	// The right order is no violation.
	f := storetest.NewFake(t)
	for _, err := range []error{
		put(f, rpm, "x"), swap(f, "ledger/commit", "c"), swap(f, "ledger/checkpoint", "c"),
		put(f, "templates/000001/repodata/repomd.xml.asc", "x"), put(f, "templates/000001/repodata/repomd.xml", "x"),
		swap(f, "templates/metalink", head), put(f, rpm, "x"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	var order []string
	for _, w := range f.Writes() {
		order = append(order, w.Op+" "+w.Key)
	}
	if len(order) != 6 || order[5] != "swap templates/metalink" {
		t.Errorf("writes %q", order)
	}
	f.Tamper(rpm, []byte("tampered"))
	f.Tamper("ledger/commit", nil)
	if all := f.Objects(); string(all[rpm]) != "tampered" || all["ledger/commit"] != nil {
		t.Errorf("objects %q", all)
	}
}

func TestFaults(t *testing.T) {
	fault := errors.New("fault")
	ctx := t.Context()
	for _, apply := range []bool{false, true} {
		f := storetest.NewFake(t)
		var ops []string
		f.Fault = func(op, key string) (bool, error) {
			ops = append(ops, op)
			return apply, fault
		}
		errPut := f.Put(ctx, rpm, store.Bytes([]byte("x")), store.Package)
		_, errSwap := f.Swap(ctx, "ledger/commit", []byte("c"), store.Commit, "")
		_, _, errGet := f.Get(ctx, rpm, 10)
		_, _, errOpen := f.Open(ctx, rpm, 0, -1)
		_, errStat := f.Stat(ctx, rpm)
		errList := f.List(ctx, "", func(store.Info) error { return nil })
		for op, err := range []error{errPut, errSwap, errGet, errOpen, errStat, errList} {
			if !errors.Is(err, fault) {
				t.Errorf("operation %d: %v", op, err)
			}
		}
		if got := strings.Join(ops, " "); got != "put swap get open stat list" {
			t.Errorf("operations %s", got)
		}
		f.Fault = nil
		for _, key := range []string{rpm, "ledger/commit"} {
			if _, err := f.Stat(ctx, key); apply && err != nil || !apply && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("applied %t: %s: %v", apply, key, err)
			}
		}
	}
}
