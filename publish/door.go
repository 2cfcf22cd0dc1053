package publish

import (
	"context"
	"fmt"
	"io"

	"colophon/logs/ledger"
	"colophon/pack"
	"colophon/pack/lint"
	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

// examine reads a new package once more, from its first byte to the bytes of the
// image, and holds it to every rule, also those that speak of the repository it
// goes to. It is the last look before the package is kept for ever.
func (r *run) examine(ctx context.Context, d *pack.Definition, file io.ReaderAt, made *pack.Result) error {
	repository, err := r.listing(d.Repository, made)
	if err != nil {
		return err
	}
	report, err := lint.File(ctx, file, made.Digests.Size, lint.Template, lint.Context{
		Keys: openpgp.Keyring{r.keys.PackageKey}, Now: r.Now(), Repository: repository,
	})
	if err != nil {
		return fmt.Errorf("examine %q: %w", made.NEVRA, err)
	}
	if err := lint.Join(report.Results); err != nil {
		return &pack.InputError{File: d.File(), Reason: fmt.Sprintf("package %s is refused: %s", made.NEVRA, err), Advice: "docs/lint.md explains the rules"}
	}
	return nil
}

// listing says what a repository lists, for the rules that need to know.
func (r *run) listing(name string, made *pack.Result) (*lint.Repository, error) {
	l := &lint.Repository{Listing: r.listings[name]}
	for _, c := range r.config.Repositories {
		if c.Name == name {
			l.MaxGrowth, l.Rollback = c.MaxGrowth, c.Rollback
		}
	}
	for _, p := range r.local.chain.Packages(name) {
		headers, err := r.history.Tree.Headers(p.Path, p.Header)
		if err != nil {
			return nil, err
		}
		l.Listing += lint.RecordSize(headers.Header, name, p.Size)
		l.Newest = newer(l.Newest, headers.Header.NEVRA(), p, made.NEVRA.Name)
	}
	own := lint.RecordSize(made.Package.Header, name, made.Digests.Size)
	l.Listing += own
	r.listings[name] += own // for the next new package of this run
	return l, nil
}

// newer is the newer one of a release and a package, if that has the name.
func newer(best *lint.Release, n rpm.NEVRA, p ledger.Package, name string) *lint.Release {
	if n.Name != name || best != nil && n.Compare(best.NEVRA) <= 0 {
		return best
	}
	return &lint.Release{NEVRA: n, Size: p.Size}
}
