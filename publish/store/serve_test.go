package store_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"colophon/publish/store"
)

func servedTree(t *testing.T) (dir string, h http.Handler) {
	t.Helper()
	top := t.TempDir()
	dir = filepath.Join(top, "public")
	for path, data := range map[string]string{
		"secret":                                "secret",
		"public/" + rpm:                         "0123456789",
		"public/templates/metalink":             "<metalink/>",
		"public/ledger/checkpoint":              "checkpoint",
		"public/.colophon.lock":                 "1",
		"public/packages/a/.tmp-1-1":            "half",
		"public/foreign":                        "?",
		"public/templates/000001/repodata/x.gz": "gz",
		"public/odd name":                       "?",
	} {
		writeFile(t, filepath.Join(top, path), data)
	}
	if err := os.Symlink("../../secret", filepath.Join(dir, "packages", "link.html")); err != nil {
		t.Fatal(err)
	}
	tree, err := store.Tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, store.Handler(tree)
}

func get(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost/", nil)
	r.URL.Path, _, _ = strings.Cut(path, "?")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	dir, h := servedTree(t)
	for _, test := range []struct {
		method, path string
		header       []string
		status       int
		body         string
	}{
		{"GET", "/" + rpm, nil, 200, "0123456789"},
		{"HEAD", "/" + rpm, nil, 200, ""},
		{"GET", "/" + rpm, []string{"Range", "bytes=3-6"}, 206, "3456"},
		{"GET", "/" + rpm, []string{"Range", "bytes=-2"}, 206, "89"},
		{"GET", "/" + rpm, []string{"Range", "bytes=20-"}, 416, "*"},
		{"GET", "/templates/metalink", nil, 200, "<metalink/>"},
		{"GET", "/foreign", nil, 200, "?"},
		{"POST", "/" + rpm, nil, 405, "*"},
		{"PUT", "/x.html", nil, 405, "*"},
		{"DELETE", "/" + rpm, nil, 405, "*"},
		{"GET", "/", nil, 404, "*"}, // no index.html yet
		{"GET", "/none", nil, 404, "*"},
		{"GET", "/packages", nil, 404, "*"},
		{"GET", "/packages/", nil, 404, "*"},
		{"GET", "/packages/a/", nil, 404, "*"},
		{"GET", "/" + rpm + "/", nil, 404, "*"},
		{"GET", "/" + rpm + "/x", nil, 404, "*"},
		{"GET", "/.colophon.lock", nil, 404, "*"},
		{"GET", "/packages/a/.tmp-1-1", nil, 404, "*"},
		{"GET", "/packages/link.html", nil, 500, "*"},
		{"GET", "/odd name", nil, 404, "*"},
		{"GET", "/../secret", nil, 404, "*"},
		{"GET", "/packages/../../secret", nil, 404, "*"},
		{"GET", "/packages/../" + rpm, nil, 404, "*"},
		{"GET", "//" + rpm, nil, 404, "*"},
		{"GET", "/..\\secret", nil, 404, "*"},
		{"GET", "/\x00", nil, 404, "*"},
		{"GET", "", nil, 404, "*"},
	} {
		w := get(h, test.method, test.path, test.header...)
		if w.Code != test.status || test.body != "*" && w.Body.String() != test.body || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s %q %q: %d %q, want %d %q", test.method, test.path, test.header, w.Code, w.Body, test.status, test.body)
		}
	}
	writeFile(t, filepath.Join(dir, "index.html"), "welcome")
	if w := get(h, "GET", "/"); w.Code != 200 || w.Body.String() != "welcome" {
		t.Errorf("/: %d %q", w.Code, w.Body)
	}
}

func TestHandlerHeaders(t *testing.T) {
	dir, h := servedTree(t)
	for path, want := range map[string][2]string{
		rpm:                              {"application/x-rpm", "public, max-age=31536000, immutable"},
		"templates/metalink":             {"application/metalink+xml", "no-cache"},
		"ledger/checkpoint":              {"text/plain; charset=utf-8", "no-cache"},
		"templates/000001/repodata/x.gz": {"application/gzip", "public, max-age=31536000, immutable"},
		"foreign":                        {"application/octet-stream", "no-cache"},
	} {
		header := get(h, "GET", "/"+path).Header()
		if got := [2]string{header.Get("Content-Type"), header.Get("Cache-Control")}; got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		if header.Get("Content-Encoding") != "" || header.Get("ETag") == "" {
			t.Errorf("%s: %v", path, header)
		}
		if again := get(h, "GET", "/"+path, "If-None-Match", header.Get("ETag")); again.Code != 304 {
			t.Errorf("%s: %d to its own tag", path, again.Code)
		}
	}
	// A head that changes twice within the resolution of file times is still told apart.
	metalink := filepath.Join(dir, "templates/metalink")
	before := get(h, "GET", "/templates/metalink").Header()
	info, err := os.Stat(metalink)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, metalink, "<METALINK/>")
	if err := os.Chtimes(metalink, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	w := get(h, "GET", "/templates/metalink", "If-None-Match", before.Get("ETag"))
	if w.Code != 200 || w.Header().Get("Last-Modified") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestHandlerChecksItself: a tree that is less careful than Tree shows no more.
func TestHandlerChecksItself(t *testing.T) {
	tree := fstest.MapFS{
		".colophon.lock":  {Data: []byte("x")},
		"a/.tmp-1-1":      {Data: []byte("x")},
		"odd name":        {Data: []byte("x")},
		"a/b/c":           {Data: []byte("x")},
		"templates/other": {Data: []byte("fine")},
	}
	h := store.Handler(tree)
	for path, status := range map[string]int{
		"/.colophon.lock": 404, "/a/.tmp-1-1": 404, "/odd name": 404, "/a/b": 404, "/.": 404, "/templates/other": 200,
	} {
		if w := get(h, "GET", path); w.Code != status {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
}

func TestTreeMissing(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "file"), "")
	for _, name := range []string{"none", "file"} {
		if _, err := store.Tree(filepath.Join(dir, name)); hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServe(t *testing.T) {
	dir, _ := servedTree(t)
	tree, err := store.Tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log bytes.Buffer
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- store.Serve(ctx, store.ServeOptions{
			Address: "127.0.0.1:0", Tree: tree, Ready: func(a net.Addr) { ready <- a },
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
	}()
	var address string
	select {
	case a := <-ready:
		address = a.String()
	case err := <-ended:
		t.Fatal(err)
	}
	reader, err := store.NewHTTP("http://"+address, store.HTTPOptions{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	if data, _, err := reader.Get(ctx, rpm, 100); err != nil || string(data) != "0123456789" {
		t.Errorf("got %q, %v", data, err)
	}
	// Raw, because clients normalize what they are told.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET /packages/../../secret HTTP/1.0\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), " 404 ") || strings.Contains(string(answer), "secret") {
		t.Errorf("got %q, %v", answer, err)
	}
	conn.Close()
	if err := store.Serve(ctx, store.ServeOptions{Address: address, Tree: tree}); hint(err) == "" {
		t.Errorf("second server: %v", err)
	}

	// A download under way is not cut off by the end.
	body, _, err := reader.Open(ctx, rpm, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the server does not end")
	}
	body.Close()
	if !strings.Contains(log.String(), "path=/"+rpm) || !strings.Contains(log.String(), "status=404") {
		t.Errorf("logged %s", log.String())
	}
}
