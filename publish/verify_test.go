package publish

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"colophon/publish/store"
)

// With verify: public a publish believes only what comes back through site.url:
// a server that alters, loses or withholds an object stops it before the switch.
func TestVerifyThroughTheSite(t *testing.T) {
	s := newSite(t, keysFolder(t))
	var spoil func(key string, w http.ResponseWriter) bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if spoil != nil && spoil(r.URL.Path, w) {
			return
		}
		tree, err := store.Tree(filepath.Join(s.dir, "public"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		store.Handler(tree).ServeHTTP(w, r)
	}))
	defer server.Close()
	config := filepath.Join(s.dir, "colophon.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "colophon.yaml", strings.Replace(string(text), "http://127.0.0.1:1", server.URL, 1)+"verify: public\n")
	o := s.options(t)
	o.Store = nil
	head := filepath.Join(s.dir, "public", "templates", "metalink")

	for name, c := range map[string]func(key string, w http.ResponseWriter) bool{
		"altered package": func(key string, w http.ResponseWriter) bool {
			if !strings.HasSuffix(key, ".rpm") {
				return false
			}
			w.Write(bytes.Repeat([]byte("x"), 5000))
			return true
		},
		"lost log": func(key string, w http.ResponseWriter) bool {
			if strings.HasSuffix(key, ".log.zst") {
				w.WriteHeader(http.StatusNotFound)
			}
			return strings.HasSuffix(key, ".log.zst")
		},
		"old signature": func(key string, w http.ResponseWriter) bool {
			if strings.HasSuffix(key, "repomd.xml.asc") {
				w.Write([]byte("-----BEGIN PGP SIGNATURE-----\n"))
			}
			return strings.HasSuffix(key, "repomd.xml.asc")
		},
	} {
		spoil = c
		var verify *VerifyError
		if _, err := Run(t.Context(), o); !errors.As(err, &verify) || verify.Hint() == "" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(head); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the head was switched: %v", name, err)
		}
	}
	spoil = nil
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(head); err != nil || len(r.Published) != 2 || r.Audit != server.URL {
		t.Errorf("%v, %+v", err, r)
	}
	server.Close()
	s.template(t, "a", "2")
	var unreachable *store.UnreachableError
	if _, err := Run(t.Context(), o); !errors.As(err, &unreachable) {
		t.Errorf("no server: %v", err)
	}
}
