package rpm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Limits of rpm >= 4.14 (lib/header.c, lib/package.c).
const (
	maxEntries   = 65535
	maxSignature = 64 << 20
	maxHeader    = 256 << 20
	maxTag       = 65535
)

// FormatError says what is wrong with the bytes of an rpm file.
type FormatError struct {
	Part   string // "lead", "signature header", "main header", "payload"
	Reason string
}

func (e *FormatError) Error() string { return e.Part + ": " + e.Reason }

// readHeader reads one header and returns it with its exact bytes. It stops
// right behind the header; padding is the caller's.
func readHeader(r io.Reader, part string, region Tag, limit int) (*Header, []byte, error) {
	bad := func(format string, args ...any) error {
		return &FormatError{part, fmt.Sprintf(format, args...)}
	}
	var raw bytes.Buffer
	if err := readMore(&raw, r, 16); err != nil {
		return nil, nil, bad("is cut off")
	}
	intro := raw.Bytes()
	if !bytes.Equal(intro[:8], headerMagic[:]) {
		return nil, nil, bad("has no header magic")
	}
	il, dl := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if il < 1 || il > maxEntries {
		return nil, nil, bad("has %d entries; 1 to %d are allowed", il, maxEntries)
	}
	if int64(dl) > int64(limit) {
		return nil, nil, bad("has %d bytes of data; at most %d are allowed", dl, limit)
	}
	if err := readMore(&raw, r, int64(il)*16+int64(dl)); err != nil {
		return nil, nil, bad("is cut off")
	}
	h, reason := parseEntries(raw.Bytes()[16:], int(il), int(dl), region)
	if reason != "" {
		return nil, nil, bad("%s", reason)
	}
	return h, raw.Bytes(), nil
}

// readMore appends n bytes of r to b, growing b only as they arrive.
func readMore(b *bytes.Buffer, r io.Reader, n int64) error {
	got, err := io.CopyN(b, r, n)
	if err == nil && got < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// parseEntries checks the index against the data. The region may be absent or
// cover all entries; entries behind a region ("dribbles", written by tools of
// the last century) are read like the others.
func parseEntries(raw []byte, il, dl int, region Tag) (*Header, string) {
	index, data := raw[:il*16], raw[il*16:]
	h := &Header{Entries: make([]Entry, 0, il)}
	for i := range il {
		at := index[i*16:]
		tag, kind := Tag(binary.BigEndian.Uint32(at)), Type(binary.BigEndian.Uint32(at[4:]))
		offset, count := int64(int32(binary.BigEndian.Uint32(at[8:]))), int64(binary.BigEndian.Uint32(at[12:]))
		if tag == SigRegion || tag == Region {
			if i != 0 || tag != region {
				return nil, fmt.Sprintf("has a region tag %d at entry %d", tag, i)
			}
			if kind != Bin || count != 16 || offset < 0 || offset+16 > int64(dl) {
				return nil, "has a malformed region"
			}
			continue
		}
		if tag < 1 || tag > maxTag {
			return nil, fmt.Sprintf("has tag %d", tag)
		}
		if kind < Char || kind > I18NString {
			return nil, fmt.Sprintf("tag %d has type %d", tag, kind)
		}
		if count < 1 || count > int64(dl) || offset < 0 || offset > int64(dl) || offset%int64(kind.Align()) != 0 {
			return nil, fmt.Sprintf("tag %d lies outside the data", tag)
		}
		value, ok := extent(data[offset:], kind, count)
		if !ok || kind == String && count != 1 {
			return nil, fmt.Sprintf("tag %d lies outside the data", tag)
		}
		h.Entries = append(h.Entries, Entry{tag, kind, uint32(count), value})
	}
	slices.SortStableFunc(h.Entries, func(a, b Entry) int { return int(a.Tag) - int(b.Tag) })
	for i := 1; i < len(h.Entries); i++ {
		if h.Entries[i].Tag == h.Entries[i-1].Tag {
			return nil, fmt.Sprintf("tag %d stands twice", h.Entries[i].Tag)
		}
	}
	return h, ""
}

// extent cuts count values of a type from the front of data.
func extent(data []byte, kind Type, count int64) ([]byte, bool) {
	if n := int64(kind.size()); n > 0 {
		if count*n > int64(len(data)) {
			return nil, false
		}
		return data[:count*n], true
	}
	end := 0
	for range count {
		i := bytes.IndexByte(data[end:], 0)
		if i < 0 {
			return nil, false
		}
		end += i + 1
	}
	return data[:end], true
}

// ParseHeader reads a main header from exactly these bytes.
func ParseHeader(raw []byte) (*Header, error) {
	r := bytes.NewReader(raw)
	h, _, err := readHeader(r, "main header", Region, maxHeader)
	if err == nil && r.Len() > 0 {
		err = &FormatError{"main header", fmt.Sprintf("is followed by %d bytes", r.Len())}
	}
	return h, err
}
