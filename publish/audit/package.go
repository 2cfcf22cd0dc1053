package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"colophon/logs"
	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/pack/lint"
	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

// proofSuffix is that of an inclusion proof, after the package's path.
const proofSuffix = ".tlog-proof"

// published checks a package and what lies beside it. The entry, with its index
// and its bytes, is the one that added it first.
func (a *auditor) published(ctx context.Context, r *repository, index int64, raw []byte, e ledger.Entry, p ledger.Package) error {
	if err := a.uploaded(ctx, e, p, a.incomplete(r, e)); err != nil {
		return err
	}
	return a.judge(a.proof(ctx, index, raw, p))
}

// uploaded checks what is in the tree before the entry is.
func (a *auditor) uploaded(ctx context.Context, e ledger.Entry, p ledger.Package, unfinished bool) error {
	for _, check := range []func() error{
		func() error { return a.file(ctx, e, p, unfinished) },
		func() error { return a.log(ctx, p) },
		func() error { return a.record(ctx, p) },
	} {
		if err := a.judge(check()); err != nil {
			return err
		}
	}
	return nil
}

// file reads a package and makes the fragment of metadata that it stands for.
func (a *auditor) file(ctx context.Context, e ledger.Entry, p ledger.Package, unfinished bool) error {
	o, err := a.open(ctx, p.Path, p.Size)
	if err != nil {
		return err
	}
	defer o.Close()
	pkg, d, err := rpm.Read(io.LimitReader(o, p.Size+1))
	if o.failed != nil || pkg == nil {
		return o.judge(err)
	}
	switch {
	case d.Size > p.Size:
		return wrong(p.Path, "has more than the %d bytes that the ledger says", p.Size)
	case d.File != p.SHA256 && d.Content == p.ContentID:
		return wrong(p.Path, "was signed again: its content is that of the ledger, its sha256 is %s instead of %s", d.File, p.SHA256)
	case d.File != p.SHA256:
		return wrong(p.Path, "%s", differs(ledger.Digest{SHA256: d.File, Size: d.Size}, ledger.Digest{SHA256: p.SHA256, Size: p.Size}))
	case err != nil:
		return wrong(p.Path, "%v", err)
	}
	// The file is that of the ledger. What is wrong from here on is so by the
	// publisher's own hand.
	bad := func(format string, args ...any) { a.wrong(p.Path, format, args...) }
	if d.Size != p.Size {
		bad("has %d bytes, the ledger says %d", d.Size, p.Size)
	}
	if d.Content != p.ContentID {
		bad("has the content id %s, the ledger says %s", d.Content, p.ContentID)
	}
	if d.Header != p.Header {
		bad("has the header digest %s, the ledger says %s", d.Header, p.Header)
	}
	if n := pkg.Header.NEVRA(); n.String() != p.NEVRA || n.Path() != p.Path {
		bad("is the package %q, the ledger says %q", n, p.NEVRA)
	}
	for _, line := range lines(lint.Package(pkg, lint.Template)) {
		bad("%s", line)
	}
	key, err := a.key(ctx, p.Signer, unfinished)
	if err != nil {
		return err
	}
	if key != nil {
		if err := a.verified(e.Time, func(now time.Time) error {
			_, err := pkg.VerifySignature(openpgp.Keyring{key}, now)
			return err
		}); err != nil {
			bad("%v (key %s)", err, p.Signer)
		}
	}
	in := rpmmd.Input{Package: pkg, SHA256: d.File, Size: d.Size}
	f, err := rpmmd.NewFragment(in)
	if err != nil {
		return wrong(p.Path, "%v", err)
	}
	a.fragments[p.NEVRA] = f
	if a.described != nil {
		if a.described[p.NEVRA], err = rpmmd.Describe(in); err != nil {
			return wrong(p.Path, "%v", err)
		}
	}
	return nil
}

// log reads a build log, packed and open.
func (a *auditor) log(ctx context.Context, p ledger.Package) error {
	if p.Log == nil {
		return nil
	}
	key := p.Path + logs.LogSuffix
	o, err := a.open(ctx, key, p.Log.Size)
	if err != nil {
		return err
	}
	defer o.Close()
	d, err := logs.OpenLog(io.Discard, io.LimitReader(o, p.Log.Size+1), p.Log.OpenSize)
	if err := o.judge(err); err != nil {
		return err
	}
	if got, want := ledger.Digest(d.Compressed), (ledger.Digest{SHA256: p.Log.SHA256, Size: p.Log.Size}); got != want {
		return wrong(key, "%s", differs(got, want))
	}
	if got, want := ledger.Digest(d.Open), (ledger.Digest{SHA256: p.Log.OpenSHA256, Size: p.Log.OpenSize}); got != want {
		return wrong(key, "when open, %s", differs(got, want))
	}
	return nil
}

// record reads a build record and wants it to speak of this package.
func (a *auditor) record(ctx context.Context, p ledger.Package) error {
	key := p.Path + logs.RecordSuffix
	data, err := a.exact(ctx, key, p.Record, logs.MaxRecord)
	if err != nil {
		return err
	}
	r, err := logs.DecodeRecord(data)
	if err != nil {
		return wrong(key, "%v", err)
	}
	var log *ledger.Log
	if r.Log != nil {
		log = &ledger.Log{
			OpenSHA256: r.Log.Open.SHA256, OpenSize: r.Log.Open.Size,
			SHA256: r.Log.Compressed.SHA256, Size: r.Log.Compressed.Size,
		}
	}
	switch {
	case r.FileName != path.Base(p.Path):
		return wrong(key, "speaks of the package %q", r.FileName)
	case r.SHA256 != p.SHA256:
		return wrong(key, "speaks of a package with the sha256 %s, the ledger says %s", r.SHA256, p.SHA256)
	case r.ContentID != p.ContentID:
		return wrong(key, "speaks of the content id %s, the ledger says %s", r.ContentID, p.ContentID)
	case (log == nil) != (p.Log == nil) || log != nil && *log != *p.Log || r.NoLog != p.NoLog:
		return wrong(key, "speaks of another build log than the ledger")
	}
	return nil
}

// proof checks an inclusion proof, and that the tree it leads to is the
// beginning of the one that is served.
func (a *auditor) proof(ctx context.Context, index int64, raw []byte, p ledger.Package) error {
	key := p.Path + proofSuffix
	data, err := a.small(ctx, key, maxProof)
	if err != nil {
		return err
	}
	proof, err := ledger.ParseProof(data)
	if err != nil {
		return wrong(key, "%v", err)
	}
	if a.single && proof.Index < index {
		// The package was published before, which one entry alone does not tell.
		if raw, err = a.earlier(ctx, key, proof.Index, p); err != nil {
			return err
		}
	}
	c, err := proof.Verify(raw, a.verifier)
	switch {
	case err != nil:
		return wrong(key, "%v", err)
	case c.Size > a.book.tree.Size:
		return wrong(key, "leads to a tree of %d entries, but %s has only %d: newer entries are withheld", c.Size, ledger.CheckpointKey, a.book.tree.Size)
	}
	if !a.proven[c] {
		if err := a.extends(ctx, key, c, a.book.tree); err != nil {
			return err
		}
		a.proven[c] = true
	}
	return nil
}

// earlier reads the entry that a proof is for.
func (a *auditor) earlier(ctx context.Context, key string, index int64, p ledger.Package) ([]byte, error) {
	raw, err := a.leaf(ctx, index)
	if err != nil {
		return nil, err
	}
	e, err := ledger.Decode(raw)
	if err != nil {
		return nil, wrong(key, "is for entry %d: %v", index, err)
	}
	for _, q := range e.Added {
		if q.NEVRA == p.NEVRA && q.SHA256 == p.SHA256 {
			return raw, nil
		}
	}
	return nil, wrong(key, "is for entry %d, which does not add the package", index)
}

// verified asks for a signature as it is seen now, or as it was seen when its
// entry was new: a key may have expired since, and an auditor's clock may lag.
func (a *auditor) verified(entry time.Time, check func(now time.Time) error) error {
	err := check(a.options.Now)
	if err != nil && check(entry.Add(max(a.options.Grace, 0))) == nil {
		return nil
	}
	return err
}

// keyFile is a public key of the tree; nil where it is missing or wrong.
type keyFile struct {
	key  *openpgp.Key
	data []byte
}

// key reads keys/<fingerprint>.asc, once. What is wrong with it is reported
// there and then: nil stands for a key that cannot be used. The first publish
// that uses a key may be unfinished; then the key may still be missing.
func (a *auditor) key(ctx context.Context, fingerprint string, unfinished bool) (*openpgp.Key, error) {
	k := a.keys[fingerprint]
	if k == nil {
		var err error
		k, err = a.readKey(ctx, keyKey(fingerprint), fingerprint)
		if unfinished && isMissing(err) {
			a.notice(keyKey(fingerprint), "missing; nothing that it signed is live yet")
			err = nil
		}
		if err := a.judge(err); err != nil {
			return nil, err
		}
		a.keys[fingerprint] = k
	}
	return k.key, nil
}

func (a *auditor) readKey(ctx context.Context, name, fingerprint string) (*keyFile, error) {
	none := &keyFile{}
	data, err := a.small(ctx, name, maxKey)
	if err != nil {
		return none, err
	}
	k, err := openpgp.Read(data)
	switch {
	case err != nil:
		return none, wrong(name, "%v", err)
	case k.Fingerprint() != fingerprint:
		return none, wrong(name, "is the key %s", k.Fingerprint())
	case k.Private():
		return none, wrong(name, "holds a private key")
	case string(k.Public()) != string(data):
		return none, wrong(name, "is not in the form that this program writes")
	}
	return &keyFile{k, data}, nil
}

func keyKey(fingerprint string) string { return "keys/" + fingerprint + ".asc" }

// checkArmor wants a signature in its one form: armor leaves room for bytes that
// nobody signed.
func checkArmor(data []byte) error {
	packet, err := openpgp.Dearmor(data)
	if err != nil {
		return err
	}
	if string(openpgp.Armor(packet)) != string(data) {
		return errors.New("is not in the armor that this program writes")
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func snapshotFolder(repository string, serial int64) string {
	return fmt.Sprintf("%s/%06d/repodata/", repository, serial)
}

func headKey(repository string) string { return repository + "/metalink" }
