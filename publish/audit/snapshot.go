package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/pack/openpgp"
)

// Names of the files of a snapshot that are not named by their digest.
const (
	repomdName    = "repomd.xml"
	signatureName = "repomd.xml.asc"
	keyName       = "repomd.xml.key"
)

// pointerNames are the files that change in place in latest/.
var pointerNames = []string{repomdName, signatureName, keyName}

// metadataFile is one of the three files that repomd.xml names.
type metadataFile struct {
	name string
	rpmmd.Record
}

func metadataFiles(s ledger.State) []metadataFile {
	files := []metadataFile{{rpmmd.Primary, rpmmd.Record(s.Primary)}, {rpmmd.Filelists, rpmmd.Record(s.Filelists)}, {rpmmd.Other, rpmmd.Record(s.Other)}}
	for i, f := range files {
		files[i].name = f.FileName(f.name)
	}
	return files
}

func snapshotFiles(s ledger.State) []string {
	names := slices.Clone(pointerNames)
	for _, f := range metadataFiles(s) {
		names = append(names, f.name)
	}
	return names
}

// repository is one repository while its entries are walked.
type repository struct {
	name string
	last ledger.Entry // of the ledger
	head head         // as it was read
	idle bool         // the last snapshot is not live

	set    map[string]ledger.Package // after the entry that is looked at, by NEVRA
	listed []rpmmd.PackageInfo       // the same as primary has it
	known  bool                      // listed is to be trusted

	// What is right in the folders of the last snapshot and of the one before.
	// A file that is not there cannot be compared with that of latest/.
	lastFiles, beforeFiles map[string]ledger.Digest
}

func newRepository(last ledger.Entry) *repository {
	return &repository{name: last.Repository, last: last, set: map[string]ledger.Package{}, known: true}
}

func (a *auditor) repository(name string) *repository {
	i := slices.IndexFunc(a.repositories, func(r *repository) bool { return r.name == name })
	return a.repositories[i] // they are made from the same entries
}

// incomplete says that an entry's publish may be unfinished: what it adds to the
// tree may be missing, but what is there must be right.
func (a *auditor) incomplete(r *repository, e ledger.Entry) bool {
	return r.idle && e.Serial == r.last.Serial && a.within(e.Time)
}

// snapshot checks the folder of an entry's snapshot and the difference from the
// one before.
func (a *auditor) snapshot(ctx context.Context, r *repository, e ledger.Entry) error {
	folder := snapshotFolder(e.Repository, e.Serial)
	incomplete := a.incomplete(r, e)
	judge := func(err error) error {
		if incomplete && isMissing(err) {
			return nil
		}
		return a.judge(err)
	}
	r.beforeFiles, r.lastFiles = r.lastFiles, nil
	repomd, err := summaryOf(e.Next).RebuildRepomd()
	if err != nil { // then no file could be right
		a.wrong(folder+repomdName, "the ledger contradicts itself: %v", err)
		r.known = false
		return nil
	}
	// What is wrong here is not held against latest/ once more, so it is left out;
	// what is not there yet equals nothing.
	r.lastFiles = map[string]ledger.Digest{repomdName: ledger.Digest(rpmmd.DigestOf(repomd))}
	if incomplete {
		r.lastFiles[signatureName], r.lastFiles[keyName] = ledger.Digest{}, ledger.Digest{}
	}
	if err := judge(a.repomd(ctx, folder, e, repomd)); err != nil {
		return err
	}
	signature, err := a.signature(ctx, folder, e, repomd, incomplete)
	if err := judge(err); err != nil {
		return err
	}
	if signature != nil {
		r.lastFiles[signatureName] = ledger.Digest(rpmmd.DigestOf(signature))
	}
	if err := judge(a.keyCopy(ctx, folder, e, incomplete)); err != nil {
		return err
	}
	if k := a.keys[e.Signer]; k != nil && k.key != nil {
		r.lastFiles[keyName] = ledger.Digest(rpmmd.DigestOf(k.data))
	}
	before, compare := r.listed, r.known
	if r.listed, r.known, err = a.metadata(ctx, folder, e, judge); err != nil {
		return err
	}
	found := a.content(r, e, before, compare)
	for _, line := range found {
		a.wrong(folder+metadataFiles(e.Next)[0].name, "%s", line)
	}
	if len(found) > 0 || a.single {
		return nil
	}
	return a.judge(a.rebuild(folder, r.set, e))
}

// repomd wants the bytes that the ledger's values make.
func (a *auditor) repomd(ctx context.Context, folder string, e ledger.Entry, want []byte) error {
	key := folder + repomdName
	data, err := a.small(ctx, key, maxPointer)
	if err != nil || string(data) == string(want) {
		return err
	}
	evidence, err := a.evidence(ctx, folder, data)
	if err != nil {
		return err
	}
	return wrong(key, "%s%s", differs(ledger.Digest(rpmmd.DigestOf(data)), e.Next.Repomd), evidence)
}

// signature checks repomd.xml.asc over the right repomd.xml, whatever is served
// in its place. It returns the file where that is right.
func (a *auditor) signature(ctx context.Context, folder string, e ledger.Entry, repomd []byte, unfinished bool) ([]byte, error) {
	key := folder + signatureName
	data, err := a.small(ctx, key, maxPointer)
	if err != nil {
		return nil, err
	}
	if err := checkArmor(data); err != nil {
		return nil, wrong(key, "%v", err)
	}
	signer, err := a.key(ctx, e.Signer, unfinished)
	if err != nil || signer == nil {
		return nil, err
	}
	err = a.verified(e.Time, func(now time.Time) error {
		_, err := openpgp.Keyring{signer}.Verify(repomd, data, now)
		return err
	})
	if err != nil {
		return nil, wrong(key, "%v (key %s)", err, e.Signer)
	}
	return data, nil
}

// keyCopy checks repomd.xml.key, where zypper looks for the key.
func (a *auditor) keyCopy(ctx context.Context, folder string, e ledger.Entry, unfinished bool) error {
	data, err := a.small(ctx, folder+keyName, maxKey)
	if err != nil {
		return err
	}
	if signer, err := a.key(ctx, e.Signer, unfinished); err != nil || signer == nil {
		return err
	}
	if string(data) != string(a.keys[e.Signer].data) {
		return wrong(folder+keyName, "is not %s", keyKey(e.Signer))
	}
	return nil
}

// metadata reads the three files that repomd.xml names, and says whether the
// list of packages is that of the ledger.
func (a *auditor) metadata(ctx context.Context, folder string, e ledger.Entry, judge func(error) error) (list []rpmmd.PackageInfo, known bool, err error) {
	for i, f := range metadataFiles(e.Next) {
		if i > 0 {
			if err := judge(a.openSame(ctx, folder+f.name, f.Record)); err != nil {
				return nil, false, err
			}
			continue
		}
		list, err = a.primary(ctx, folder, e.Next, f.Size)
		known = err == nil
		if err := judge(err); err != nil {
			return nil, false, err
		}
	}
	return list, known, nil
}

// primary reads the packages that a snapshot lists.
func (a *auditor) primary(ctx context.Context, folder string, s ledger.State, credit int64) ([]rpmmd.PackageInfo, error) {
	o, err := a.open(ctx, folder+metadataFiles(s)[0].name, credit)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	list, err := readPrimary(o, s)
	return list, o.judge(err)
}

// openSame checks a packed file and what is in it without keeping either.
func (a *auditor) openSame(ctx context.Context, key string, want rpmmd.Record) error {
	o, err := a.open(ctx, key, want.Size)
	if err != nil {
		return err
	}
	defer o.Close()
	open, err := rpmmd.OpenGzip(o, want)
	if err == nil {
		_, err = io.Copy(io.Discard, open)
	}
	return o.judge(err)
}

// content holds what a snapshot lists against what the ledger says it lists, and
// returns what is wrong, a line each. Compare says that the list before is known.
func (a *auditor) content(r *repository, e ledger.Entry, before []rpmmd.PackageInfo, compare bool) (found []string) {
	if !r.known {
		return nil
	}
	if compare {
		found = lines(Transition(e, before, r.listed))
	}
	if len(found) == 0 && !a.single {
		found = lines(checkSet(r.set, r.listed))
	}
	if len(found) == 0 {
		found = lines(checkCount(r.listed, e.Next))
	}
	for _, p := range r.listed {
		if made, ok := a.described[p.NEVRA.String()]; ok {
			for _, f := range rpmmd.CompareFields(made, p) {
				found = append(found, fmt.Sprintf("package %s has the %s %q, its header says %q", p.NEVRA, f.Name, f.New, f.Old))
			}
		}
	}
	return found
}

// checkSet compares a list of packages with the set that the ledger adds up to.
func checkSet(set map[string]ledger.Package, list []rpmmd.PackageInfo) error {
	rest := maps.Clone(set)
	var all []error
	for _, p := range list {
		q, ok := rest[p.NEVRA.String()]
		delete(rest, p.NEVRA.String())
		switch {
		case !ok:
			all = append(all, fmt.Errorf("lists %s, which the ledger does not", p.NEVRA))
		case p.SHA256 != q.SHA256 || p.Size != q.Size:
			all = append(all, fmt.Errorf("lists %s with the sha256 %s, the ledger says %s", p.NEVRA, p.SHA256, q.SHA256))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		all = append(all, fmt.Errorf("does not list %s, which the ledger does", name))
	}
	return errors.Join(all...)
}

// rebuild makes the metadata anew from the headers of the packages. It needs
// none of the published metadata, and says nothing where a package is missing or
// wrong, which was reported.
func (a *auditor) rebuild(folder string, set map[string]ledger.Package, e ledger.Entry) error {
	var fragments []rpmmd.Fragment
	for name := range set {
		f, ok := a.fragments[name]
		if !ok {
			return nil
		}
		fragments = append(fragments, f)
	}
	made, err := rpmmd.Build(fragments, e.Next.Revision)
	if err != nil {
		return wrong(folder+repomdName, "cannot be made from its packages: %v", err)
	}
	files := metadataFiles(e.Next)
	for i, f := range metadataFiles(StateOf(made.Summary)) {
		want := files[i]
		switch {
		case f.OpenSHA256 != want.OpenSHA256 || f.OpenSize != want.OpenSize:
			a.wrong(folder+want.name, "is not what the headers of its packages make: the content would have the sha256 %s, the ledger says %s", f.OpenSHA256, want.OpenSHA256)
		case f.Record != want.Record:
			if a.encoders++; a.encoders == 1 {
				a.encoderKey = folder + want.name
			}
		}
	}
	return nil
}
