package rpmmd

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Metalink is the head of a repository: it names one repomd.xml by digest and
// says where it lies. The signature and the rest are fetched from the same
// place, so a client never mixes two states.
//
// The form is metalink 3.0 as librepo reads it: one file "repomd.xml" with
// mm0:timestamp (the revision), size, one sha256 and the addresses, which must be
// absolute. Clients take addresses in document order, so preference only repeats
// that order, from 100 down. pubdate is the revision as RFC 1123 date in GMT.
type Metalink struct {
	Revision int64
	Repomd   Digest
	URLs     []string // of repomd.xml, best first; 1 to 100
}

const (
	metalinkStart = xmlHeader + `<metalink version="3.0" xmlns="http://www.metalinker.org/" xmlns:mm0="http://fedorahosted.org/mirrormanager" type="dynamic"`
	pubdate       = "Mon, 02 Jan 2006 15:04:05 GMT" // RFC 1123
	maxURLs       = 100                             // as many as there are preferences
)

func (m Metalink) check() error {
	if m.Revision < 1 || m.Revision > maxRevision {
		return fmt.Errorf("revision %d is not a time from 1970 to 9999", m.Revision)
	}
	if !isSHA256(m.Repomd.SHA256) || m.Repomd.Size <= 0 {
		return errors.New("digest or size of repomd.xml is malformed")
	}
	if len(m.URLs) < 1 || len(m.URLs) > maxURLs {
		return fmt.Errorf("has %d addresses; 1 to %d are allowed", len(m.URLs), maxURLs)
	}
	for _, s := range m.URLs {
		if _, err := repomdURL(s); err != nil {
			return err
		}
	}
	return nil
}

// repomdURL accepts absolute addresses of a repomd.xml; file: is for copies on
// a disk.
func repomdURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	host := u.Host != ""
	switch {
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file" || host != (u.Scheme != "file"):
		return nil, fmt.Errorf("address %q is not an absolute http, https or file address", s)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") || u.String() != s:
		return nil, fmt.Errorf("address %q has a user, a query or a fragment, or is not in normal form", s)
	case !strings.HasSuffix(u.Path, "/repodata/repomd.xml") || strings.Contains(u.Path, "/../"):
		return nil, fmt.Errorf("address %q does not end in /repodata/repomd.xml", s)
	}
	return u, nil
}

// Marshal is the metalink's bytes, which nothing but its values decides.
func (m Metalink) Marshal() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode metalink: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `%s pubdate="%s" generator="colophon">
  <files>
    <file name="repomd.xml">
      <mm0:timestamp>%d</mm0:timestamp>
      <size>%d</size>
      <verification>
        <hash type="sha256">%s</hash>
      </verification>
      <resources maxconnections="1">
`, metalinkStart, time.Unix(m.Revision, 0).UTC().Format(pubdate), m.Revision, m.Repomd.Size, m.Repomd.SHA256)
	for i, s := range m.URLs {
		u, err := repomdURL(s)
		if err != nil {
			return nil, err
		}
		e := &encoder{}
		e.open("        ", "url")
		e.attr("protocol", u.Scheme)
		e.attr("type", u.Scheme)
		e.number("preference", int64(maxURLs-i))
		e.content("url", s)
		if e.err != nil {
			return nil, e.err
		}
		b.Write(e.b)
	}
	b.WriteString("      </resources>\n    </file>\n  </files>\n</metalink>\n")
	if b.Len() > maxPointer {
		return nil, fmt.Errorf("encode metalink: has %d bytes; at most %d are allowed", b.Len(), maxPointer)
	}
	return b.Bytes(), nil
}

// ParseMetalink accepts exactly what Marshal writes, up to 64 KiB.
func ParseMetalink(b []byte) (Metalink, error) {
	var m Metalink
	err := parseExactly(b, func() ([]byte, error) {
		var x struct {
			Timestamp int64    `xml:"files>file>timestamp"`
			Size      int64    `xml:"files>file>size"`
			SHA256    string   `xml:"files>file>verification>hash"`
			URLs      []string `xml:"files>file>resources>url"`
		}
		if err := xml.Unmarshal(b, &x); err != nil {
			return nil, err
		}
		m = Metalink{x.Timestamp, Digest{x.SHA256, x.Size}, x.URLs}
		return m.Marshal()
	})
	if err != nil {
		return Metalink{}, fmt.Errorf("read metalink: %w", err)
	}
	return m, nil
}
