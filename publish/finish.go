package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/publish/audit"
	"colophon/publish/sign"
	"colophon/publish/store"
)

// finish makes the store show what the history says: steps 5 to 10. It works
// from the difference between the two alone, so a run that was cut off anywhere
// behind the commit is finished by the next one.
func (r *run) finish(ctx context.Context) error {
	r.result.fill(r)
	behind, err := r.behind(ctx)
	if err != nil {
		return err
	}
	if len(behind) == 0 {
		return r.publishPages(ctx) // a run may have been cut off just before them
	}
	r.result.published(behind)
	if err := store.Claim(ctx, r.store, r.keys.VKey); err != nil {
		return err
	}
	for _, l := range behind {
		if err := r.putPackages(ctx, l.entry); err != nil {
			return err
		}
	}
	if err := r.publishLedger(ctx, behind); err != nil {
		return err
	}
	for _, l := range behind {
		if err := r.publishSnapshot(ctx, l); err != nil {
			return err
		}
	}
	if err := r.publishSettings(ctx); err != nil {
		return err
	}
	if err := r.verify(ctx, behind); err != nil {
		return err
	}
	r.Report.Step("switch the heads")
	for _, repository := range r.config.Repositories {
		if !slices.ContainsFunc(behind, func(l leaf) bool { return l.entry.Repository == repository.Name }) {
			continue
		}
		if err := r.switchHead(ctx, repository.Name); err != nil {
			return err
		}
	}
	return r.publishPages(ctx)
}

// behind lists the entries that the store does not fully show yet.
func (r *run) behind(ctx context.Context) ([]leaf, error) {
	var shown int64 // entries of the public checkpoint
	if r.remote.checkpoint.data != nil {
		c, err := ledger.Open(r.remote.checkpoint.data, r.keys.Verifier)
		if err != nil {
			return nil, fmt.Errorf("read %s of the store: %w", ledger.CheckpointKey, err)
		}
		shown = c.Size
	}
	live := map[string]int64{} // serial of the head
	for _, l := range r.local.leaves {
		head, err := r.config.headOf(l.entry)
		if err != nil {
			return nil, err
		}
		if string(head) == string(r.remote.heads[l.entry.Repository].data) {
			live[l.entry.Repository] = l.entry.Serial
		}
	}
	var list []leaf
	for _, l := range r.local.leaves {
		e := l.entry
		if _, configured := r.remote.heads[e.Repository]; !configured {
			continue // no longer in colophon.yaml: its tree stays as it is
		}
		stale := false
		if last, _ := r.local.chain.Last(e.Repository); last.Serial == e.Serial && live[e.Repository] == e.Serial {
			same, err := r.latestIs(ctx, e)
			if err != nil {
				return nil, err
			}
			stale = !same
		}
		if l.index >= shown || e.Serial > live[e.Repository] || stale {
			list = append(list, l)
		}
	}
	return list, nil
}

// publishLedger uploads tiles, proofs and then the checkpoint: step 5. A crash
// before the checkpoint leaves tiles that nobody points to.
func (r *run) publishLedger(ctx context.Context, behind []leaf) error {
	r.Report.Step("upload the ledger")
	if string(r.remote.commit.data) != string(r.local.signed) {
		// The store was replaced or restored: the history is ahead of it.
		if err := r.swapCommit(ctx, r.local.signed); err != nil {
			return err
		}
	}
	for _, l := range behind {
		if err := r.prove(ctx, l); err != nil {
			return err
		}
	}
	if string(r.remote.checkpoint.data) == string(r.local.signed) {
		return nil
	}
	err := r.history.Tree.Walk(func(key string) error {
		if !strings.HasPrefix(key, "ledger/tile/") {
			return nil
		}
		return r.put(ctx, key)
	})
	if err != nil {
		return err
	}
	tag, err := r.store.Swap(ctx, ledger.CheckpointKey, r.local.signed, store.Checkpoint, r.remote.checkpoint.tag)
	if err != nil {
		return fmt.Errorf("upload %q: %w", ledger.CheckpointKey, err)
	}
	r.remote.checkpoint = pointer{r.local.signed, tag}
	return nil
}

// prove writes the inclusion proofs of the packages that an entry adds. A
// package has one proof for ever: that of the first entry that added it.
func (r *run) prove(ctx context.Context, l leaf) error {
	var proof []byte
	for _, p := range l.entry.Added {
		key := p.Path + ".tlog-proof"
		if !r.history.Tree.Has(key) {
			if proof == nil {
				var err error
				if proof, err = r.proof(ctx, l); err != nil {
					return err
				}
			}
			if err := r.history.Tree.Put(key, proof); err != nil {
				return err
			}
		}
		if err := r.put(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// proof shows that an entry is in the current tree.
func (r *run) proof(ctx context.Context, l leaf) ([]byte, error) {
	hashes, err := ledger.ProveInclusion(ctx, r.history.Tree, r.local.tree, l.index)
	if err != nil {
		return nil, fmt.Errorf("prove entry %d: %w", l.index, err)
	}
	return ledger.Proof{Index: l.index, Hashes: hashes, Checkpoint: r.local.signed}.Encode(), nil
}

// publishSnapshot has repomd.xml signed and uploads the folder: steps 6 and 7.
// The signature is kept before it is uploaded, because not every signer gives
// the same bytes twice.
func (r *run) publishSnapshot(ctx context.Context, l leaf) error {
	e := l.entry
	r.Report.Step(fmt.Sprintf("sign and upload %s %06d", e.Repository, e.Serial))
	if asc := snapshotKey(e, "repomd.xml.asc"); !r.history.Tree.Has(asc) {
		signature, err := r.signature(ctx, l)
		if err != nil {
			return fmt.Errorf("sign %s %06d: %w", e.Repository, e.Serial, err)
		}
		// The key first: where there is a signature, the snapshot is complete.
		if err := r.history.Tree.Put(snapshotKey(e, "repomd.xml.key"), r.keys.MetadataKey.Public()); err != nil {
			return err
		}
		if err := r.history.Tree.Put(asc, signature); err != nil {
			return err
		}
	}
	for _, name := range snapshotFiles(e) {
		if err := r.put(ctx, snapshotKey(e, name)); err != nil {
			return err
		}
	}
	return nil
}

// signature asks the gate and the metadata key.
func (r *run) signature(ctx context.Context, l leaf) ([]byte, error) {
	proof, err := r.proof(ctx, l)
	if err != nil {
		return nil, err
	}
	request := sign.Request{Entry: l.raw, Proof: proof}
	if request.Next, err = r.metadata(ctx, l.entry); err != nil {
		return nil, err
	}
	for _, before := range r.local.leaves[:l.index] {
		if before.entry.Repository == l.entry.Repository && before.entry.Serial == l.entry.Serial-1 {
			previous, err := r.metadata(ctx, before.entry)
			if err != nil {
				return nil, err
			}
			request.Previous = &previous
		}
	}
	return r.keys.Metadata(ctx, request)
}

// metadata reads a snapshot from the history.
func (r *run) metadata(ctx context.Context, e ledger.Entry) (audit.Snapshot, error) {
	var s audit.Snapshot
	var err error
	if s.Repomd, err = r.history.Tree.ReadFile(ctx, snapshotKey(e, "repomd.xml")); err == nil {
		s.Primary, err = r.history.Tree.ReadFile(ctx, snapshotKey(e, metadataFiles(e)[0]))
	}
	return s, err
}

// metadataFiles are the files that repomd.xml names, primary first.
func metadataFiles(e ledger.Entry) []string {
	return []string{
		rpmmd.Record(e.Next.Primary).FileName(rpmmd.Primary),
		rpmmd.Record(e.Next.Filelists).FileName(rpmmd.Filelists),
		rpmmd.Record(e.Next.Other).FileName(rpmmd.Other),
	}
}

// snapshotFiles are all files of a snapshot, pointers last.
func snapshotFiles(e ledger.Entry) []string {
	return append(metadataFiles(e), "repomd.xml.key", "repomd.xml.asc", "repomd.xml")
}

// publishSettings writes what clients are configured with.
func (r *run) publishSettings(ctx context.Context) error {
	policy, err := ledger.PolicyText(r.keys.VKey)
	if err != nil {
		return err
	}
	settings := map[string][]byte{
		ledger.PolicyKey:                        []byte(policy),
		keyOf(r.keys.PackageKey.Fingerprint()):  r.keys.PackageKey.Public(),
		keyOf(r.keys.MetadataKey.Fingerprint()): r.keys.MetadataKey.Public(),
	}
	for _, repository := range r.config.Repositories {
		last, ok := r.local.chain.Last(repository.Name)
		if !ok {
			continue
		}
		text, err := rpmmd.ClientConfig{
			Repository: repository.Name,
			Name:       r.config.Site.Name + " - " + repository.Name,
			Site:       r.config.Site.URL,
			Serial:     int(last.Serial),
			Keys: []string{
				r.config.Site.URL + "/" + keyOf(r.keys.PackageKey.Fingerprint()),
				r.config.Site.URL + "/" + keyOf(r.keys.MetadataKey.Fingerprint()),
			},
		}.Marshal()
		if err != nil {
			return fmt.Errorf("client configuration of %s: %w", repository.Name, err)
		}
		settings[path.Join(repository.Name, repository.Name+".repo")] = text
	}
	for key, data := range settings {
		if err := r.update(ctx, key, data); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(fingerprint string) string { return "keys/" + fingerprint + ".asc" }

// update writes a small object that may have been there with other bytes.
func (r *run) update(ctx context.Context, key string, data []byte) error {
	kind, ok := store.KindOf(key)
	if !ok {
		return fmt.Errorf("upload %q: no object of the public tree", key)
	}
	changed, err := store.Update(ctx, r.store, key, data, kind)
	if err != nil {
		return fmt.Errorf("upload %q: %w", key, err)
	}
	if changed {
		r.result.Objects++
		r.result.Bytes += int64(len(data))
	}
	return nil
}

// verify reads everything new back, as clients will: step 8.
func (r *run) verify(ctx context.Context, behind []leaf) error {
	var reader store.Reader = r.store
	if r.config.Verify == VerifyPublic {
		var err error
		if reader, err = store.OpenReader(r.config.Site.URL, store.Options{HTTP: r.HTTP}); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
	}
	r.Report.Step("verify through " + reader.Address())
	for _, l := range behind {
		found, err := audit.Entry(ctx, Reader{reader}, audit.Options{VKey: r.keys.VKey, Now: r.now()}, l.index, l.entry)
		if err != nil {
			return fmt.Errorf("verify %s %06d: %w", l.entry.Repository, l.entry.Serial, err)
		}
		if len(found) > 0 {
			return &VerifyError{found}
		}
	}
	return nil
}

// VerifyError reports that the store does not give back what was written. The
// heads were not switched.
type VerifyError struct{ Findings []audit.Finding }

func (e *VerifyError) Error() string {
	f := e.Findings[0]
	return fmt.Sprintf("verify: %s: %s (%d findings); nothing was made live", f.Key, f.Text, len(e.Findings))
}

// Hint says what to do.
func (e *VerifyError) Hint() string {
	return "repair the store or what stands in front of it, then run the same command again"
}

// switchHead makes the last snapshot of a repository live: step 9. Of two
// publishers the one with the older snapshot does nothing.
func (r *run) switchHead(ctx context.Context, repository string) error {
	last, ok := r.local.chain.Last(repository)
	if !ok {
		return nil
	}
	head, err := r.config.headOf(last)
	if err != nil {
		return err
	}
	if current := r.remote.heads[repository]; string(current.data) != string(head) {
		if _, err := r.store.Swap(ctx, headKey(repository), head, store.Head, current.tag); err != nil {
			if errors.Is(err, store.ErrChanged) {
				return ErrOvertaken
			}
			return fmt.Errorf("switch %q: %w", headKey(repository), err)
		}
		r.result.Objects++
		r.result.Bytes += int64(len(head))
	}
	// Clients that read latest/ between the last two writes see a repomd.xml and
	// a signature that do not fit, and refuse them.
	for _, name := range snapshotFiles(last) {
		data, err := r.history.Tree.ReadFile(ctx, snapshotKey(last, name))
		if err != nil {
			return fmt.Errorf("read history: %w", err)
		}
		if err := r.update(ctx, latestKey(repository, name), data); err != nil {
			return err
		}
	}
	return nil
}

func latestKey(repository, file string) string { return repository + "/latest/repodata/" + file }

// latestIs says whether latest/ shows an entry's snapshot: its two files that
// change in place.
func (r *run) latestIs(ctx context.Context, e ledger.Entry) (bool, error) {
	for _, name := range []string{"repomd.xml", "repomd.xml.asc"} {
		want, err := r.history.Tree.ReadFile(ctx, snapshotKey(e, name))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		got, err := readPointer(ctx, r.store, latestKey(e.Repository, name))
		if err != nil || string(got.data) != string(want) {
			return false, err
		}
	}
	return true, nil
}
