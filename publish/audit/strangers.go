package audit

import (
	"context"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/pack/openpgp"
)

var (
	stagingPattern = regexp.MustCompile(`^ledger/staging/[0-9a-f]{64}$`)
	partialPattern = regexp.MustCompile(`^ledger/tile/(entries|[0-9]+)/[x0-9/]+\.p/[0-9]+$`)
	oldPattern     = regexp.MustCompile(`^[^/]+/latest/repodata/[0-9a-f]{64}-(primary|filelists|other)\.xml\.gz$`)
	pageExtensions = []string{".css", ".html", ".ico", ".js", ".json", ".png", ".svg", ".txt", ".wasm", ".woff2", ".xml"}
)

// superseded tells what is expected to lie in a tree without anything pointing
// to it: entries staged for a commit, partial tiles of smaller trees, metadata
// that latest/ showed before, and the pages.
func superseded(key string) bool {
	if stagingPattern.MatchString(key) || partialPattern.MatchString(key) || oldPattern.MatchString(key) {
		return true
	}
	top, _, _ := strings.Cut(key, "/")
	return slices.Contains(pageExtensions, path.Ext(key)) && top != "packages" && top != "ledger" && top != "keys" &&
		!strings.Contains(key, "/repodata/")
}

// strangers looks for objects that nobody points to.
func (a *auditor) strangers(ctx context.Context) error {
	l, ok := a.reader.(Lister)
	if !ok {
		return nil
	}
	var signatures []string
	err := l.List(ctx, func(key string, _ int64) error {
		if _, named := a.named[key]; named || superseded(key) {
			return nil
		}
		a.notice(key, "nobody points to it")
		if strings.HasSuffix(key, "/repodata/"+signatureName) && len(signatures) < maxFindings {
			signatures = append(signatures, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range signatures {
		folder := strings.TrimSuffix(key, signatureName)
		data, err := a.small(ctx, folder+repomdName, maxPointer)
		if isFatal(err) {
			return err
		}
		if _, logged := a.book.states[rpmmd.DigestOf(data).SHA256]; logged || err != nil {
			continue
		}
		evidence, err := a.evidence(ctx, folder, data)
		if err != nil {
			return err
		}
		if evidence != "" {
			a.wrong(folder+repomdName, "is in no entry of the ledger%s", evidence)
		}
	}
	return nil
}

// untouched says that a tree without checkpoint and commit holds nothing but
// what is uploaded before the first commit.
func (a *auditor) untouched(ctx context.Context) (bool, error) {
	l, ok := a.reader.(Lister)
	if !ok {
		return false, nil
	}
	untouched := true
	err := l.List(ctx, func(key string, _ int64) error {
		untouched = untouched && (strings.HasPrefix(key, "packages/") || key == ledger.VKeyKey || stagingPattern.MatchString(key))
		return nil
	})
	return untouched && err == nil, err
}

// evidence says, for the end of a sentence about a repomd.xml that is not in the
// ledger, whether one of the ledger's metadata keys signed it all the same. The
// signature lies in the same folder.
func (a *auditor) evidence(ctx context.Context, folder string, repomd []byte) (string, error) {
	signature, err := a.small(ctx, folder+signatureName, maxPointer)
	if err != nil {
		if isFatal(err) {
			return "", err
		}
		return "", nil
	}
	for _, fingerprint := range slices.Sorted(maps.Keys(a.book.signers)) {
		if !a.book.signers[fingerprint] {
			continue
		}
		key, err := a.key(ctx, fingerprint, false)
		if err != nil {
			return "", err
		}
		if key == nil {
			continue
		}
		if _, err := (openpgp.Keyring{key}).Verify(repomd, signature, a.options.Now); err == nil {
			return "; the key " + fingerprint + " signed it, although it was never logged: keep both, they are evidence", nil
		}
	}
	return "", nil
}
