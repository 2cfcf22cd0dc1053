package publish

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"colophon/logs"
	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/pack"
	"colophon/publish/audit"
)

// addition is a package that a publish adds to a repository.
type addition struct {
	repository string
	pkg        ledger.Package
}

// change is what a publish will commit: step 2's result.
type change struct {
	entries []ledger.Entry
	tree    ledger.Append
}

// date is the build and signature time of a definition's package.
func (r *run) date(d *pack.Definition) time.Time {
	if !r.Date.IsZero() {
		return r.Date
	}
	return d.Date.Time
}

// checkDates refuses signatures that clients would refuse: from the future, or
// from outside the key's life.
func (r *run) checkDates(list []*pack.Definition) error {
	for _, d := range list {
		if err := r.config.checkDate(d.NEVRA().String(), r.date(d), r.now(), r.keys.PackageKey); err != nil {
			return err
		}
	}
	if err := r.keys.MetadataKey.Usable(r.now()); err != nil {
		return r.config.bad(err.Error(), "use another metadata key")
	}
	return nil
}

// prepare packs the templates and makes the next snapshots and entries in
// pending. Nil means that there is nothing new.
func (r *run) prepare(ctx context.Context, definitions []*pack.Definition) (*change, error) {
	sets := map[string]map[string]ledger.Package{}
	added := map[string][]ledger.Package{}
	for _, d := range definitions {
		a, err := r.pack(ctx, d)
		if err != nil {
			return nil, err
		}
		if sets[a.repository] == nil {
			sets[a.repository] = r.local.chain.Packages(a.repository)
		}
		if _, listed := sets[a.repository][a.pkg.NEVRA]; !listed {
			sets[a.repository][a.pkg.NEVRA] = a.pkg
			added[a.repository] = append(added[a.repository], a.pkg)
		}
	}
	if len(added) == 0 {
		return nil, nil
	}
	c := &change{}
	for _, repository := range r.config.Repositories { // in their order
		if list := added[repository.Name]; len(list) > 0 {
			e, err := r.snapshot(repository.Name, list, sets[repository.Name])
			if err != nil {
				return nil, err
			}
			c.entries = append(c.entries, e)
		}
	}
	return c, r.extend(ctx, c)
}

// pack makes one package in pending, or finds that it was published before.
func (r *run) pack(ctx context.Context, d *pack.Definition) (addition, error) {
	name := d.NEVRA().String()
	r.Report.Step("pack " + name)
	staged, err := r.history.Pending.Stage()
	if err != nil {
		return addition{}, err
	}
	defer staged.Discard() // the first error counts
	made, err := pack.Pack(ctx, d, staged, pack.Options{
		Sign: r.keys.Package, Date: r.Date,
		Progress: func(done, total int64) { r.Report.Progress("pack "+name, done, total) },
	})
	if err != nil {
		return addition{}, err
	}
	log, err := readLog(d)
	if err != nil {
		return addition{}, err
	}
	if before, ok := r.local.chain.Published(name); ok {
		return addition{d.Repository, before}, r.same(d, made, log, before)
	}
	if err := r.examine(ctx, d, staged, made); err != nil {
		return addition{}, err
	}
	p := ledger.Package{
		ContentID: made.Digests.Content, Header: made.Digests.Header, NEVRA: name, NoLog: d.Log.None,
		Path: made.NEVRA.Path(), SHA256: made.Digests.File, Signer: r.keys.PackageKey.Fingerprint(), Size: made.Digests.Size,
	}
	if log != nil {
		p.Log = &ledger.Log{
			OpenSHA256: log.Open.SHA256, OpenSize: log.Open.Size,
			SHA256: log.Compressed.SHA256, Size: log.Compressed.Size,
		}
		if err := r.history.Pending.Put(p.Path+logs.LogSuffix, log.Data); err != nil {
			return addition{}, err
		}
	}
	record, err := logs.EncodeRecord(recordOf(d, made, log, r.Version))
	if err != nil {
		return addition{}, err
	}
	p.Record = ledger.Digest(rpmmd.DigestOf(record))
	if err := r.history.Pending.Put(p.Path+logs.RecordSuffix, record); err != nil {
		return addition{}, err
	}
	return addition{d.Repository, p}, r.history.Pending.Keep(staged, p.Path)
}

// same checks that a package published before is this one: its name never
// comes with other content.
func (r *run) same(d *pack.Definition, made *pack.Result, log *logs.Log, before ledger.Package) error {
	bad := func(what string) error {
		return &pack.InputError{File: d.Resolve(d.Image), Reason: fmt.Sprintf("%s was published before with another %s", before.NEVRA, what), Advice: "a published package never changes: raise release: in its template.yaml"}
	}
	open := func(l *ledger.Log) string {
		if l == nil {
			return ""
		}
		return l.OpenSHA256
	}
	now := ""
	if log != nil {
		now = log.Open.SHA256
	}
	switch {
	case made.Digests.Content != before.ContentID:
		return bad("content")
	case made.Digests.File != before.SHA256:
		return bad("signature")
	case now != open(before.Log) || d.Log.None != before.NoLog:
		return bad("build log")
	}
	return nil
}

// readLog prepares the definition's build log; nil when it gives a reason why
// there is none.
func readLog(d *pack.Definition) (*logs.Log, error) {
	if d.Log.None != "" {
		return nil, nil
	}
	f, err := d.OpenLog()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	log, err := logs.ReadLog(f, 0)
	if err != nil {
		return nil, &pack.InputError{File: f.Name(), Reason: "build log cannot be published: " + err.Error(), Advice: "name the log of the build, or say why there is none: log: {none: REASON}"}
	}
	return &log, nil
}

// recordOf says what a package was made of.
func recordOf(d *pack.Definition, made *pack.Result, log *logs.Log, version string) logs.Record {
	rec := logs.Record{
		FileName: made.NEVRA.FileName(), SHA256: made.Digests.File, ContentID: made.Digests.Content,
		Definition: logs.Definition{
			Name: d.Name, Version: d.Version, Release: d.Release, Date: d.Date.Format(time.RFC3339),
			Summary: d.Summary, Description: d.Description, License: d.License, URL: d.URL,
			Repository: d.Repository, Compression: d.Compression.String(),
		},
		DefinitionSHA256: d.Digest(),
		Image:            logs.Image{SparseSHA256: made.TarDigest, Size: made.ImageBytes, Data: made.DataBytes},
		NoLog:            d.Log.None,
		ContainerFormat:  pack.ContainerFormat,
		Codec:            logs.Codec{ID: made.Codec.Name, Module: made.Codec.Module, Version: made.Codec.Version, Level: made.Codec.Level},
		Frames: logs.Frames{
			Min: int64(made.Cut.Min), Average: int64(made.Cut.Average), Max: int64(made.Cut.Max),
			Block: int64(made.Cut.Block), Hash: made.Cut.Hash,
		},
		SourceDateEpoch: made.Date.Unix(),
		Tool:            version,
	}
	for _, f := range made.SideFiles {
		rec.Files = append(rec.Files, logs.File{Name: f.Name, SHA256: f.SHA256()})
	}
	if log != nil {
		rec.Log = &log.LogDigests
	}
	return rec
}

// snapshot makes the next state of a repository in pending, and its entry.
func (r *run) snapshot(repository string, added []ledger.Package, set map[string]ledger.Package) (ledger.Entry, error) {
	slices.SortFunc(added, func(a, b ledger.Package) int { return strings.Compare(a.NEVRA, b.NEVRA) })
	e := ledger.Entry{
		Added: added, Kind: ledger.KindPublish, Removed: []ledger.Removal{}, Repository: repository, Serial: 1,
		Signer: r.keys.MetadataKey.Fingerprint(), Time: r.now(), Tool: ledger.Tool{Name: "colophon", Version: r.Version},
		Version: ledger.EntryVersion,
	}
	// Times never go back, and revisions grow: a clock that lags must not show.
	if n := len(r.local.leaves); n > 0 && e.Time.Before(r.local.leaves[n-1].entry.Time) {
		e.Time = r.local.leaves[n-1].entry.Time
	}
	if last, ok := r.local.chain.Last(repository); ok {
		e.Serial = last.Serial + 1
		e.Previous = &last.Next
		if !e.Time.After(last.Time) {
			e.Time = last.Time.Add(time.Second)
		}
	}
	var fragments []rpmmd.Fragment
	for _, p := range set {
		area := r.history.Tree
		if r.history.Pending.Has(p.Path) {
			area = r.history.Pending
		}
		headers, err := area.Headers(p.Path, p.Header)
		if err != nil {
			return e, err
		}
		f, err := rpmmd.NewFragment(rpmmd.Input{Package: headers, SHA256: p.SHA256, Size: p.Size})
		if err != nil {
			return e, fmt.Errorf("metadata of %s: %w", p.NEVRA, err)
		}
		fragments = append(fragments, f)
	}
	metadata, err := rpmmd.Build(fragments, e.Time.Unix())
	if err != nil {
		return e, fmt.Errorf("metadata of %s: %w", repository, err)
	}
	e.Next = audit.StateOf(metadata.Summary)
	for _, f := range metadata.Files {
		if err := r.history.Pending.Put(snapshotKey(e, f.Name), f.Data); err != nil {
			return e, err
		}
	}
	return e, r.history.Pending.Put(snapshotKey(e, "repomd.xml"), metadata.Repomd)
}

// extend appends the entries to the ledger's tree, in pending.
func (r *run) extend(ctx context.Context, c *change) error {
	var raw [][]byte
	for _, e := range c.entries {
		b, err := ledger.Encode(e)
		if err != nil {
			return err
		}
		raw = append(raw, b)
	}
	var err error
	if c.tree, err = ledger.Extend(ctx, r.history.Tree, r.local.tree, raw); err != nil {
		return err
	}
	for _, o := range c.tree.Objects {
		if err := r.history.Pending.Put(o.Key, o.Data); err != nil {
			return err
		}
	}
	text, err := ledger.CheckpointText(c.tree.Checkpoint)
	if err != nil {
		return err
	}
	bundle, err := ledger.EncodeBundle(raw)
	if err != nil {
		return err
	}
	return r.history.Pending.Put(ledger.StagingKey(text), bundle)
}

// roundUp is the space a file takes on a disk of 4 KiB blocks.
func roundUp(info os.FileInfo) int64 { return (info.Size() + 4095) &^ 4095 }
