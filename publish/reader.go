package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"colophon/logs/ledger"
	"colophon/pack"
	"colophon/publish/audit"
	"colophon/publish/store"
)

// Reader shows a store to the auditor.
type Reader struct{ store.Reader }

// Open implements audit.Reader.
func (r Reader) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	body, _, err := r.Reader.Open(ctx, key, 0, -1)
	return body, err
}

// listing is a Reader of a store that can list its objects.
type listing struct {
	Reader
	store store.Store
}

// List implements audit.Lister.
func (l listing) List(ctx context.Context, each func(key string, size int64) error) error {
	return l.store.List(ctx, "", func(i store.Info) error { return each(i.Key, i.Size) })
}

// AuditOptions say what to audit, and against which key.
type AuditOptions struct {
	Address string // folder, file: or http(s) address
	KeyFile string // the ledger's public key
	Now     time.Time
	Grace   time.Duration // how long an unfinished publish is a notice; 0 means 1 h
	Report  Reporter
	HTTP    store.HTTPOptions
}

// Audit checks a public tree from the outside. Discrepancies stand in the
// report; an error means that the question could not be answered.
func Audit(ctx context.Context, o AuditOptions) (*audit.Report, error) {
	if o.KeyFile == "" {
		return nil, &pack.InputError{File: "audit", Reason: "needs the ledger's public key", Advice: "add -key=FILE, with the file that the publisher gave you by another way than this address"}
	}
	vkey, err := os.ReadFile(o.KeyFile)
	if err == nil {
		_, err = ledger.ParseVerifier(string(vkey))
	} else {
		err = errors.Unwrap(err)
	}
	if err != nil {
		return nil, &pack.InputError{File: o.KeyFile, Reason: "is no ledger key: " + err.Error(), Advice: "name the file that the publisher gave you by another way than this address"}
	}
	s, err := store.OpenReader(o.Address, store.Options{HTTP: o.HTTP})
	if err != nil {
		return nil, &pack.InputError{File: o.Address, Reason: "cannot be audited: " + err.Error(), Advice: "name a folder or an http address of a public tree"}
	}
	var reader audit.Reader = Reader{s}
	if all, ok := s.(store.Store); ok {
		reader = listing{Reader{s}, all}
	}
	options := audit.Options{VKey: strings.TrimSpace(string(vkey)), Now: o.Now, Grace: o.Grace}
	if o.Report != nil {
		o.Report.Step("audit " + s.Address())
	}
	report, err := audit.Tree(ctx, reader, options)
	if err != nil {
		return nil, fmt.Errorf("audit %q: %w", s.Address(), err)
	}
	return report, nil
}

// ServeOptions say what to serve, and where.
type ServeOptions struct {
	Config  *Config
	From    string // "store", also when empty; "history" is not served yet
	Address string // host:port; empty means that of site.url
	Log     *slog.Logger
	Ready   func(address string) // called once requests are answered
}

// Serve shows the public tree of the configuration's store, a folder, on an
// address of this machine until ctx ends.
func Serve(ctx context.Context, o ServeOptions) error {
	c := o.Config
	if o.From != "" && o.From != "store" {
		return c.bad(fmt.Sprintf("serve cannot read from %q", o.From), "use -from=store")
	}
	a, err := store.ParseAddress(c.Store)
	if err != nil || a.Scheme != "file" {
		return c.bad(fmt.Sprintf("store %q is no folder", c.Store), "only a folder can be served from here")
	}
	if o.Address == "" {
		if o.Address, err = c.listenAddress(); err != nil {
			return err
		}
	}
	tree, err := store.Tree(c.Resolve(a.Path))
	if err != nil {
		return err
	}
	return store.Serve(ctx, store.ServeOptions{
		Address: o.Address, Tree: tree, Log: o.Log,
		Ready: func(a net.Addr) { o.Ready(a.String()) },
	})
}
