package store_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"colophon/mirror/disk"
	"colophon/publish/store"
	"colophon/publish/store/storetest"
)

func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := store.Open("file:public", store.Options{Base: dir})
	if err != nil {
		panic(err)
	}
	if err := store.Claim(ctx, s, "example.org/ledger+01234567+AAAA"); err != nil {
		panic(err)
	}
	key := "packages/qubes-template-a/qubes-template-a-4.3.0-1.noarch.rpm"
	fmt.Println(s.Put(ctx, key, store.Bytes([]byte("package")), store.Package))
	fmt.Println(s.Put(ctx, key, store.Bytes([]byte("other")), store.Package))
	_, err = s.Swap(ctx, "ledger/commit", []byte("checkpoint"), store.Commit, "stale")
	fmt.Println(err)
	// Output:
	// <nil>
	// "packages/qubes-template-a/qubes-template-a-4.3.0-1.noarch.rpm" is already stored with other content
	// swap "ledger/commit": the object was changed by somebody else
}

func newFile(t testing.TB, d disk.Disk) *store.File {
	t.Helper()
	s, err := store.NewFile(filepath.Join(t.TempDir(), "public"), d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFile(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return newFile(t, disk.Disk{}) })
}

func TestFake(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return storetest.NewFake(t) })
}

// webStore writes into a folder and reads what Handler makes of it.
type webStore struct {
	*store.File
	web *store.HTTP
}

func (w webStore) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, store.Info, error) {
	return w.web.Open(ctx, key, offset, length)
}

func (w webStore) Stat(ctx context.Context, key string) (store.Info, error) {
	return w.web.Stat(ctx, key)
}

func (w webStore) Get(ctx context.Context, key string, limit int64) ([]byte, store.Tag, error) {
	data, _, err := w.web.Get(ctx, key, limit)
	if err != nil {
		return nil, "", err
	}
	file, tag, err := w.File.Get(ctx, key, limit) // only the folder has tags
	if err == nil && len(file) != len(data) {
		err = fmt.Errorf("the web has %d bytes, the folder %d", len(data), len(file))
	}
	return data, tag, err
}

func TestHandlerAndHTTP(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		file := newFile(t, disk.Disk{})
		if err := os.Mkdir(file.Root(), 0o755); err != nil {
			t.Fatal(err)
		}
		tree, err := store.Tree(file.Root())
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(store.Handler(tree))
		t.Cleanup(server.Close)
		web, err := store.NewHTTP(server.URL, store.HTTPOptions{Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		return webStore{file, web}
	})
}
