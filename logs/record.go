package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"unicode"
	"unicode/utf8"
)

const (
	// RecordVersion is the version of the record format this package writes,
	// and the only one it reads.
	RecordVersion = 1
	// MaxRecord is the size in bytes of the largest record.
	MaxRecord = 1 << 20

	maxInteger = 1<<53 - 1 // the last one that every JSON reader keeps exact
)

// A Record says what a package was made of and how: all that is needed to make
// it again from the same image, and to see that it is the same.
type Record struct {
	FileName  string // <nvra>.rpm
	SHA256    string // of the signed file
	ContentID string // SHA-256 of main header and payload, signed or not

	Definition       Definition
	DefinitionSHA256 string // of the file template.yaml
	Image            Image
	Files            []File      // the side files, sorted by name
	Log              *LogDigests // nil when there is no build log
	NoLog            string      // the definition's reason for that, else empty

	ContainerFormat int // version of the rules that made the package
	Codec           Codec
	Frames          Frames
	SourceDateEpoch int64  // Unix seconds
	Tool            string // version of colophon
}

// A Definition holds the fields of template.yaml, as they are written there.
type Definition struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Release     string `json:"release"`
	Date        string `json:"date"`
	Summary     string `json:"summary"`
	Description string `json:"description"` // may have several lines
	License     string `json:"license"`
	URL         string `json:"url"`
	Repository  string `json:"repository"`
	Compression string `json:"compression"`
}

// An Image names the template's image by its content, holes included, however
// the image file was stored.
type Image struct {
	// SparseSHA256 is the digest of the canonical GNU sparse tar stream of the
	// image, which is what the package's root.img.part.NN give one after the
	// other.
	SparseSHA256 string
	Size         int64 // nominal, in bytes
	Data         int64 // outside of holes, in bytes
}

// A File is a side file of the template.
type File struct {
	Name   string
	SHA256 string
}

// A Codec names the compressor of the frames. Its module and version decide the
// bytes.
type Codec struct {
	ID      string `json:"id"`
	Module  string `json:"module"`
	Version string `json:"version"`
	Level   int    `json:"level"`
}

// Frames are the parameters of the cut points, in bytes of uncompressed image.
type Frames struct {
	Min     int64  `json:"min"`
	Average int64  `json:"average"`
	Max     int64  `json:"max"`
	Block   int64  `json:"block"` // cut points lie at its multiples
	Hash    string `json:"hash"`  // name of the rolling hash
}

// EncodeRecord checks r and returns its bytes. The error names all violations,
// one per line.
func EncodeRecord(r Record) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r.statement()); err != nil {
		return nil, fmt.Errorf("encode build record: %w", err)
	}
	if b.Len() > MaxRecord {
		return nil, fmt.Errorf("build record has %d bytes, more than %d", b.Len(), MaxRecord)
	}
	return b.Bytes(), nil
}

// DecodeRecord reads a record and accepts only what EncodeRecord could have
// written.
func DecodeRecord(data []byte) (Record, error) {
	if len(data) > MaxRecord {
		return Record{}, fmt.Errorf("build record has %d bytes, more than %d", len(data), MaxRecord)
	}
	var s statement
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Record{}, fmt.Errorf("decode build record: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Record{}, errors.New("decode build record: bytes after its end")
	}
	if v := s.Predicate.BuildDefinition.Internal.RecordVersion; v != RecordVersion {
		return Record{}, fmt.Errorf("decode build record: version %d is not %d", v, RecordVersion)
	}
	r, err := s.record()
	if err != nil {
		return Record{}, fmt.Errorf("decode build record: %w", err)
	}
	again, err := EncodeRecord(r)
	if err != nil {
		return Record{}, fmt.Errorf("decode build record: %w", err)
	}
	if !bytes.Equal(data, again) {
		return Record{}, errors.New("decode build record: not in its one canonical form")
	}
	return r, nil
}

var (
	hexPattern      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	fileNamePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+~^-]*\.rpm$`)
)

func (r Record) check() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("build record: "+format, args...))
		}
	}
	digest := func(what, s string) {
		check(hexPattern.MatchString(s), "%s: %q is not a sha256 in lower-case hex", what, s)
	}
	number := func(what string, n, least int64) {
		check(n >= least && n <= maxInteger, "%s: %d is not at least %d", what, n, least)
	}
	text := func(what, s string, least int) {
		check(len(s) >= least && isLine(s, ""), "%s: %q is not a printable line", what, s)
	}

	check(fileNamePattern.MatchString(r.FileName), "%q is not the file name of a package", r.FileName)
	digest("package", r.SHA256)
	digest("content id", r.ContentID)
	d := r.Definition
	for _, f := range []struct {
		name, value string
		least       int
	}{
		{"name", d.Name, 1}, {"version", d.Version, 1}, {"release", d.Release, 1}, {"date", d.Date, 1},
		{"repository", d.Repository, 1}, {"summary", d.Summary, 0}, {"license", d.License, 0},
		{"url", d.URL, 0}, {"compression", d.Compression, 0},
		{"codec id", r.Codec.ID, 1}, {"codec module", r.Codec.Module, 1}, {"codec version", r.Codec.Version, 1},
		{"frame hash", r.Frames.Hash, 1}, {"tool version", r.Tool, 1},
	} {
		text(f.name, f.value, f.least)
	}
	check(isLine(d.Description, "\n\t"), "description: %q is not printable text", d.Description)
	digest("definition", r.DefinitionSHA256)
	digest("image", r.Image.SparseSHA256)
	number("image size", r.Image.Size, 1)
	number("image data", r.Image.Data, 0)
	check(r.Image.Data <= r.Image.Size, "image data of %d bytes in an image of %d", r.Image.Data, r.Image.Size)
	for i, f := range r.Files {
		text("side file", f.Name, 1)
		digest("side file "+f.Name, f.SHA256)
		check(i == 0 || r.Files[i-1].Name < f.Name, "side file %q is out of order or repeated", f.Name)
	}
	if r.Log == nil {
		text("reason for no log", r.NoLog, 1)
	} else {
		check(r.NoLog == "", "a log and a reason for none")
		digest("log", r.Log.Compressed.SHA256)
		digest("open log", r.Log.Open.SHA256)
		number("log size", r.Log.Compressed.Size, 1)
		number("open log size", r.Log.Open.Size, 1)
	}
	number("container format", int64(r.ContainerFormat), 1)
	number("least frame", r.Frames.Min, 1)
	number("frame block", r.Frames.Block, 1)
	check(r.Frames.Min <= r.Frames.Average && r.Frames.Average <= r.Frames.Max && r.Frames.Max <= maxInteger,
		"frames of %d, %d and %d bytes are out of order", r.Frames.Min, r.Frames.Average, r.Frames.Max)
	number("SOURCE_DATE_EPOCH", r.SourceDateEpoch, 1)
	return errors.Join(errs...)
}

// isLine says whether s is printable text, with the given control characters
// allowed besides. Nothing is left then that JSON writers escape differently.
func isLine(s, also string) bool {
	for _, c := range s {
		if !unicode.IsPrint(c) && !bytes.ContainsRune([]byte(also), c) {
			return false
		}
	}
	return utf8.ValidString(s)
}
