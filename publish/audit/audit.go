// Package audit checks a public tree from the outside. It trusts one thing, the
// ledger's public key, and wants everything else to follow from the signed
// ledger.
//
// # What is checked
//
// The ledger: ledger/key.vkey is the given key; ledger/checkpoint is signed by
// it; ledger/commit is the same tree or an extension of it; all tiles lead to the
// signed root; every entry decodes and keeps the rules of ledger.Chain. A ledger
// that fails here ends the audit, because everything else is judged by it.
//
// Then, for every entry in order:
//
//   - its added packages, where they appear for the first time: size and SHA-256
//     of the file, content id, header digest, the digests inside, the name, the
//     lint rules for templates, and the header signature by the key that the
//     entry names; the build log, packed and open; the build record, which must
//     speak of this package and this log; the inclusion proof, which must lead
//     from this entry to a tree that the served one begins with;
//   - its snapshot folder: repomd.xml, primary, filelists and other, packed and
//     open; repomd.xml.asc by the key that the entry names; repomd.xml.key, which
//     is that key;
//   - the difference of the two sets of packages, which must be what the entry
//     says, no more and no less;
//   - determinism: primary, filelists and other are made anew from the headers of
//     the packages and must have the open digests of the entry. Packed bytes that
//     differ come from another encoder and are a notice.
//
// Last the heads: <repository>/metalink names the repository's last snapshot, at
// the site that <repository>/<repository>.repo names; that file has the form of
// rpmmd.ClientConfig and names no key but those that signed something, and all of
// the current ones; latest/repodata holds the bytes of the live snapshot;
// ledger/policy is that of the ledger's key. Keys and signatures have to be in
// the armor that openpgp writes, so that no byte of the tree is without a say.
//
// # Discrepancies and notices
//
// A discrepancy contradicts the ledger. What an interrupted publish leaves is a
// notice: objects that nobody points to (seen with a Lister only), and, until the
// grace time since the entry is over, an extension of the ledger that is
// committed and not yet in the checkpoint, one serial of a repository that is not
// live (its folder may be incomplete), and a latest/ that is one behind or torn
// between two snapshots. Later these are discrepancies. So is an entry from
// further in the future than the grace time.
//
// A repomd.xml that no entry names, with a signature by one of the ledger's
// metadata keys, is reported as what it is: evidence that the key was used behind
// the ledger's back.
//
// # What cannot be seen
//
// An old tree as a whole, served by somebody who withholds what came later, looks
// like a publisher who stopped publishing; who remembers a newer checkpoint sees
// it. The addresses of mirrors in a metalink are not visited.
//
// Nothing here reads a clock, writes, or opens a connection. Memory is that of
// the metadata of all packages; packages and logs are read once, as streams, and
// no read is longer than the ledger or the format allows.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/note"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
)

// Reader reads a public tree.
type Reader interface {
	// Open streams an object from its beginning. The error for one that does
	// not exist wraps fs.ErrNotExist. Any other error, also while reading, means
	// that the question cannot be answered, and ends the audit.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
}

// Lister is a Reader that can name all objects. Without it nothing is said about
// objects that nobody points to.
type Lister interface {
	Reader
	List(ctx context.Context, each func(key string, size int64) error) error
}

// Options of an audit.
type Options struct {
	// VKey is the ledger's public key. Required; everything hangs on where it
	// came from.
	VKey string
	// Now is the auditor's time. When zero, nothing is within the grace time.
	Now time.Time
	// Grace is how long after its entry a publish may be unfinished. Zero means
	// one hour; a negative one allows nothing.
	Grace time.Duration
	// Progress is called now and then with the bytes of packages, logs and
	// metadata that were read, and all there are. May be nil.
	Progress func(done, total int64)
}

// maxTries is how often the ledger may grow while an audit begins.
const maxTries = 5

// Tree audits a public tree. The error is for a question that could not be
// answered; what contradicts the ledger stands in the report.
//
// A publish may go on meanwhile: heads are read before the checkpoint that they
// are judged by, and everything again when that has changed.
func Tree(ctx context.Context, r Reader, o Options) (*Report, error) {
	a, err := newAuditor(r, o)
	if err != nil {
		return nil, err
	}
	var before *ledger.Checkpoint
	for range maxTries {
		a.report.clear()
		if err := a.readLedger(ctx, before); err != nil {
			return nil, err
		}
		if a.book == nil { // and why stands in the report
			return a.finish(), nil
		}
		if err := a.readHeads(ctx); err != nil {
			return nil, err
		}
		again, err := a.small(ctx, ledger.CheckpointKey, maxPointer)
		if isFatal(err) {
			return nil, err
		}
		if string(again) == string(a.book.signed) {
			if err := a.all(ctx); err != nil {
				return nil, err
			}
			return a.finish(), nil
		}
		before = &a.book.tree
	}
	return nil, errors.New("audit: the ledger changed each time it was read")
}

// all checks everything that the ledger speaks of.
func (a *auditor) all(ctx context.Context) error {
	b := a.book
	a.total = b.total
	for _, r := range a.repositories {
		if err := a.metalink(r); err != nil {
			return err
		}
	}
	err := ledger.ReadEntries(ctx, a.tiles, b.tree, 0, b.tree.Size, func(index int64, raw []byte) error {
		e, err := ledger.Decode(raw)
		if err != nil {
			return err // it did decode before
		}
		return a.entry(ctx, a.repository(e.Repository), index, raw, e)
	})
	if err := a.judge(err); err != nil {
		return err
	}
	for _, r := range a.repositories {
		if err := a.judge(a.client(ctx, r)); err != nil {
			return err
		}
		if err := a.latest(ctx, r); err != nil {
			return err
		}
	}
	if err := a.judge(a.policy(ctx)); err != nil {
		return err
	}
	if err := a.checkPending(ctx); err != nil {
		return err
	}
	if a.encoders > 0 {
		a.notice(a.encoderKey, "was packed by another encoder than this program's, one of %d such files; the content is right", a.encoders)
	}
	return a.strangers(ctx)
}

// entry checks one entry's packages and its snapshot.
func (a *auditor) entry(ctx context.Context, r *repository, index int64, raw []byte, e ledger.Entry) error {
	for _, x := range e.Removed {
		delete(r.set, x.NEVRA)
	}
	for _, p := range e.Added {
		r.set[p.NEVRA] = p
		if a.seen[p.Path] {
			continue
		}
		a.seen[p.Path] = true
		if err := a.published(ctx, r, index, raw, e, p); err != nil {
			return err
		}
	}
	return a.snapshot(ctx, r, e)
}

// auditor is one audit under way.
type auditor struct {
	*source
	options  Options
	verifier note.Verifier
	report   *Report
	tiles    *tiles

	book         *book
	repositories []*repository // in the order of their names

	keys      map[string]*keyFile        // by fingerprint
	seen      map[string]bool            // paths of packages that were looked at
	fragments map[string]rpmmd.Fragment  // by NEVRA, of packages that are right
	proven    map[ledger.Checkpoint]bool // trees that the served one begins with

	encoders   int    // files of metadata that another encoder packed
	encoderKey string // the first of them

	// Where there is but one entry, the sets of packages are not known, but
	// what primary has to say about the added ones is.
	single    bool
	described map[string]rpmmd.PackageInfo // by NEVRA
}

func newAuditor(r Reader, o Options) (*auditor, error) {
	verifier, err := ledger.ParseVerifier(o.VKey)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	if o.Grace == 0 {
		o.Grace = time.Hour
	}
	s := &source{reader: r, progress: o.Progress, named: map[string]bool{}}
	return &auditor{
		source: s, options: o, verifier: verifier, report: &Report{Origin: verifier.Name()}, tiles: &tiles{source: s},
		keys: map[string]*keyFile{}, seen: map[string]bool{}, fragments: map[string]rpmmd.Fragment{},
		proven: map[ledger.Checkpoint]bool{},
	}, nil
}

// within says whether a publish of that time may still be unfinished.
func (a *auditor) within(t time.Time) bool {
	age := a.options.Now.Sub(t)
	return !a.options.Now.IsZero() && age <= a.options.Grace && -age <= a.options.Grace
}
