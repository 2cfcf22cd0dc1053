package lint

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"colophon/pack/rpm"
)

func scanHeaderForm(s *Subject, f *findings) {
	for _, e := range s.Header.Entries {
		if isText(e.Type) && !utf8.Valid(e.Data) {
			f.fail("C12", "tag %d is not UTF-8", e.Tag)
		}
	}
	form{s.Raw, rpm.Region, "main header", f}.scan()
}

func scanSignatureForm(s *Subject, f *findings) {
	if s.Package == nil {
		return
	}
	for _, e := range s.Package.Signature.Entries {
		if isText(e.Type) && bytes.ContainsFunc(e.Data, func(r rune) bool { return r != 0 && (r < 32 || r > 126) }) {
			f.fail("C12", "signature tag %d holds text outside printable ASCII", e.Tag)
		}
	}
	if len(bytes.Trim(s.Package.Padding, "\x00")) > 0 {
		f.fail("C19", "padding behind the signature header is not zero")
	}
	form{s.Package.RawSignature, rpm.SigRegion, "signature header", f}.scan()
}

func isText(t rpm.Type) bool { return t == rpm.String || t == rpm.StringArray || t == rpm.I18NString }

// form checks C4 to C13: how a header is laid out. The header was parsed before,
// so that bounds hold.
type form struct {
	raw    []byte
	region rpm.Tag
	part   string
	*findings
}

func (h form) scan() {
	il, dl := int(binary.BigEndian.Uint32(h.raw[8:])), int(binary.BigEndian.Uint32(h.raw[12:]))
	if il < 2 || dl < 16 || dl >= 256<<20 {
		h.fail("C4", "%s has %d entries and %d bytes of data", h.part, il, dl)
		return
	}
	index, data := h.raw[16:16+16*il], h.raw[16+16*il:]
	at := func(i int) (tag, kind, offset, count uint32) {
		e := index[16*i:]
		return binary.BigEndian.Uint32(e), binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])
	}
	tag, kind, offset, count := at(0)
	if tag != uint32(h.region) || kind != uint32(rpm.Bin) || count != 16 || int(offset) != dl-16 {
		h.fail("C5", "%s does not start with a region over all of it", h.part)
		return
	}
	trailer := binary.BigEndian.AppendUint32(nil, uint32(h.region))
	for _, v := range []uint32{uint32(rpm.Bin), uint32(-16 * int32(il)), 16} {
		trailer = binary.BigEndian.AppendUint32(trailer, v)
	}
	if !bytes.Equal(data[dl-16:], trailer) {
		h.fail("C6", "%s has a region with a wrong trailer", h.part)
	}
	end, last := 0, uint32(99)
	for i := 1; i < il; i++ {
		tag, kind, offset, count := at(i)
		if tag <= last {
			h.fail("C7", "%s has tag %d behind tag %d", h.part, tag, last)
		}
		last = max(tag, last)
		if count < 1 || int(count) >= dl {
			h.fail("C8", "%s has tag %d with %d values in %d bytes", h.part, tag, count, dl)
		}
		align := rpm.Type(kind).Align()
		if int(offset)%align != 0 {
			h.fail("C9", "%s has tag %d at byte %d, which is no multiple of %d", h.part, tag, offset, align)
		}
		start := min((end+align-1)/align*align, dl-16)
		if int(offset) != start || len(bytes.Trim(data[end:start], "\x00")) > 0 {
			h.fail("C10", "%s has the data of tag %d at byte %d, not right behind the tag before it at %d", h.part, tag, offset, start)
			start = min(int(offset), dl-16)
		}
		size, ok := valueSize(data[start:dl-16], rpm.Type(kind), int(count))
		if !ok {
			h.fail("C11", "%s has tag %d reaching into the region's trailer", h.part, tag)
			return
		}
		end = start + size
	}
	if end != dl-16 {
		h.fail("C13", "%s holds %d bytes that belong to no tag", h.part, dl-16-end)
	}
}

// valueSize measures a value at the front of data.
func valueSize(data []byte, kind rpm.Type, count int) (int, bool) {
	if !isText(kind) {
		size := count * kind.Align()
		return size, size <= len(data)
	}
	size := 0
	for range count {
		i := bytes.IndexByte(data[size:], 0)
		if i < 0 {
			return 0, false
		}
		size += i + 1
	}
	return size, true
}
