package store

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Kind is everything that depends on what an object is: how it may be written and what web servers say about it. The
// variables below are all there are.
type Kind struct {
	name        string
	contentType string // empty: by the extension
	cache       string
	put, swap   bool
}

const (
	cacheForever = "public, max-age=31536000, immutable"
	cacheMinutes = "public, max-age=300"
	cacheNever   = "no-cache" // may be kept, but asked about each time
	textPlain    = "text/plain; charset=utf-8"
	binary       = "application/octet-stream"
)

// The kinds of immutable objects. Their content follows from their name, so caches may keep them for ever.
var (
	Package  = Kind{"package", "application/x-rpm", cacheForever, true, false}
	Log      = Kind{"log", "application/zstd", cacheForever, true, false}
	Record   = Kind{"record", "application/json", cacheForever, true, false}
	Proof    = Kind{"proof", textPlain, cacheForever, true, false}
	Metadata = Kind{"metadata", "", cacheForever, true, false}
	Tile     = Kind{"tile", binary, cacheForever, true, false}
	Staging  = Kind{"staging", binary, cacheForever, true, false}
	Blob     = Kind{"blob", binary, cacheForever, true, false}
	// VKey never changes while the store lives, but its name says nothing about its content.
	VKey = Kind{"verifier key", textPlain, cacheMinutes, true, false}
)

// The kinds of pointers. Readers must see a new one at once, writers must not overwrite each other's.
var (
	Head       = Kind{"head", "application/metalink+xml", cacheNever, false, true}
	Latest     = Kind{"latest", "", cacheNever, false, true}
	Checkpoint = Kind{"checkpoint", textPlain, cacheNever, false, true}
	Commit     = Kind{"commit", textPlain, cacheNever, false, true}
)

// The kinds that are neither.
var (
	RepoFile  = Kind{"repo file", textPlain, cacheMinutes, true, true}
	PublicKey = Kind{"public key", "application/pgp-keys", cacheMinutes, true, true}
	Policy    = Kind{"policy", textPlain, cacheMinutes, true, true}
	Page      = Kind{"page", "", cacheMinutes, true, true}
	// SelfTest is for the objects with which a store tries a bucket out; they are removed again.
	SelfTest = Kind{"self-test", binary, cacheNever, true, true}
)

// other is what a foreign file in a served folder is taken for.
var other = Kind{"other", binary, cacheNever, false, false}

// String names the kind in messages.
func (k Kind) String() string { return k.name }

// CacheControl is the header of that name.
func (k Kind) CacheControl() string { return k.cache }

// Immutable tells that an object of this kind never changes once it is written.
func (k Kind) Immutable() bool { return k.put && !k.swap }

// Pointer tells that objects of this kind are only written by Swap.
func (k Kind) Pointer() bool { return k.swap && !k.put }

// ContentType is the header of that name for an object of this kind. Metadata is compressed as a file format: there is
// never a Content-Encoding.
func (k Kind) ContentType(key string) string {
	if k.contentType != "" {
		return k.contentType
	}
	if t, ok := metadataTypes[path.Ext(key)]; ok && (k == Metadata || k == Latest) {
		return t
	}
	if t, ok := pageTypes[path.Ext(key)]; ok {
		return t
	}
	return binary
}

var metadataTypes = map[string]string{
	".xml": "application/xml",
	".gz":  "application/gzip",
	".asc": "application/pgp-signature",
	".key": "application/pgp-keys",
}

var pageTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".ico":   "image/x-icon",
	".js":    "text/javascript; charset=utf-8",
	".json":  "application/json",
	".png":   "image/png",
	".svg":   "image/svg+xml",
	".txt":   textPlain,
	".wasm":  "application/wasm",
	".woff2": "font/woff2",
	".xml":   "application/xml",
}

// KindOf tells what an object is from its key. It is the layout of the public tree:
//
//	packages/<name>/<file>.rpm                 package
//	packages/<name>/<file>.rpm.log.zst         log
//	packages/<name>/<file>.rpm.record.json     record
//	packages/<name>/<file>.rpm.tlog-proof      proof
//	ledger/checkpoint, commit, key.vkey, policy
//	ledger/tile/..., ledger/staging/<name>, ledger/blobs/<name>
//	keys/<name>.asc                            public key
//	.selftest/...                              self-test
//	<repository>/<serial>/repodata/<file>      metadata; also <repository>/<serial>-<n>/repodata/<file>
//	<repository>/latest/repodata/<file>        latest
//	<repository>/metalink                      head
//	<repository>/<repository>.repo             repo file
//	...                                        page, by its extension, where none of the above could be
//
// where <serial> is six or more digits.
func KindOf(key string) (Kind, bool) {
	if CheckKey(key) != nil {
		return Kind{}, false
	}
	parts := strings.Split(key, "/")
	switch n := len(parts); {
	case parts[0] == "packages":
		return packageKind(parts)
	case parts[0] == "ledger":
		return ledgerKind(parts)
	case parts[0] == "keys":
		return PublicKey, n == 2 && path.Ext(key) == ".asc"
	case parts[0] == ".selftest":
		return SelfTest, n > 1
	case n == 2 && parts[1] == "metalink":
		return Head, true
	case n == 2 && parts[1] == parts[0]+".repo":
		return RepoFile, true
	case n == 4 && parts[2] == "repodata" && parts[1] == "latest":
		return Latest, true
	case n == 4 && parts[2] == "repodata" && isSerial(parts[1]):
		return Metadata, true
	case slices.Contains(parts, "repodata"), n > 1 && (parts[1] == "latest" || isSerial(parts[1])):
		return Kind{}, false
	}
	_, ok := pageTypes[path.Ext(key)]
	return Page, ok
}

func packageKind(parts []string) (Kind, bool) {
	if len(parts) != 3 {
		return Kind{}, false
	}
	for _, end := range []struct {
		suffix string
		kind   Kind
	}{{".rpm", Package}, {".rpm.log.zst", Log}, {".rpm.record.json", Record}, {".rpm.tlog-proof", Proof}} {
		if name, ok := strings.CutSuffix(parts[2], end.suffix); ok && name != "" {
			return end.kind, true
		}
	}
	return Kind{}, false
}

func ledgerKind(parts []string) (Kind, bool) {
	if len(parts) == 2 {
		k, ok := map[string]Kind{"checkpoint": Checkpoint, "commit": Commit, "key.vkey": VKey, "policy": Policy}[parts[1]]
		return k, ok
	}
	if len(parts) < 3 {
		return Kind{}, false
	}
	switch parts[1] {
	case "tile":
		return Tile, true
	case "staging":
		return Staging, len(parts) == 3
	case "blobs":
		return Blob, len(parts) == 3
	}
	return Kind{}, false
}

// isSerial accepts 000017 and the live edition 000017-3.
func isSerial(s string) bool {
	serial, edition, has := strings.Cut(s, "-")
	return len(serial) >= 6 && digits(serial) && (!has || edition != "" && digits(edition))
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// CheckPut refuses a Put that no store may do. Implementations of Store call it first.
func CheckPut(key string, kind Kind) error {
	if err := checkKind(key, kind); err != nil {
		return err
	}
	if !kind.put {
		return fmt.Errorf("%q is a %s, which is only written by Swap", key, kind)
	}
	return nil
}

// CheckSwap refuses a Swap that no store may do. Implementations of Store call it first.
func CheckSwap(key string, kind Kind) error {
	if err := checkKind(key, kind); err != nil {
		return err
	}
	if !kind.swap {
		return fmt.Errorf("%q is a %s, which is only written by Put", key, kind)
	}
	return nil
}

func checkKind(key string, kind Kind) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if right, ok := KindOf(key); !ok {
		return fmt.Errorf("key %q has no place in the public tree", key)
	} else if right != kind {
		return fmt.Errorf("%q is a %s, not a %s", key, right, kind)
	}
	return nil
}
