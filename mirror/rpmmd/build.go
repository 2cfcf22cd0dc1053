package rpmmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

const xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// document is what stands around the packages of one file.
type document struct {
	kind, start, end string // the number of packages stands between start and ">"
}

var documents = []document{
	{Primary, xmlHeader + `<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages=`, "</metadata>"},
	{Filelists, xmlHeader + `<filelists xmlns="http://linux.duke.edu/metadata/filelists" packages=`, "</filelists>"},
	{Other, xmlHeader + `<otherdata xmlns="http://linux.duke.edu/metadata/other" packages=`, "</otherdata>"},
}

func (d document) header(packages int) string {
	return d.start + strconv.Quote(strconv.Itoa(packages)) + ">\n"
}

// part is the fragment's element in this file.
func (d document) part(f Fragment) []byte {
	switch d.kind {
	case Primary:
		return f.Primary
	case Filelists:
		return f.Filelists
	}
	return f.Other
}

// Metadata is one state of a repository, ready to be written to repodata/.
type Metadata struct {
	Repomd  []byte
	Files   []File // primary, filelists, other
	Summary Summary
}

// File is one compressed file of metadata.
type File struct {
	Record
	Name string // within repodata/
	Data []byte
}

// Summary is what has to be recorded to recognize the state again.
type Summary struct {
	Filelists Record `json:"filelists"`
	Format    int    `json:"format"`
	Other     Record `json:"other"`
	Packages  int    `json:"packages"`
	Primary   Record `json:"primary"`
	Repomd    Digest `json:"repomd"`
	Revision  int64  `json:"revision"`
}

// RebuildRepomd makes repomd.xml from recorded values, so that the file and the
// record can be compared without the metadata or its encoder. It fails when the
// record's own digest of repomd.xml is another one.
func (s Summary) RebuildRepomd() ([]byte, error) {
	if s.Format != Format {
		return nil, fmt.Errorf("metadata format %d is unknown; this program knows %d", s.Format, Format)
	}
	b, err := Repomd{s.Revision, s.Primary, s.Filelists, s.Other}.Marshal()
	if err == nil && DigestOf(b) != s.Repomd {
		err = fmt.Errorf("repomd.xml of the record has digest %s, the record says %s", DigestOf(b).SHA256, s.Repomd.SHA256)
	}
	return b, err
}

// Build makes the metadata of a set of packages. The order of fragments does
// not matter. The revision is in seconds since 1970.
func Build(fragments []Fragment, revision int64) (Metadata, error) {
	if len(fragments) > maxPackages {
		return Metadata{}, fmt.Errorf("build metadata: %d packages; at most %d are allowed", len(fragments), maxPackages)
	}
	sorted := slices.SortedFunc(slices.Values(fragments), func(a, b Fragment) int { return compareHref(a.Href, b.Href) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Href == sorted[i-1].Href {
			return Metadata{}, fmt.Errorf("build metadata: two packages lie at %q", sorted[i].Href)
		}
	}
	var m Metadata
	for _, d := range documents {
		f, err := compress(d, sorted)
		if err != nil {
			return Metadata{}, fmt.Errorf("build metadata: %s: %w", d.kind, err)
		}
		m.Files = append(m.Files, f)
	}
	repomd := Repomd{revision, m.Files[0].Record, m.Files[1].Record, m.Files[2].Record}
	var err error
	if m.Repomd, err = repomd.Marshal(); err != nil {
		return Metadata{}, err
	}
	m.Summary = repomd.Summary(len(fragments), m.Repomd)
	return m, nil
}

// Summary joins what repomd.xml says with its own digest and the number of
// packages in primary.
func (m Repomd) Summary(packages int, repomd []byte) Summary {
	return Summary{m.Filelists, Format, m.Other, packages, m.Primary, DigestOf(repomd), m.Revision}
}

// compress encodes one file. The encoder takes its input in blocks of its own,
// so the bytes do not depend on how they are cut into writes.
func compress(d document, sorted []Fragment) (File, error) {
	var packed bytes.Buffer
	encoder := newEncoder(&packed)
	defer encoders.Put(encoder)
	open := sha256.New()
	size := int64(0)
	var err error
	w := io.MultiWriter(open, encoder)
	write := func(b []byte) {
		n, e := w.Write(b)
		size += int64(n)
		if err == nil {
			err = e
		}
	}
	write([]byte(d.header(len(sorted))))
	for _, f := range sorted {
		write(d.part(f))
	}
	write([]byte(d.end))
	if e := encoder.Close(); err == nil {
		err = e
	}
	if err != nil {
		return File{}, err
	}
	whole := DigestOf(packed.Bytes())
	r := Record{hex.EncodeToString(open.Sum(nil)), size, whole.SHA256, whole.Size}
	return File{r, r.FileName(d.kind), packed.Bytes()}, nil
}

// encoders keeps the compressors of format 1; each holds a megabyte.
var encoders = sync.Pool{New: func() any {
	e, err := gzip.NewWriterLevel(nil, 6)
	if err != nil {
		panic("rpmmd: gzip has no level 6: " + err.Error())
	}
	return e
}}

// newEncoder gives the one compressor of format 1; the caller puts it back. The
// encoder writes the low bits of any time, also of the zero Time, so the time 0
// is spelled out; 255 means an unknown system.
func newEncoder(w io.Writer) *gzip.Writer {
	e := encoders.Get().(*gzip.Writer)
	e.Reset(w)
	e.Header = gzip.Header{ModTime: time.Unix(0, 0), OS: 255}
	return e
}
