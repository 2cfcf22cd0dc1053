package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// HTTPOptions tune a reader on the web. The zero value works.
type HTTPOptions struct {
	// Timeout bounds the waiting for a connection, for the headers, and for each next piece of a body; not the whole
	// transfer, which may be of gigabytes. Zero means 30 s.
	Timeout time.Duration
	// Retries is how often a request is repeated when the server cannot be reached or answers 429 or 5xx. Zero means
	// 2, a negative number none. A body that breaks off is not taken up again.
	Retries int
	// Pause is waited before the first repetition, twice that before the second. Zero means 500 ms.
	Pause time.Duration
	// Proxy chooses one for a request, as http.ProxyFromEnvironment does. Nil means none.
	Proxy func(*http.Request) (*url.URL, error)
	// Transport replaces the whole of connections, for instance to trust other certificates. Proxy is then unused.
	Transport http.RoundTripper
}

// UnreachableError reports that a server gave no answer that says anything about the object: no connection, a time
// out, a broken transfer, 429 or 5xx. It never means that the object is missing.
type UnreachableError struct {
	Address string
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach %s: %v", e.Address, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint tells what to do.
func (e *UnreachableError) Hint() string { return "check the address and the network, then try again" }

// HTTP is a Reader of a public tree on the web. It asks for plain bytes (never a transparent decompression), follows
// at most five redirects and none to another scheme.
type HTTP struct {
	base    *url.URL
	client  *http.Client
	timeout time.Duration
	pause   time.Duration
	tries   int
}

var _ Reader = (*HTTP)(nil)

// NewHTTP gives a reader of the tree at an http:// or https:// address, with or without a slash at its end.
func NewHTTP(address string, options HTTPOptions) (*HTTP, error) {
	base, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("address: %w", err)
	case base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "":
		return nil, fmt.Errorf("address %q: want http://HOST/... or https://HOST/", base.Redacted())
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("address %q: must not have a user, a query or a fragment", base.Redacted())
	}
	h := &HTTP{base: base, timeout: options.Timeout, pause: options.Pause, tries: 1 + options.Retries}
	if h.timeout == 0 {
		h.timeout = 30 * time.Second
	}
	if h.pause == 0 {
		h.pause = 500 * time.Millisecond
	}
	if options.Retries == 0 {
		h.tries = 3
	}
	transport := options.Transport
	if transport == nil {
		transport = &http.Transport{
			Proxy:                 options.Proxy,
			DialContext:           (&net.Dialer{Timeout: h.timeout}).DialContext,
			TLSHandshakeTimeout:   h.timeout,
			ResponseHeaderTimeout: h.timeout,
			IdleConnTimeout:       h.timeout,
			MaxIdleConnsPerHost:   16,
			ForceAttemptHTTP2:     true,
			DisableCompression:    true,
		}
	}
	h.client = &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	return h, nil
}

func checkRedirect(request *http.Request, via []*http.Request) error {
	if from := via[0].URL; request.URL.Scheme != from.Scheme {
		return &redirectError{fmt.Sprintf("redirected to %s:", request.URL.Scheme)}
	}
	if len(via) > 5 {
		return &redirectError{"redirected too often"}
	}
	return nil
}

// redirectError is an answer, and no failure to reach the server.
type redirectError struct{ text string }

func (e *redirectError) Error() string { return e.text }
func (e *redirectError) Hint() string {
	return "name the address that the server redirects to, if you trust it"
}

// Address implements Reader.
func (h *HTTP) Address() string { return h.base.String() }

// Open implements Reader. A server that ignores ranges costs a transfer from the start.
func (h *HTTP) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	body, info, err := h.open(ctx, key, offset, length)
	if err != nil {
		return nil, Info{}, h.wrap("read", key, err)
	}
	return body, info, nil
}

func (h *HTTP) open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	if offset < 0 {
		return nil, Info{}, ErrRange
	}
	ranged := ""
	switch {
	case length == 0: // there is no header for an empty range
		info, err := h.stat(ctx, key)
		if err == nil && info.Size >= 0 {
			_, err = cutRange(info.Size, offset, 0)
		}
		return http.NoBody, info, err
	case length > 0:
		ranged = fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
	case offset > 0:
		ranged = fmt.Sprintf("bytes=%d-", offset)
	}
	response, err := h.request(ctx, http.MethodGet, key, ranged)
	if err != nil {
		return nil, Info{}, err
	}
	body, info, err := h.accept(response, key, offset, length)
	if err != nil {
		response.Body.Close()
		return nil, Info{}, err
	}
	return body, info, nil
}

// accept checks that the answer is the range that was asked for.
func (h *HTTP) accept(response *http.Response, key string, offset, length int64) (io.ReadCloser, Info, error) {
	info := Info{Key: key, Size: -1}
	switch response.StatusCode {
	case http.StatusOK:
		if info.Size = response.ContentLength; info.Size >= 0 {
			var err error
			if length, err = cutRange(info.Size, offset, length); err != nil {
				return nil, Info{}, err
			}
		}
		if _, err := io.CopyN(io.Discard, response.Body, offset); err != nil {
			if err == io.EOF {
				err = ErrRange // a body of untold length
			}
			return nil, Info{}, err
		}
	case http.StatusPartialContent:
		first, last, size, err := parseContentRange(response.Header.Get("Content-Range"))
		if err != nil {
			return nil, Info{}, err
		}
		want, err := cutRange(size, offset, length)
		if err != nil || first != offset || last-first+1 != want {
			return nil, Info{}, fmt.Errorf("the server sent bytes %d to %d of %d instead of %d from %d", first, last, size, length, offset)
		}
		info.Size, length = size, want
	case http.StatusRequestedRangeNotSatisfiable:
		// "bytes */N". The end of the object is no error, what lies behind it is.
		size, ok := strings.CutPrefix(response.Header.Get("Content-Range"), "bytes */")
		n, err := strconv.ParseInt(size, 10, 64)
		if !ok || err != nil || n != offset {
			return nil, Info{}, ErrRange
		}
		info.Size, length = n, 0
	default:
		return nil, Info{}, fmt.Errorf("the server answered %s", response.Status)
	}
	if length < 0 {
		return response.Body, info, nil
	}
	stream := exactReader{io.LimitReader(response.Body, length), length}
	if info.Size < 0 {
		stream.left = 0 // where the object ends is not known, so the range may be cut short
	}
	return &rangeStream{stream, response.Body}, info, nil
}

// parseContentRange reads "bytes FIRST-LAST/SIZE".
func parseContentRange(header string) (first, last, size int64, err error) {
	bad := fmt.Errorf("bad Content-Range %q", header)
	rest, ok := strings.CutPrefix(header, "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, 0, bad
	}
	for _, field := range []struct {
		text string
		n    *int64
	}{{from, &first}, {to, &last}, {total, &size}} {
		n, err := strconv.ParseUint(field.text, 10, 63)
		if err != nil {
			return 0, 0, 0, bad
		}
		*field.n = int64(n)
	}
	if first > last || last >= size {
		return 0, 0, 0, bad
	}
	return first, last, size, nil
}

// Stat implements Reader.
func (h *HTTP) Stat(ctx context.Context, key string) (Info, error) {
	info, err := h.stat(ctx, key)
	if err != nil {
		return Info{}, h.wrap("look up", key, err)
	}
	return info, nil
}

func (h *HTTP) stat(ctx context.Context, key string) (Info, error) {
	response, err := h.request(ctx, http.MethodHead, key, "")
	if err != nil {
		return Info{}, err
	}
	response.Body.Close()
	return Info{Key: key, Size: response.ContentLength}, nil
}

// Get implements Reader.
func (h *HTTP) Get(ctx context.Context, key string, limit int64) ([]byte, Tag, error) {
	body, info, err := h.Open(ctx, key, 0, -1)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	if info.Size > limit {
		return nil, "", h.wrap("read", key, fmt.Errorf("longer than %d bytes", limit))
	}
	data, err := readLimited(body, limit)
	if err != nil {
		return nil, "", h.wrap("read", key, err)
	}
	return data, "", nil
}

func (h *HTTP) wrap(verb, key string, err error) error {
	if _, ok := errors.AsType[*UnreachableError](err); ok {
		return err // it has the whole address
	}
	return fmt.Errorf("%s %q from %s: %w", verb, key, h.base, err)
}

// request gives an answer that says something about the object: 2xx, or 416.
func (h *HTTP) request(ctx context.Context, method, key, ranged string) (*http.Response, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	pause := h.pause
	for try := 1; ; try++ {
		response, err := h.once(ctx, method, h.base.JoinPath(key).String(), ranged)
		var unreachable *UnreachableError
		if err == nil || try >= h.tries || !errors.As(err, &unreachable) {
			return response, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func (h *HTTP) once(ctx context.Context, method, address, ranged string) (*http.Response, error) {
	watched, cancel := context.WithCancelCause(ctx)
	body := &watchedBody{address: address, parent: ctx, cancel: cancel, timeout: h.timeout}
	body.timer = time.AfterFunc(h.timeout, func() { cancel(errStalled) })
	request, err := http.NewRequestWithContext(watched, method, address, nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	request.Header.Set("Accept-Encoding", "identity") // the stored bytes, whatever the transport likes
	if ranged != "" {
		request.Header.Set("Range", ranged)
	}
	response, err := h.client.Do(request)
	body.timer.Stop()
	if err != nil {
		cause := context.Cause(watched)
		cancel(nil)
		var redirected *redirectError
		if errors.As(err, &redirected) {
			return nil, redirected
		}
		if cause != nil {
			err = cause
		} else if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the address a second time
		}
		return nil, body.failure(err)
	}
	body.ReadCloser, response.Body = response.Body, body
	switch code := response.StatusCode; {
	case code >= 200 && code < 300, code == http.StatusRequestedRangeNotSatisfiable:
		return response, nil
	case code == http.StatusNotFound, code == http.StatusGone:
		err = fs.ErrNotExist
	case code >= 500, code == http.StatusTooManyRequests:
		err = &UnreachableError{address, errors.New("the server answered " + response.Status)}
	default:
		err = errors.New("the server answered " + response.Status)
	}
	body.Close()
	return nil, err
}

var errStalled = errors.New("the server sends nothing")

// watchedBody gives up when the server sends nothing for a while; the time that the reader takes does not count.
type watchedBody struct {
	io.ReadCloser
	address string
	parent  context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.timeout)
	n, err := b.ReadCloser.Read(p)
	if !b.timer.Stop() && err != nil && err != io.EOF {
		err = errStalled
	}
	if err != nil && err != io.EOF {
		err = b.failure(err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// failure tells giving up by the caller from failing of the server.
func (b *watchedBody) failure(err error) error {
	if b.parent.Err() != nil {
		return context.Cause(b.parent)
	}
	return &UnreachableError{b.address, err}
}
