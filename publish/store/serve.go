package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// Handler serves a public tree as object storage would: GET and HEAD of keys, with ranges, and with the content types
// and cache headers of the kinds. Names that are no keys, also such that a server would have to normalize, are not
// found; folders are not listed; only "/" shows index.html. Files of the tree must be io.ReadSeekers, as those of Tree.
func Handler(tree fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		key, _ := strings.CutPrefix(r.URL.Path, "/")
		if key == "" {
			key = "index.html"
		}
		if err := serveObject(w, r, tree, key); errors.Is(err, fs.ErrNotExist) {
			http.Error(w, "not found", http.StatusNotFound)
		} else if err != nil {
			http.Error(w, "the object cannot be read", http.StatusInternalServerError)
		}
	})
}

func serveObject(w http.ResponseWriter, r *http.Request, tree fs.FS, key string) error {
	if CheckKey(key) != nil {
		return fs.ErrNotExist
	}
	file, err := tree.Open(key)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fs.ErrNotExist
	}
	content, ok := file.(io.ReadSeeker)
	if !ok {
		return errors.ErrUnsupported
	}
	kind, ok := KindOf(key)
	if !ok {
		kind = other
	}
	modified := info.ModTime()
	tag := fmt.Sprintf(`"%x-%x"`, info.Size(), modified.UnixNano())
	if !kind.Immutable() {
		// Two versions can be written within the resolution of a date, so only content tells them apart.
		modified = time.Time{}
		sum := sha256.New()
		if _, err := io.Copy(sum, &contextReader{r.Context(), content}); err != nil {
			return err
		}
		if _, err := content.Seek(0, io.SeekStart); err != nil {
			return err
		}
		tag = fmt.Sprintf(`"%x"`, sum.Sum(nil))
	}
	header := w.Header()
	header.Set("Content-Type", kind.ContentType(key))
	header.Set("Cache-Control", kind.CacheControl())
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("ETag", tag)
	http.ServeContent(w, r, key, modified, content)
	return nil
}

// ServeOptions say what to serve and where.
type ServeOptions struct {
	Address string       // host:port, as 127.0.0.1:8484; port 0 chooses a free one
	Tree    fs.FS        // see Tree
	Log     *slog.Logger // gets each request at level debug; nil for none
	// Ready, when not nil, is called once the server answers, with the address it listens on.
	Ready func(net.Addr)
}

// Serve answers requests until ctx is done, lets those under way end for five seconds, and returns nil. It prints
// nothing. The tree may change meanwhile.
func Serve(ctx context.Context, options ServeOptions) error {
	log := options.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.Address)
	if err != nil {
		return &hinted{fmt.Errorf("serve: %w", err), "choose another address with -address=HOST:PORT, or end what runs there"}
	}
	handler := Handler(options.Tree)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
			handler.ServeHTTP(answer, r)
			log.DebugContext(r.Context(), "served", "method", r.Method, "path", r.URL.Path,
				"range", r.Header.Get("Range"), "status", answer.status)
		}),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if options.Ready != nil {
		options.Ready(listener.Addr())
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if server.Shutdown(grace) != nil {
		server.Close()
	}
	<-failed
	return nil
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap keeps sendfile and flushing working.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
