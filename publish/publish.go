// Package publish is one publish run: what is new, in which order it becomes
// public, and how a run that was cut off is finished.
//
// The order, and what a crash behind each step leaves:
//
//  1. Read the remote ledger and heads. They must equal the local ones or be a
//     beginning of them. Leaves nothing.
//  2. Pack, make the next metadata and entries, all in the history's pending
//     area. Leaves files that the next run throws away.
//  3. Upload public keys, packages, build logs and records.
//     Leaves objects that nobody points to.
//  4. Append the entries, sign the checkpoint, keep it in pending, then swap it
//     into ledger/commit. Until then nothing signed has left the machine. Leaves
//     a commit that either happened or did not: the next run reads it and
//     finishes, or swaps the same checkpoint again.
//  5. Adopt pending as history; upload tiles, proofs and ledger/checkpoint.
//     Leaves a ledger one step ahead of the heads.
//  6. The gate checks the entry's inclusion and the difference; the metadata
//     key signs repomd.xml. Leaves a signature whose entry is public.
//  7. Upload the snapshot folders. Leaves snapshots that are not live.
//  8. Read everything new back and check it. Leaves the same.
//  9. Swap the metalink, then the files of latest/. Leaves latest/ one behind;
//     the metalink is one object and never half of anything.
//  10. Write the pages.
//
// Recovery is the same run again: steps 5 to 10 compare what the history says
// with what the store has, and do what is missing.
package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"colophon/logs/ledger"
	"colophon/mirror"
	"colophon/mirror/disk"
	"colophon/publish/sign"
	"colophon/publish/store"
)

// Options of a run. Clock, randomness and environment enter here.
type Options struct {
	Config  *Config
	Now     func() time.Time
	Random  io.Reader // for keys that are made on first use
	Date    time.Time // SOURCE_DATE_EPOCH, replaces the definitions' dates; zero keeps them
	Version string    // of this program
	Report  Reporter  // nil reports nothing
	Disk    disk.Disk
	HTTP    store.HTTPOptions // for reading back through site.url

	// Store overrides Config.Store, for tests.
	Store store.Store
}

// Reporter is told how a run goes. Calls come from one goroutine at a time.
type Reporter interface {
	// Step begins a step, in a few words.
	Step(text string)
	// Progress is called often during a long step, in bytes.
	Progress(text string, done, total int64)
}

type silent struct{}

func (silent) Step(string)                   {}
func (silent) Progress(string, int64, int64) {}

// ErrOvertaken means that somebody else published first: the store's ledger is a
// consistent extension of this history. Nothing was signed.
var ErrOvertaken = errors.New("somebody else published first: the store's ledger is ahead of this history")

// ForkError means that the store's ledger and this history contradict each
// other. Both checkpoints are kept as evidence. Nothing was signed.
type ForkError struct{ Evidence string }

func (e *ForkError) Error() string {
	return "the store's ledger and this history contradict each other"
}

// Hint says what to do.
func (e *ForkError) Hint() string {
	return "publish nothing more; compare the two signed checkpoints kept in " + e.Evidence
}

// run is one publish under way.
type run struct {
	Options
	config  *Config
	keys    *sign.Keys
	store   store.Store
	history *mirror.History
	local   local
	remote  remote

	signed   bool             // the next checkpoint may be public: pending must stay
	uploaded map[string]bool  // immutable objects this run has put
	listings map[string]int64 // bytes of repositories' listings that new packages of this run take
	result   *Result
}

// Run publishes what is new in the configuration's templates, and finishes what
// an earlier run left. With nothing to do it changes no byte. When it fails
// before the commit, history and ledger are as before.
//
// Errors that callers tell apart: *pack.InputError, *sign.KeyError and the
// store's claim errors (configuration), ErrOvertaken, *ForkError,
// *store.UnreachableError.
func Run(ctx context.Context, o Options) (result *Result, err error) {
	r, err := begin(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	definitions, err := r.config.definitions("")
	if err != nil {
		return nil, err
	}
	if err := r.checkDates(definitions); err != nil {
		return nil, err
	}
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	// What an earlier run left goes first: at most one snapshot of a repository is
	// ever not live.
	if err := r.finish(ctx); err != nil {
		return nil, err
	}
	change, err := r.prepare(ctx, definitions)
	if err != nil || change == nil {
		return r.result, err
	}
	if err := r.commit(ctx, change); err != nil {
		return nil, err
	}
	if err := r.finish(ctx); err != nil {
		return nil, err
	}
	return r.result, nil
}

// begin checks the configuration and loads the keys.
func begin(ctx context.Context, o Options) (*run, error) {
	r := &run{Options: o, config: o.Config, store: o.Store, uploaded: map[string]bool{}, listings: map[string]int64{}, result: &Result{}}
	if r.Report == nil {
		r.Report = silent{}
	}
	c := r.config
	var err error
	if r.store == nil {
		r.store, err = store.Open(c.Store, store.Options{Base: c.Resolve("."), Disk: o.Disk, HTTP: o.HTTP})
		if err != nil {
			return nil, c.bad("store: "+err.Error(), "write it like file:public")
		}
	}
	folder := sign.Folder{Path: c.Resolve(c.Keys.Folder), Generate: c.Keys.Generate, Name: c.Site.Name, Origin: c.origin()}
	r.keys, err = folder.Load(o.Random, o.Disk)
	return r, err
}

// open locks the history, finishes or discards a pending publish, and compares
// the two ledgers: step 1.
func (r *run) open(ctx context.Context) error {
	if err := store.CheckClaim(ctx, r.store, r.keys.VKey); err != nil {
		return err
	}
	history, err := mirror.Open(r.config.Resolve(r.config.History), r.Disk)
	if err != nil {
		return err
	}
	r.history = history
	if r.remote, err = readRemote(ctx, r.store, r.config); err != nil {
		return err
	}
	return r.settle(ctx)
}

// end releases the history. Before the commit, pending is thrown away: it was
// never released.
func (r *run) end() error {
	if r.history == nil {
		return nil
	}
	var err error
	if !r.signed {
		err = r.history.Discard()
	}
	return errors.Join(err, r.history.Close())
}

// now is the clock in whole seconds, as entries have it.
func (r *run) now() time.Time { return r.Now().UTC().Truncate(time.Second) }

// snapshotKey is a file of a snapshot's repodata in the public tree.
func snapshotKey(e ledger.Entry, file string) string {
	return fmt.Sprintf("%s/%06d/repodata/%s", e.Repository, e.Serial, file)
}
