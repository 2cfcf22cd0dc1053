package publish

import (
	"context"
	"fmt"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/publish/audit"
	"colophon/publish/sign"
)

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
