package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// EntryVersion is the version of the entry format this package writes, and the
// only one it reads.
const EntryVersion = 1

// KindPublish is the kind of an entry that makes a new snapshot: packages come,
// packages go. It is the only kind so far.
const KindPublish = "publish"

// The structs below have their fields in ascending order of the JSON names,
// which is what makes encoding/json write the canonical form.

// An Entry is one leaf: the difference from one snapshot of a repository to the
// next, and the digests of everything behind it.
type Entry struct {
	Added      []Package `json:"added"` // sorted by NEVRA
	Kind       string    `json:"kind"`
	Next       State     `json:"next"`
	Previous   *State    `json:"previous"` // nil for serial 1 only
	Removed    []Removal `json:"removed"`  // sorted by NEVRA
	Repository string    `json:"repository"`
	Serial     int64     `json:"serial"` // of the snapshot, 1 to 999999
	Signer     string    `json:"signer"` // fingerprint of the metadata key
	Time       time.Time `json:"time"`   // UTC, whole seconds
	Tool       Tool      `json:"tool"`
	Version    int       `json:"version"`
}

// A State names the metadata of one snapshot.
type State struct {
	Filelists XML    `json:"filelists"`
	Format    int    `json:"format"` // version of the rules that made the XML
	Other     XML    `json:"other"`
	Packages  int    `json:"packages"` // how many the snapshot lists
	Primary   XML    `json:"primary"`
	Repomd    Digest `json:"repomd"`
	Revision  int64  `json:"revision"` // Unix seconds
}

// XML names one metadata file: as it is served, and after decompression.
type XML struct {
	OpenSHA256 string `json:"open_sha256"`
	OpenSize   int64  `json:"open_size"`
	SHA256     string `json:"sha256"`
	Size       int64  `json:"size"`
}

// A Digest names a file: SHA-256 in lower-case hex and size in bytes.
type Digest struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// A Package names one package file and what is published beside it.
type Package struct {
	ContentID string `json:"content_id"` // SHA-256 of main header and payload
	Header    string `json:"header"`     // SHA-256 of the main header
	Log       *Log   `json:"log"`        // nil when there is none
	NEVRA     string `json:"nevra"`      // name-[epoch:]version-release.arch
	NoLog     string `json:"no_log"`     // why there is no log, else empty
	Path      string `json:"path"`       // packages/<name>/<nvra>.rpm
	Record    Digest `json:"record"`     // <path>.record.json
	SHA256    string `json:"sha256"`     // of the signed file
	Signer    string `json:"signer"`     // fingerprint of the package key
	Size      int64  `json:"size"`       // of the signed file, in bytes
}

// A Log names a build log: the plain text, and the published <path>.log.zst.
type Log struct {
	OpenSHA256 string `json:"open_sha256"`
	OpenSize   int64  `json:"open_size"`
	SHA256     string `json:"sha256"`
	Size       int64  `json:"size"`
}

// A Removal names a package that leaves the repository, and says why.
type Removal struct {
	NEVRA  string `json:"nevra"`
	Reason string `json:"reason"`
	SHA256 string `json:"sha256"`
}

// A Tool names the program that made the entry.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// A TooLargeError reports an entry that does not fit into a leaf.
type TooLargeError struct{ Size int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("ledger entry has %d bytes, more than the %d that fit", e.Size, MaxEntry)
}

// Hint says what to do about it.
func (e *TooLargeError) Hint() string { return "publish fewer packages at once" }

// Encode checks e against the rules for one entry and returns its canonical
// bytes. It changes nothing: an unsorted list or a time with a fraction is an
// error, because the bytes of an entry must be what its maker thinks they are.
// The error names all violations, one per line.
func Encode(e Entry) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	data, err := marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode ledger entry: %w", err)
	}
	if len(data) > MaxEntry {
		return nil, &TooLargeError{len(data)}
	}
	return data, nil
}

// Decode reads an entry and accepts only what Encode could have written.
func Decode(data []byte) (Entry, error) {
	if len(data) > MaxEntry {
		return Entry{}, &TooLargeError{len(data)}
	}
	var e Entry
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return Entry{}, fmt.Errorf("decode ledger entry: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Entry{}, errors.New("decode ledger entry: bytes after its end")
	}
	again, err := Encode(e)
	if err != nil {
		return Entry{}, fmt.Errorf("decode ledger entry: %w", err)
	}
	if !bytes.Equal(data, again) {
		return Entry{}, fmt.Errorf("decode ledger entry: not canonical at byte %d", firstDifference(data, again))
	}
	return e, nil
}

// marshal is encoding/json without its HTML escapes, which RFC 8785 does not
// know, and without the line end that Encoder adds.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
