package store_test

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"colophon/publish/store"
	"colophon/publish/store/storetest"
)

func TestKinds(t *testing.T) {
	const gz = "0000000000000000000000000000000000000000000000000000000000000000-primary.xml.gz"
	const forever, minutes, never = "public, max-age=31536000, immutable", "public, max-age=300", "no-cache"
	const text = "text/plain; charset=utf-8"
	for _, test := range []struct {
		key         string
		kind        store.Kind
		contentType string
		cache       string
	}{
		{"packages/a/a-1-1.noarch.rpm", store.Package, "application/x-rpm", forever},
		{"packages/a/a-1-1.noarch.rpm.log.zst", store.Log, "application/zstd", forever},
		{"packages/a/a-1-1.noarch.rpm.record.json", store.Record, "application/json", forever},
		{"packages/a/a-1-1.noarch.rpm.tlog-proof", store.Proof, text, forever},
		{"templates/000001/repodata/repomd.xml", store.Metadata, "application/xml", forever},
		{"templates/000001/repodata/repomd.xml.asc", store.Metadata, "application/pgp-signature", forever},
		{"templates/000001/repodata/repomd.xml.key", store.Metadata, "application/pgp-keys", forever},
		{"templates/000001/repodata/" + gz, store.Metadata, "application/gzip", forever},
		{"templates/1000001/repodata/repomd.xml", store.Metadata, "application/xml", forever},
		{"templates/000001-2/repodata/repomd.xml", store.Metadata, "application/xml", forever},
		{"templates/latest/repodata/repomd.xml", store.Latest, "application/xml", never},
		{"templates/latest/repodata/" + gz, store.Latest, "application/gzip", never},
		{"templates/metalink", store.Head, "application/metalink+xml", never},
		{"templates/templates.repo", store.RepoFile, text, minutes},
		{"keys/0123456789ABCDEF0123456789ABCDEF01234567.asc", store.PublicKey, "application/pgp-keys", minutes},
		{"ledger/checkpoint", store.Checkpoint, text, never},
		{"ledger/commit", store.Commit, text, never},
		{"ledger/key.vkey", store.VKey, text, minutes},
		{"ledger/policy", store.Policy, text, minutes},
		{"ledger/tile/0/x001/067.p/5", store.Tile, "application/octet-stream", forever},
		{"ledger/tile/entries/000", store.Tile, "application/octet-stream", forever},
		{"ledger/staging/abc", store.Staging, "application/octet-stream", forever},
		{"ledger/blobs/abc", store.Blob, "application/octet-stream", forever},
		{"index.html", store.Page, "text/html; charset=utf-8", minutes},
		{"templates/index.html", store.Page, "text/html; charset=utf-8", minutes},
		{"assets/audit.wasm", store.Page, "application/wasm", minutes},
		{".selftest/abc/a", store.SelfTest, "application/octet-stream", never},
	} {
		kind, ok := store.KindOf(test.key)
		if !ok || kind != test.kind {
			t.Errorf("%s is a %s, %t; want %s", test.key, kind, ok, test.kind)
		}
		if got := kind.ContentType(test.key); got != test.contentType {
			t.Errorf("%s has content type %q, want %q", test.key, got, test.contentType)
		}
		if got := kind.CacheControl(); got != test.cache {
			t.Errorf("%s has cache control %q, want %q", test.key, got, test.cache)
		}
		if kind.Immutable() != (test.cache == forever || kind == store.VKey) {
			t.Errorf("%s is immutable: %t", kind, kind.Immutable())
		}
	}
	for _, key := range []string{
		"packages/a.rpm", "packages/a/b/a.rpm", "packages/a/.rpm", "packages/a/a.deb", "packages/index.html",
		"templates/00001/repodata/repomd.xml", "templates/000001/repomd.xml", "templates/000001-/repodata/repomd.xml",
		"templates/000001/index.html", "templates/latest/repodata/a/b", "templates/other.repo", "templates/metalink/x",
		"ledger/other", "ledger/index.html", "ledger/staging/a/b", "ledger/tile", "keys/a/b.asc", "keys/index.html",
		"metalink", "README", ".selftest", "../index.html",
	} {
		if kind, ok := store.KindOf(key); ok {
			t.Errorf("%s is a %s, want nothing", key, kind)
		}
	}
}

func FuzzCheckKey(f *testing.F) {
	for _, key := range storetest.BadKeys {
		f.Add(key)
	}
	f.Add("packages/qubes-template-a/qubes-template-a-4.3.0~rc1^1-1.noarch.rpm")
	f.Add("ledger/tile/0/x001/067.p/5")
	f.Fuzz(func(t *testing.T, key string) {
		kind, known := store.KindOf(key)
		if store.CheckKey(key) != nil {
			if known {
				t.Errorf("%q is refused and a %s", key, kind)
			}
			return
		}
		if !fs.ValidPath(key) || path.Clean("/"+key) != "/"+key || key == "." || len(key) > 1024 {
			t.Errorf("%q is accepted", key)
		}
		joined := filepath.Join("/root", filepath.FromSlash(key))
		if back, err := filepath.Rel("/root", joined); err != nil || filepath.ToSlash(back) != key {
			t.Errorf("%q becomes %q, %v", key, joined, err)
		}
		if strings.ContainsAny(key, "%?#:\\ \"'<>") {
			t.Errorf("%q is accepted", key)
		}
	})
}

func TestParseAddress(t *testing.T) {
	for _, test := range []struct{ line, scheme, path string }{
		{"file:public", "file", "public"},
		{"file:./public/", "file", "public"},
		{"file:/srv/public", "file", "/srv/public"},
		{"file:///srv/public", "file", "/srv/public"},
		{"FILE:public", "file", "public"},
		{"file:a b%20c", "file", "a b%20c"},
		{"file:../public", "file", "../public"},
		{"public", "file", "public"},
		{"/srv/public", "file", "/srv/public"},
		{"./a:b", "file", "a:b"},
		{"http://127.0.0.1:8484", "http", ""},
		{"https://example.org/pub/", "https", ""},
		{"s3://bucket/prefix?region=x", "s3", ""},
	} {
		a, err := store.ParseAddress(test.line)
		if err != nil || a.Scheme != test.scheme || a.Path != test.path || a.Line != test.line {
			t.Errorf("%q is %+v, %v", test.line, a, err)
		}
	}
	for _, line := range []string{
		"", "file:", "file://", "file://host/path", "file://host", "http:", "http://", "http:/x", "s3:bucket", "ftp://x/",
		"file:a\nb", "file:a\x00", "C:\\x", "file:\xff",
	} {
		a, err := store.ParseAddress(line)
		if err == nil {
			t.Errorf("%q is %+v, want an error", line, a)
			continue
		}
		if h, ok := err.(interface{ Hint() string }); !ok || h.Hint() == "" {
			t.Errorf("%q: %v has no hint", line, err)
		}
	}
}

func TestOpenAddresses(t *testing.T) {
	base := t.TempDir()
	options := store.Options{Base: base}
	s, err := store.Open("file:public", options)
	if err != nil || s.Address() != "file:"+filepath.Join(base, "public") {
		t.Errorf("open: %v, %v", s, err)
	}
	if s, err := store.Open("file:/srv/none", options); err != nil || s.Address() != "file:/srv/none" {
		t.Errorf("open of an absolute path: %v, %v", s, err)
	}
	for _, line := range []string{"s3://bucket/prefix", "https://example.org/", "gopher://x"} {
		if _, err := store.Open(line, options); hint(err) == "" {
			t.Errorf("open %q: %v", line, err)
		}
	}
	for _, line := range []string{"s3://bucket/prefix", "file:public", "public"} {
		if _, err := store.OpenReader(line, options); hint(err) == "" {
			t.Errorf("read %q: %v", line, err)
		}
	}
	for _, line := range []string{"file:" + base, base, ".", "http://example.org/pub", "https://example.org"} {
		if _, err := store.OpenReader(line, options); err != nil {
			t.Errorf("read %q: %v", line, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, line := range []string{"file:public", "file:///srv", "https://example.org/x", "s3://b/p?x=y", "public", "x:", "file://h/p"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		a, err := store.ParseAddress(line)
		if err != nil {
			return
		}
		if a.Line != line || (a.Scheme == "file") != (a.Path != "") {
			t.Errorf("%q is %+v", line, a)
		}
		if a.Scheme != "file" {
			return
		}
		again, err := store.ParseAddress("file:" + a.Path)
		if err != nil || again.Path != a.Path {
			t.Errorf("%q is %+v, and its path %+v, %v", line, a, again, err)
		}
	})
}
