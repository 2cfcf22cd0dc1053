// Package sign holds the publisher's keys, and the gate: the check that runs
// before the metadata key is used. The key signs only metadata whose entry is
// provably in the signed ledger, and which differs from the state before it in
// exactly what that entry says.
package sign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/pack/openpgp"
	"colophon/publish/audit"
)

// Gate decides what the metadata key may sign.
type Gate struct {
	Ledger note.Verifier // pinned on the key holder's side
}

// Request is what the gate gets to see. It trusts none of it.
type Request struct {
	Entry    []byte // the leaf
	Proof    []byte // its .tlog-proof: an inclusion proof with a signed checkpoint
	Next     audit.Snapshot
	Previous *audit.Snapshot // nil for the first snapshot
}

// Check returns the entry when all rules are met: the entry is in the ledger,
// both snapshots are those it names, and their difference is what it says.
func (g Gate) Check(r Request) (ledger.Entry, error) {
	proof, err := ledger.ParseProof(r.Proof)
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("gate: inclusion proof: %w", err)
	}
	if _, err := proof.Verify(r.Entry, g.Ledger); err != nil {
		return ledger.Entry{}, fmt.Errorf("gate: inclusion proof: %w", err)
	}
	e, err := ledger.Decode(r.Entry)
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("gate: entry: %w", err)
	}
	if (e.Previous == nil) != (r.Previous == nil) {
		return ledger.Entry{}, errors.New("gate: entry and request disagree on whether there is a snapshot before this one")
	}
	next, err := r.Next.Packages(e.Next)
	if err != nil {
		return ledger.Entry{}, fmt.Errorf("gate: new snapshot: %w", err)
	}
	var previous []rpmmd.PackageInfo
	if r.Previous != nil {
		if previous, err = r.Previous.Packages(*e.Previous); err != nil {
			return ledger.Entry{}, fmt.Errorf("gate: previous snapshot: %w", err)
		}
	}
	if err := audit.Transition(e, previous, next); err != nil {
		return ledger.Entry{}, fmt.Errorf("gate: %w", err)
	}
	return e, nil
}

// Metadata signs repomd.xml when the gate lets it pass. The signature is dated
// with the entry's time, so that a key in a file always gives the same bytes.
// The result is armored, as repomd.xml.asc.
func (k *Keys) Metadata(_ context.Context, r Request) ([]byte, error) {
	e, err := Gate{k.Verifier}.Check(r)
	if err != nil {
		return nil, err
	}
	if got := k.MetadataKey.Fingerprint(); got != e.Signer {
		return nil, fmt.Errorf("gate: entry names the key %s, this is %s", e.Signer, got)
	}
	signature, err := k.MetadataKey.Sign(r.Next.Repomd, e.Time)
	if err != nil {
		return nil, fmt.Errorf("sign repomd.xml: %w", err)
	}
	return openpgp.Armor(signature), nil
}

// Package signs the main header of a package, dated at. It is what pack asks for.
func (k *Keys) Package(_ context.Context, header []byte, at time.Time) ([]byte, error) {
	return k.PackageKey.Sign(header, at)
}
