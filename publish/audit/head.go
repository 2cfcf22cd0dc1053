package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
)

// fetched is a small object, or why there is none.
type fetched struct {
	data []byte
	err  error // a *problem
}

// head is what changes in a repository when a snapshot goes live.
type head struct {
	metalink, client fetched
	latest           map[string]fetched // by name; the pointers only
}

func clientKey(repository string) string    { return repository + "/" + repository + ".repo" }
func latestFolder(repository string) string { return repository + "/latest/repodata/" }

// readHeads reads all heads at one time, so that they are compared with one
// state of the ledger.
func (a *auditor) readHeads(ctx context.Context) error {
	fetch := func(key string, limit int64) (fetched, error) {
		data, err := a.small(ctx, key, limit)
		if isFatal(err) {
			return fetched{}, err
		}
		return fetched{data, err}, nil
	}
	for _, r := range a.repositories {
		r.head.latest = map[string]fetched{}
		var err error
		for _, name := range pointerNames {
			if r.head.latest[name], err = fetch(latestFolder(r.name)+name, maxKey); err != nil {
				return err
			}
		}
		if r.head.client, err = fetch(clientKey(r.name), maxPointer); err != nil {
			return err
		}
		if r.head.metalink, err = fetch(headKey(r.name), maxPointer); err != nil {
			return err
		}
	}
	return nil
}

// metalink finds out which snapshot is live. Where that cannot be said, the
// rest is judged as if the last one were.
func (a *auditor) metalink(r *repository) error {
	key, last := headKey(r.name), r.last
	// The metalink goes first and is read last: latest/ is never ahead of it.
	shown := r.head.latest[repomdName]
	ahead := shown.err == nil && ledger.Digest(rpmmd.DigestOf(shown.data)) == last.Next.Repomd
	if isMissing(r.head.metalink.err) && last.Serial == 1 && !ahead {
		r.idle = true
		a.unfinished(last, key, "missing; serial 1 was committed at %s and is not live", stamp(last.Time))
		return nil
	}
	if r.head.metalink.err != nil {
		return a.judge(r.head.metalink.err)
	}
	m, err := rpmmd.ParseMetalink(r.head.metalink.data)
	if err != nil {
		a.wrong(key, "%v", err)
		return nil
	}
	state, serial := last.Next, last.Serial
	if last.Previous != nil && ledger.Digest(m.Repomd) == last.Previous.Repomd {
		state, serial = *last.Previous, last.Serial-1
	}
	if ledger.Digest(m.Repomd) != state.Repomd {
		if folder, ok := a.book.states[m.Repomd.SHA256]; ok {
			a.wrong(key, "names %s, the last snapshot is %s", folder+repomdName, snapshotFolder(r.name, last.Serial)+repomdName)
		} else {
			a.wrong(key, "names a repomd.xml with the sha256 %s, which is in no entry of the ledger", m.Repomd.SHA256)
		}
		return nil
	}
	switch {
	case serial < last.Serial && ahead:
		a.wrong(key, "was set back: it names serial %d, and latest/ shows serial %d", serial, last.Serial)
	case serial < last.Serial:
		r.idle = true
		a.unfinished(last, key, "names serial %d; serial %d was committed at %s and is not live", serial, last.Serial, stamp(last.Time))
	}
	if m.Revision != state.Revision {
		a.wrong(key, "has the revision %d, the ledger says %d", m.Revision, state.Revision)
	}
	place := "/" + snapshotFolder(r.name, serial) + repomdName
	for _, u := range m.URLs {
		if !strings.HasSuffix(u, place) {
			a.wrong(key, "the address %q does not end in %q", u, place)
		}
	}
	return nil
}

// client checks what clients are configured with, and that the metalink leads
// to the same site.
func (a *auditor) client(ctx context.Context, r *repository) error {
	key := clientKey(r.name)
	// Where a publish is under way the file may be the old one, for the old keys.
	report := func(format string, args ...any) {
		if r.idle {
			a.unfinished(r.last, key, format, args...)
		} else {
			a.wrong(key, format, args...)
		}
	}
	if isMissing(r.head.client.err) {
		report("missing")
		return nil
	}
	if r.head.client.err != nil {
		return r.head.client.err
	}
	c, err := parseClient(r.name, r.head.client.data)
	if err != nil {
		return wrong(key, "%v", err)
	}
	if int64(c.Serial) > r.last.Serial {
		return wrong(key, "names snapshot %06d, the last one is %06d", c.Serial, r.last.Serial)
	}
	if err := a.clientKeys(ctx, r, c, report); err != nil {
		return err
	}
	if m, err := rpmmd.ParseMetalink(r.head.metalink.data); err == nil {
		site := func(u string) bool { return strings.HasPrefix(u, c.Site+"/"+r.name+"/") }
		if !slices.ContainsFunc(m.URLs, site) {
			report("is for the site %q, which %s does not name", c.Site, headKey(r.name))
		}
	}
	return nil
}

// clientKeys wants the keys that clients are told to trust to be those that sign.
func (a *auditor) clientKeys(ctx context.Context, r *repository, c rpmmd.ClientConfig, report func(string, ...any)) error {
	trusted := map[string]bool{}
	for _, address := range c.Keys {
		fingerprint, ok := strings.CutPrefix(address, c.Site+"/keys/")
		fingerprint, asc := strings.CutSuffix(fingerprint, ".asc")
		if !ok || !asc {
			return wrong(clientKey(r.name), "the key %q is not one of this tree", address)
		}
		// Without a package there is no telling which key will sign the first.
		if _, signs := a.book.signers[fingerprint]; !signs && a.book.packages > 0 {
			a.wrong(clientKey(r.name), "trusts the key %s, which signed nothing that is in the ledger", fingerprint)
			a.point(keyKey(fingerprint))
			continue
		}
		trusted[fingerprint] = true
		if _, err := a.key(ctx, fingerprint, false); err != nil {
			return err
		}
	}
	if !trusted[r.last.Signer] {
		report("does not name the key %s, which signs the metadata", r.last.Signer)
	}
	needed := map[string]string{}
	for _, p := range r.set {
		if !trusted[p.Signer] {
			needed[p.Signer] = max(needed[p.Signer], p.NEVRA)
		}
	}
	for _, fingerprint := range slices.Sorted(maps.Keys(needed)) {
		report("does not name the key %s, which signed %s", fingerprint, needed[fingerprint])
	}
	return nil
}

// latest checks the copy of the live snapshot. It is written file by file, the
// pointers last, so an interrupted publish leaves a mixture.
func (a *auditor) latest(ctx context.Context, r *repository) error {
	if r.lastFiles == nil {
		return nil // the ledger contradicts itself, so there is nothing to compare with
	}
	folder, shown := latestFolder(r.name), r.last.Next
	behind := map[string]bool{}
	for _, name := range pointerNames {
		f := r.head.latest[name]
		is := func(files map[string]ledger.Digest) bool {
			want, ok := files[name]
			return f.err == nil && (!ok || want == ledger.Digest(rpmmd.DigestOf(f.data)))
		}
		switch {
		case is(r.lastFiles):
		case r.last.Serial > 1 && is(r.beforeFiles):
			behind[name] = true
			if name == repomdName {
				shown = *r.last.Previous
			}
		case r.last.Serial == 1 && isMissing(f.err):
			behind[name] = true
		case f.err != nil:
			if err := a.judge(f.err); err != nil {
				return err
			}
		default:
			evidence := ""
			if name == repomdName {
				var err error
				if evidence, err = a.evidence(ctx, folder, f.data); err != nil {
					return err
				}
			}
			a.wrong(folder+name, "is not that of %s%s", a.candidates(r), evidence)
		}
	}
	switch {
	case len(behind) == 0 || r.idle: // and said so
	case behind[repomdName] && behind[signatureName]: // the key may be the same in both
		a.unfinished(r.last, folder+repomdName, "is not yet that of serial %d, committed at %s", r.last.Serial, stamp(r.last.Time))
	default:
		a.unfinished(r.last, folder+repomdName, "the folder is torn between serial %d and the one before, committed at %s", r.last.Serial, stamp(r.last.Time))
	}
	if isMissing(r.head.latest[repomdName].err) {
		return nil // nobody asks for the rest
	}
	for _, s := range []ledger.State{shown, r.last.Next} {
		for _, f := range metadataFiles(s) {
			err := a.same(ctx, folder+f.name, ledger.Digest{SHA256: f.SHA256, Size: f.Size})
			if s != shown && isMissing(err) {
				continue // not there yet
			}
			if err := a.judge(err); err != nil {
				return err
			}
		}
		if s == r.last.Next {
			break
		}
	}
	return nil
}

// candidates names the snapshots that latest/ may show.
func (a *auditor) candidates(r *repository) string {
	if r.last.Serial == 1 || !a.within(r.last.Time) {
		return fmt.Sprintf("serial %d", r.last.Serial)
	}
	return fmt.Sprintf("serial %d or %d", r.last.Serial-1, r.last.Serial)
}
