package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"colophon/publish/store"
)

const object = "ledger/checkpoint"

// web starts a server and gives a reader of it.
func web(t *testing.T, options store.HTTPOptions, f http.HandlerFunc) *store.HTTP {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	if options.Pause == 0 {
		options.Pause = time.Millisecond
	}
	h, err := store.NewHTTP(server.URL+"/pub/", options)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func isUnreachable(err error) bool {
	var u *store.UnreachableError
	return errors.As(err, &u) && u.Address != "" && hint(err) != ""
}

func TestHTTPStatus(t *testing.T) {
	for _, test := range []struct {
		status, requests int
		check            func(error) bool
	}{
		{200, 1, func(err error) bool { return err == nil }},
		{404, 1, func(err error) bool { return errors.Is(err, fs.ErrNotExist) && !isUnreachable(err) }},
		{410, 1, func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
		{403, 1, func(err error) bool { return err != nil && !errors.Is(err, fs.ErrNotExist) && !isUnreachable(err) }},
		{204, 1, func(err error) bool { return err != nil && !isUnreachable(err) }},
		{429, 3, isUnreachable},
		{500, 3, isUnreachable},
		{503, 3, isUnreachable},
	} {
		var requests atomic.Int32
		h := web(t, store.HTTPOptions{}, func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			if r.URL.Path != "/pub/"+object {
				t.Errorf("asked for %q", r.URL.Path)
			}
			w.WriteHeader(test.status)
		})
		_, _, err := h.Get(t.Context(), object, 10)
		if !test.check(err) || int(requests.Load()) != test.requests {
			t.Errorf("%d: %v after %d requests", test.status, err, requests.Load())
		}
		requests.Store(0)
		if test.status == 204 {
			continue // as good as 200 where there is no body anyway
		}
		if _, err := h.Stat(t.Context(), object); !test.check(err) || int(requests.Load()) != test.requests {
			t.Errorf("stat %d: %v after %d requests", test.status, err, requests.Load())
		}
	}
}

func TestHTTPComesBack(t *testing.T) {
	var requests atomic.Int32
	h := web(t, store.HTTPOptions{}, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) < 3 {
			w.WriteHeader(502)
			return
		}
		io.WriteString(w, "hello")
	})
	if data, _, err := h.Get(t.Context(), object, 10); err != nil || string(data) != "hello" {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestHTTPNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	h, err := store.NewHTTP(server.URL, store.HTTPOptions{Pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Get(t.Context(), object, 10); !isUnreachable(err) {
		t.Errorf("got %v", err)
	}
}

func TestHTTPLimit(t *testing.T) {
	for _, flush := range []bool{false, true} { // true: without Content-Length
		h := web(t, store.HTTPOptions{}, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "0123456789")
			if flush {
				w.(http.Flusher).Flush()
			}
		})
		if _, _, err := h.Get(t.Context(), object, 10); err != nil {
			t.Errorf("limit 10: %v", err)
		}
		if _, _, err := h.Get(t.Context(), object, 9); err == nil || isUnreachable(err) {
			t.Errorf("limit 9: %v", err)
		}
	}
}

func TestHTTPTruncated(t *testing.T) {
	for name, header := range map[string]string{
		"length": "Content-Length: 100\r\n\r\nshort",
		"chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
	} {
		h := web(t, store.HTTPOptions{Retries: -1}, func(w http.ResponseWriter, r *http.Request) {
			conn, buffer, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			buffer.WriteString("HTTP/1.1 200 OK\r\n" + header)
			buffer.Flush()
			conn.Close()
		})
		if data, _, err := h.Get(t.Context(), object, 1000); !isUnreachable(err) || data != nil {
			t.Errorf("%s: got %q, %v", name, data, err)
		}
		body, _, err := h.Open(t.Context(), object, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(body)
		if string(data) != "short" || !isUnreachable(err) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: read %q, %v", name, data, err)
		}
		body.Close()
	}
}

func TestHTTPHangs(t *testing.T) {
	for _, where := range []string{"headers", "body"} {
		release := make(chan struct{})
		h := web(t, store.HTTPOptions{Timeout: 50 * time.Millisecond, Retries: -1}, func(w http.ResponseWriter, r *http.Request) {
			if where == "body" {
				io.WriteString(w, "begin")
				w.(http.Flusher).Flush()
			}
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
		if _, _, err := h.Get(t.Context(), object, 10); !isUnreachable(err) {
			t.Errorf("%s: %v", where, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, _, err := h.Get(ctx, object, 10); !errors.Is(err, context.DeadlineExceeded) || isUnreachable(err) {
			t.Errorf("%s: the caller gave up: %v", where, err)
		}
		cancel()
		close(release)
	}
}

// TestHTTPSlowReader: only the server's time counts.
func TestHTTPSlowReader(t *testing.T) {
	h := web(t, store.HTTPOptions{Timeout: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "0123456789")
	})
	body, _, err := h.Open(t.Context(), object, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	io.ReadFull(body, make([]byte, 5))
	time.Sleep(120 * time.Millisecond)
	if data, err := io.ReadAll(body); err != nil || string(data) != "56789" {
		t.Errorf("read %q, %v", data, err)
	}
}

func TestHTTPRedirects(t *testing.T) {
	h := web(t, store.HTTPOptions{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/pub/index.html":
			http.Redirect(w, r, "/moved", http.StatusFound)
		case "/moved":
			io.WriteString(w, "moved")
		case "/pub/loop.html":
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		default:
			http.Redirect(w, r, "https://"+r.Host+"/", http.StatusMovedPermanently)
		}
	})
	if data, _, err := h.Get(t.Context(), "index.html", 10); err != nil || string(data) != "moved" {
		t.Errorf("got %q, %v", data, err)
	}
	for _, key := range []string{"loop.html", object} {
		if _, _, err := h.Get(t.Context(), key, 10); err == nil || isUnreachable(err) || hint(err) == "" {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestHTTPRangeAnswers tries servers that answer ranges in their own way.
func TestHTTPRangeAnswers(t *testing.T) {
	const data = "0123456789"
	partial := func(header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", header)
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		serve          http.HandlerFunc
		offset, length int64
		want           string
		err            func(error) bool
	}{
		"ignored":      {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, data) }, 3, 4, "3456", nil},
		"ignored tail": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, data) }, 8, 40, "89", nil},
		"ignored without length": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, data)
			w.(http.Flusher).Flush()
		}, 8, 40, "89", nil},
		"ignored, behind": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, data) }, 11, 4, "",
			func(err error) bool { return errors.Is(err, store.ErrRange) }},
		"ignored without length, behind": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, data)
			w.(http.Flusher).Flush()
		}, 11, 4, "", func(err error) bool { return errors.Is(err, store.ErrRange) }},
		"right":        {partial("bytes 3-6/10", "3456"), 3, 4, "3456", nil},
		"other offset": {partial("bytes 2-5/10", "2345"), 3, 4, "", func(err error) bool { return err != nil }},
		"too short":    {partial("bytes 3-4/10", "34"), 3, 4, "", func(err error) bool { return err != nil }},
		"too long":     {partial("bytes 3-9/10", "3456789"), 3, 4, "", func(err error) bool { return err != nil }},
		"no total":     {partial("bytes 3-6/*", "3456"), 3, 4, "", func(err error) bool { return err != nil }},
		"nonsense":     {partial("bytes -1-2/10", "3456"), 3, 4, "", func(err error) bool { return err != nil }},
		"none":         {partial("", "3456"), 3, 4, "", func(err error) bool { return err != nil }},
	} {
		h := web(t, store.HTTPOptions{Retries: -1}, test.serve)
		body, _, err := h.Open(t.Context(), object, test.offset, test.length)
		if test.err != nil {
			if !test.err(err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || string(got) != test.want {
			t.Errorf("%s: read %q, %v", name, got, err)
		}
	}
	// A body shorter than its Content-Range says.
	h := web(t, store.HTTPOptions{Retries: -1}, partial("bytes 3-6/10", "34"))
	body, _, err := h.Open(t.Context(), object, 3, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestHTTPTakesStoredBytes(t *testing.T) {
	h := web(t, store.HTTPOptions{}, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding %q", got)
		}
		w.Header().Set("Content-Encoding", "gzip") // as servers mark .gz files
		io.WriteString(w, "not really gzip")
	})
	if data, _, err := h.Get(t.Context(), object, 100); err != nil || string(data) != "not really gzip" {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestHTTPAddresses(t *testing.T) {
	for _, address := range []string{
		"ftp://example.org/", "http://", "example.org", "http://user:secret@example.org/", "http://example.org/?a=b",
		"http://example.org/#x", "http://[::1", "https:///x",
	} {
		if _, err := store.NewHTTP(address, store.HTTPOptions{}); err == nil {
			t.Errorf("accepted %q", address)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("told the secret: %v", err)
		}
	}
	// Every character of a key arrives as it is.
	const key = "packages/a+b/a+b-1~rc^2_x-1.rpm"
	h := web(t, store.HTTPOptions{}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	if data, _, err := h.Get(t.Context(), key, 100); err != nil || string(data) != "/pub/"+key {
		t.Errorf("asked for %q, %v", data, err)
	}
}
