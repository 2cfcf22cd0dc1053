package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
)

// maxPrimary bounds the open primary of one snapshot, in bytes: some 250,000
// packages.
const maxPrimary = 1 << 30

// Snapshot is the metadata of one snapshot as it lies in the public tree.
type Snapshot struct {
	Repomd  []byte
	Primary []byte // the compressed file
}

// Packages reads the set of packages and checks that repomd.xml and primary
// belong together and are those that the ledger names.
func (s Snapshot) Packages(want ledger.State) ([]rpmmd.PackageInfo, error) {
	if err := checkRepomd(s.Repomd, want); err != nil {
		return nil, fmt.Errorf("repomd.xml: %w", err)
	}
	list, err := readPrimary(bytes.NewReader(s.Primary), want)
	if err == nil {
		err = checkCount(list, want)
	}
	if err != nil {
		return nil, fmt.Errorf("primary: %w", err)
	}
	return list, nil
}

// checkRepomd wants the repomd.xml that the ledger names, by its digest and by
// what it says.
func checkRepomd(data []byte, want ledger.State) error {
	if want.Format != rpmmd.Format {
		return fmt.Errorf("the ledger says metadata format %d; this program knows %d", want.Format, rpmmd.Format)
	}
	if got := ledger.Digest(rpmmd.DigestOf(data)); got != want.Repomd {
		return errors.New(differs(got, want.Repomd))
	}
	repomd, err := rpmmd.ParseRepomd(data)
	if err != nil {
		return err
	}
	if StateOf(repomd.Summary(want.Packages, data)) != want {
		return errors.New("names other files or another revision than the ledger")
	}
	return nil
}

// readPrimary reads the compressed primary that the ledger names, to its end.
func readPrimary(packed io.Reader, want ledger.State) ([]rpmmd.PackageInfo, error) {
	if want.Primary.OpenSize > maxPrimary {
		return nil, fmt.Errorf("has %d bytes when open; at most %d are allowed", want.Primary.OpenSize, maxPrimary)
	}
	open, err := rpmmd.OpenGzip(packed, rpmmd.Record(want.Primary))
	if err != nil {
		return nil, err
	}
	list, err := rpmmd.ParsePrimary(open)
	if err == nil {
		_, err = io.Copy(io.Discard, open) // to the end, where digests are held against the record
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

func checkCount(list []rpmmd.PackageInfo, want ledger.State) error {
	if len(list) != want.Packages {
		return fmt.Errorf("lists %d packages, the ledger says %d", len(list), want.Packages)
	}
	return nil
}

// differs says how a file is another one than that of the ledger.
func differs(got, want ledger.Digest) string {
	if got.Size != want.Size {
		return fmt.Sprintf("has %d bytes, the ledger says %d", got.Size, want.Size)
	}
	return fmt.Sprintf("has the sha256 %s, the ledger says %s", got.SHA256, want.SHA256)
}

// StateOf says what metadata was made, in the ledger's words.
func StateOf(s rpmmd.Summary) ledger.State {
	return ledger.State{
		Filelists: ledger.XML(s.Filelists), Format: s.Format, Other: ledger.XML(s.Other), Packages: s.Packages,
		Primary: ledger.XML(s.Primary), Repomd: ledger.Digest(s.Repomd), Revision: s.Revision,
	}
}

// Transition checks that an entry says exactly what changed between two sets of
// packages: every package that came or went is named with its digest, and
// nothing else is. All that differs is reported, a line each.
func Transition(e ledger.Entry, old, new []rpmmd.PackageInfo) error {
	diff := rpmmd.Difference(old, new)
	var all []error
	report := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	for _, c := range diff.Changed {
		report("package %s has other metadata than before", c.New.NEVRA)
	}
	added := map[string]ledger.Package{}
	for _, p := range e.Added {
		added[p.NEVRA] = p
	}
	for _, p := range diff.Added {
		logged, ok := added[p.NEVRA.String()]
		delete(added, p.NEVRA.String())
		switch {
		case !ok:
			report("package %s was added, which the entry does not say", p.NEVRA)
		case logged.SHA256 != p.SHA256 || logged.Size != p.Size:
			report("package %s has the digest %s, the entry says %s", p.NEVRA, p.SHA256, logged.SHA256)
		}
	}
	removed := map[string]ledger.Removal{}
	for _, p := range e.Removed {
		removed[p.NEVRA] = p
	}
	for _, p := range diff.Removed {
		logged, ok := removed[p.NEVRA.String()]
		delete(removed, p.NEVRA.String())
		switch {
		case !ok:
			report("package %s was removed, which the entry does not say", p.NEVRA)
		case logged.SHA256 != p.SHA256:
			report("package %s had the digest %s, the entry says %s", p.NEVRA, p.SHA256, logged.SHA256)
		}
	}
	for _, p := range e.Added {
		if _, ok := added[p.NEVRA]; ok {
			report("the entry adds %s, the metadata does not", p.NEVRA)
		}
	}
	for _, p := range e.Removed {
		if _, ok := removed[p.NEVRA]; ok {
			report("the entry removes %s, the metadata does not", p.NEVRA)
		}
	}
	return errors.Join(all...)
}
