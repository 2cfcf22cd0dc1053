package rpmmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
)

// Digest names bytes: lower-case hex and a number of bytes.
type Digest struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// DigestOf names b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest{hex.EncodeToString(sum[:]), int64(len(b))}
}

// Record names one file of metadata: open is the XML, the rest its gzip form.
type Record struct {
	OpenSHA256 string `json:"open_sha256"`
	OpenSize   int64  `json:"open_size"`
	SHA256     string `json:"sha256"`
	Size       int64  `json:"size"`
}

// FileName is the file's name within repodata/; kind is Primary, Filelists or
// Other. It starts with the digest, so that files of all states can lie side by
// side and a cache can never mix them.
func (r Record) FileName(kind string) string { return r.SHA256 + "-" + kind + ".xml.gz" }

func (r Record) check(kind string) error {
	if !isSHA256(r.SHA256) || !isSHA256(r.OpenSHA256) || r.Size <= 0 || r.OpenSize <= 0 {
		return fmt.Errorf("record of %s has a malformed digest or size", kind)
	}
	return nil
}

// Repomd is all that repomd.xml says.
type Repomd struct {
	Revision  int64 // seconds since 1970, also every record's timestamp
	Primary   Record
	Filelists Record
	Other     Record
}

type kindRecord struct {
	kind string
	Record
}

// records lists the files in the order of repomd.xml.
func (m Repomd) records() []kindRecord {
	return []kindRecord{{Primary, m.Primary}, {Filelists, m.Filelists}, {Other, m.Other}}
}

func (m Repomd) check() error {
	if m.Revision < 1 || m.Revision > maxRevision {
		return fmt.Errorf("revision %d is not a time from 1970 to 9999", m.Revision)
	}
	for _, r := range m.records() {
		if err := r.check(r.kind); err != nil {
			return err
		}
	}
	return nil
}

// Marshal is repomd.xml: nothing but these values decides its bytes.
func (m Repomd) Marshal() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode repomd.xml: %w", err)
	}
	var b bytes.Buffer
	b.WriteString(xmlHeader + `<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">` + "\n")
	fmt.Fprintf(&b, "  <revision>%d</revision>\n", m.Revision)
	for _, r := range m.records() {
		fmt.Fprintf(&b, `  <data type="%s">
    <checksum type="sha256">%s</checksum>
    <open-checksum type="sha256">%s</open-checksum>
    <location href="repodata/%s"/>
    <timestamp>%d</timestamp>
    <size>%d</size>
    <open-size>%d</open-size>
  </data>
`, r.kind, r.SHA256, r.OpenSHA256, r.FileName(r.kind), m.Revision, r.Size, r.OpenSize)
	}
	b.WriteString("</repomd>\n")
	return b.Bytes(), nil
}

// ParseRepomd accepts exactly what Marshal writes, up to 64 KiB.
func ParseRepomd(b []byte) (Repomd, error) {
	var m Repomd
	err := parseExactly(b, func() ([]byte, error) {
		var x struct {
			Revision int64 `xml:"revision"`
			Data     []struct {
				SHA256     string `xml:"checksum"`
				OpenSHA256 string `xml:"open-checksum"`
				Size       int64  `xml:"size"`
				OpenSize   int64  `xml:"open-size"`
			} `xml:"data"`
		}
		if err := xml.Unmarshal(b, &x); err != nil {
			return nil, err
		}
		if len(x.Data) != 3 {
			return nil, fmt.Errorf("has %d records, not primary, filelists and other", len(x.Data))
		}
		m.Revision = x.Revision
		for i, r := range []*Record{&m.Primary, &m.Filelists, &m.Other} {
			d := x.Data[i]
			*r = Record{d.OpenSHA256, d.OpenSize, d.SHA256, d.Size}
		}
		return m.Marshal()
	})
	if err != nil {
		return Repomd{}, fmt.Errorf("read repomd.xml: %w", err)
	}
	return m, nil
}

var errNotCanonical = errors.New("is not in the form that this program writes")

// parseExactly runs a small document's decoder, which gives back the encoding
// of what it read, and demands the same bytes.
func parseExactly(b []byte, decode func() ([]byte, error)) error {
	if len(b) > maxPointer {
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(b), maxPointer)
	}
	again, err := decode()
	if err != nil {
		return err
	}
	if !bytes.Equal(b, again) {
		return errNotCanonical
	}
	return nil
}
