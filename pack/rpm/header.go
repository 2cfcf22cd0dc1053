package rpm

import (
	"encoding/binary"
	"slices"
	"strings"
)

var headerMagic = [8]byte{0x8e, 0xad, 0xe8, 0x01}

// Entry is one tag with its values, as they stand in the data area.
type Entry struct {
	Tag   Tag
	Type  Type
	Count uint32 // number of values; of bytes for Bin
	Data  []byte
}

// Header is the content of a signature header or a main header without its
// region. Entries ascend by tag; there is one per tag.
type Header struct {
	Entries []Entry
}

// Get returns a tag's entry.
func (h *Header) Get(tag Tag) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(h.Entries, tag, func(e Entry, t Tag) int { return int(e.Tag) - int(t) })
	if !ok {
		return Entry{}, false
	}
	return h.Entries[i], true
}

// Has reports whether a tag is present.
func (h *Header) Has(tag Tag) bool {
	_, ok := h.Get(tag)
	return ok
}

// Strings returns the values of a tag of a string type; nil when it is absent
// or of another type. The first string of an I18NString is that of locale C.
func (h *Header) Strings(tag Tag) []string {
	e, ok := h.Get(tag)
	if !ok || e.Type != String && e.Type != StringArray && e.Type != I18NString {
		return nil
	}
	list := strings.Split(string(e.Data), "\x00")
	return list[:min(int(e.Count), len(list))]
}

// String returns the first string of a tag, "" when there is none.
func (h *Header) String(tag Tag) string {
	if s := h.Strings(tag); len(s) > 0 {
		return s[0]
	}
	return ""
}

// Ints returns the values of a tag of an integer type; nil when it is absent
// or of another type.
func (h *Header) Ints(tag Tag) []uint64 {
	e, ok := h.Get(tag)
	if !ok {
		return nil
	}
	var value func([]byte) uint64
	switch e.Type {
	case Char, Int8:
		value = func(b []byte) uint64 { return uint64(b[0]) }
	case Int16:
		value = func(b []byte) uint64 { return uint64(binary.BigEndian.Uint16(b)) }
	case Int32:
		value = func(b []byte) uint64 { return uint64(binary.BigEndian.Uint32(b)) }
	case Int64:
		value = binary.BigEndian.Uint64
	default:
		return nil
	}
	list := make([]uint64, 0, e.Count)
	for chunk := range slices.Chunk(e.Data, e.Type.size()) {
		list = append(list, value(chunk))
	}
	return list
}

// Int returns the first integer of a tag, and whether there is one.
func (h *Header) Int(tag Tag) (uint64, bool) {
	if v := h.Ints(tag); len(v) > 0 {
		return v[0], true
	}
	return 0, false
}

// Bytes returns the value of a Bin tag.
func (h *Header) Bytes(tag Tag) []byte {
	if e, ok := h.Get(tag); ok && e.Type == Bin {
		return e.Data
	}
	return nil
}

// NEVRA returns the name from a main header; the architecture of a source
// package (one without SourceRPM) is "src", as in repository metadata.
func (h *Header) NEVRA() NEVRA {
	epoch, _ := h.Int(Epoch)
	n := NEVRA{h.String(Name), uint32(epoch), h.String(Version), h.String(Release), h.String(Arch)}
	if !h.Has(SourceRPM) {
		n.Arch = "src"
	}
	return n
}

// set adds or replaces an entry.
func (h *Header) set(e Entry) {
	i, found := slices.BinarySearchFunc(h.Entries, e.Tag, func(e Entry, t Tag) int { return int(e.Tag) - int(t) })
	if found {
		h.Entries[i] = e
		return
	}
	h.Entries = slices.Insert(h.Entries, i, e)
}

// SetString sets one string.
func (h *Header) SetString(tag Tag, s string) { h.setStrings(tag, String, []string{s}) }

// SetStrings sets an array of strings. An empty array removes nothing and adds nothing.
func (h *Header) SetStrings(tag Tag, s []string) { h.setStrings(tag, StringArray, s) }

// SetI18N sets a translated string for the locales of I18NTable, in its order.
func (h *Header) SetI18N(tag Tag, s ...string) { h.setStrings(tag, I18NString, s) }

func (h *Header) setStrings(tag Tag, kind Type, s []string) {
	if len(s) > 0 {
		h.set(Entry{tag, kind, uint32(len(s)), []byte(strings.Join(s, "\x00") + "\x00")})
	}
}

// SetInt16 sets 16-bit integers.
func (h *Header) SetInt16(tag Tag, v ...uint16) {
	setInts(h, tag, Int16, v, binary.BigEndian.AppendUint16)
}

// SetInt32 sets 32-bit integers.
func (h *Header) SetInt32(tag Tag, v ...uint32) {
	setInts(h, tag, Int32, v, binary.BigEndian.AppendUint32)
}

// SetInt64 sets 64-bit integers.
func (h *Header) SetInt64(tag Tag, v ...uint64) {
	setInts(h, tag, Int64, v, binary.BigEndian.AppendUint64)
}

// SetBin sets a block of bytes.
func (h *Header) SetBin(tag Tag, b []byte) { h.set(Entry{tag, Bin, uint32(len(b)), b}) }

func setInts[T any](h *Header, tag Tag, kind Type, v []T, add func([]byte, T) []byte) {
	if len(v) == 0 {
		return
	}
	var data []byte
	for _, x := range v {
		data = add(data, x)
	}
	h.set(Entry{tag, kind, uint32(len(v)), data})
}

// Marshal writes the header with its region: SigRegion or Region.
func (h *Header) Marshal(region Tag) []byte {
	var index, data []byte
	for _, e := range h.Entries {
		for len(data)%e.Type.Align() != 0 {
			data = append(data, 0)
		}
		index = appendIndex(index, e.Tag, e.Type, uint32(len(data)), e.Count)
		data = append(data, e.Data...)
	}
	count := uint32(len(h.Entries) + 1)
	out := append([]byte(nil), headerMagic[:]...)
	out = binary.BigEndian.AppendUint32(out, count)
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)+16))
	out = appendIndex(out, region, Bin, uint32(len(data)), 16)
	out = append(out, index...)
	out = append(out, data...)
	return appendIndex(out, region, Bin, uint32(-16*int32(count)), 16)
}

func appendIndex(b []byte, tag Tag, kind Type, offset, count uint32) []byte {
	for _, v := range []uint32{uint32(tag), uint32(kind), offset, count} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}
