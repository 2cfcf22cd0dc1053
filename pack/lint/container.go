package lint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

var leadName = regexp.MustCompile(`^[A-Za-z0-9._+~^:-]+$`)

func checkLead(s subject) error {
	if s.pkg == nil {
		return nil
	}
	b := s.pkg.Lead[:]
	name, rest, ok := bytes.Cut(b[10:76], []byte{0})
	switch {
	case b[4] != 3 || b[5] != 0:
		return fmt.Errorf("lead has version %d.%d", b[4], b[5])
	case binary.BigEndian.Uint16(b[6:]) != 0:
		return errors.New("lead says source package")
	case !ok || !leadName.Match(name) || len(bytes.Trim(rest, "\x00")) > 0:
		return fmt.Errorf("lead has the name %q", bytes.TrimRight(b[10:76], "\x00"))
	case binary.BigEndian.Uint16(b[78:]) != 5:
		return errors.New("lead does not announce a signature header")
	case len(bytes.Trim(b[80:96], "\x00")) > 0:
		return errors.New("lead has data in its reserved bytes")
	}
	return nil
}

func checkSignatureForm(s subject) error {
	if s.pkg == nil {
		return nil
	}
	if len(bytes.Trim(s.pkg.Padding, "\x00")) > 0 {
		return errors.New("padding behind the signature header is not zero")
	}
	for _, e := range s.pkg.Signature.Entries {
		if e.Type == rpm.String || e.Type == rpm.StringArray {
			if i := bytes.IndexFunc(e.Data, func(r rune) bool { return r != 0 && (r < 32 || r > 126) }); i >= 0 {
				return fmt.Errorf("signature tag %d holds text outside printable ASCII", e.Tag)
			}
		}
	}
	return canonical(s.pkg.RawSignature, rpm.SigRegion)
}

func checkHeaderForm(s subject) error {
	for _, e := range s.header.Entries {
		if e.Type == rpm.String || e.Type == rpm.StringArray || e.Type == rpm.I18NString {
			if !utf8.Valid(e.Data) {
				return fmt.Errorf("tag %d is not UTF-8", e.Tag)
			}
		}
	}
	return canonical(s.raw, rpm.Region)
}

// canonical checks C4 to C13: a region over everything, tags strictly
// ascending, data in the same order without gaps but zero bytes for alignment.
// The header was parsed before, so that bounds hold.
func canonical(raw []byte, region rpm.Tag) error {
	il, dl := int(binary.BigEndian.Uint32(raw[8:])), int(binary.BigEndian.Uint32(raw[12:]))
	index, data := raw[16:16+16*il], raw[16+16*il:]
	at := func(i int) (tag, kind, offset, count uint32) {
		e := index[16*i:]
		return binary.BigEndian.Uint32(e), binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])
	}
	tag, kind, offset, count := at(0)
	if il < 2 || dl < 16 || tag != uint32(region) || kind != uint32(rpm.Bin) || count != 16 || int(offset) != dl-16 {
		return errors.New("header does not start with a region over all of it")
	}
	trailer := data[dl-16:]
	want := binary.BigEndian.AppendUint32(nil, uint32(region))
	for _, v := range []uint32{uint32(rpm.Bin), uint32(-16 * int32(il)), 16} {
		want = binary.BigEndian.AppendUint32(want, v)
	}
	if !bytes.Equal(trailer, want) {
		return errors.New("header's region has a wrong trailer")
	}
	end, last := 0, uint32(99)
	for i := 1; i < il; i++ {
		tag, kind, offset, count := at(i)
		if tag <= last {
			return fmt.Errorf("tag %d stands behind tag %d", tag, last)
		}
		last = tag
		align := rpm.Type(kind).Align()
		start := (end + align - 1) / align * align
		if int(offset) != start || len(bytes.Trim(data[end:min(start, dl)], "\x00")) > 0 {
			return fmt.Errorf("data of tag %d does not follow that of the tag before it", tag)
		}
		end = start + valueSize(data[start:dl-16], rpm.Type(kind), int(count))
	}
	if end != dl-16 {
		return errors.New("header holds bytes that belong to no tag")
	}
	return nil
}

// valueSize measures a value of a parsed header.
func valueSize(data []byte, kind rpm.Type, count int) int {
	switch kind {
	case rpm.String, rpm.StringArray, rpm.I18NString:
		size := 0
		for range count {
			i := bytes.IndexByte(data[size:], 0)
			if i < 0 {
				return len(data) + 1
			}
			size += i + 1
		}
		return size
	}
	return count * kind.Align()
}

// signatureTags are the known tags of a signature header: type, and size in
// bytes where it is fixed.
var signatureTags = map[rpm.Tag]struct {
	kind rpm.Type
	size int
}{
	rpm.SigDSAHeader: {rpm.Bin, 0}, rpm.SigRSAHeader: {rpm.Bin, 0},
	rpm.SigSHA1Header: {rpm.String, 41}, rpm.SigSHA256Header: {rpm.String, 65},
	rpm.SigLongSize: {rpm.Int64, 8}, rpm.SigLongArchive: {rpm.Int64, 8},
	rpm.SigSize: {rpm.Int32, 4}, rpm.SigPayloadSize: {rpm.Int32, 4},
	rpm.SigPGP: {rpm.Bin, 0}, rpm.SigGPG: {rpm.Bin, 0},
	rpm.SigMD5: {rpm.Bin, 16}, rpm.SigReserved: {rpm.Bin, 0},
}

var lowerHex = regexp.MustCompile(`^[0-9a-f]+$`)

func checkSignatureTags(s subject) error {
	if s.pkg == nil {
		return nil
	}
	h := s.pkg.Signature
	for _, e := range h.Entries {
		if e.Type == rpm.I18NString || e.Tag == rpm.I18NTable {
			return fmt.Errorf("signature header holds translated text in tag %d", e.Tag)
		}
		known, ok := signatureTags[e.Tag]
		if ok && (e.Type != known.kind || known.size > 0 && len(e.Data) != known.size) {
			return fmt.Errorf("signature tag %d has type %d and %d bytes", e.Tag, e.Type, len(e.Data))
		}
	}
	for _, tag := range []rpm.Tag{rpm.SigSHA1Header, rpm.SigSHA256Header} {
		if h.Has(tag) && !lowerHex.MatchString(h.String(tag)) {
			return fmt.Errorf("signature tag %d is not lower-case hex", tag)
		}
	}
	if len(bytes.Trim(h.Bytes(rpm.SigReserved), "\x00")) > 0 {
		return errors.New("signature header has data in its reserved space")
	}
	return nil
}

// headerTags are the types of the tags that clients look at; the three string
// types count as one, but for I18NTable.
var headerTags = map[rpm.Tag]rpm.Type{
	rpm.Name: rpm.String, rpm.Version: rpm.String, rpm.Release: rpm.String, rpm.Epoch: rpm.Int32,
	rpm.Summary: rpm.I18NString, rpm.Description: rpm.I18NString, rpm.BuildTime: rpm.Int32,
	rpm.BuildHost: rpm.String, rpm.Size: rpm.Int32, rpm.License: rpm.String, rpm.Group: rpm.I18NString,
	rpm.URL: rpm.String, rpm.OS: rpm.String, rpm.Arch: rpm.String, rpm.FileSizes: rpm.Int32,
	rpm.FileModes: rpm.Int16, rpm.FileRDevs: rpm.Int16, rpm.FileMTimes: rpm.Int32,
	rpm.FileDigests: rpm.StringArray, rpm.FileLinkTos: rpm.StringArray, rpm.FileFlags: rpm.Int32,
	rpm.FileUserName: rpm.StringArray, rpm.FileGroupName: rpm.StringArray, rpm.SourceRPM: rpm.String,
	rpm.FileVerifyFlags: rpm.Int32, rpm.ProvideName: rpm.StringArray, rpm.RequireFlags: rpm.Int32,
	rpm.RequireName: rpm.StringArray, rpm.RequireVersion: rpm.StringArray, rpm.FileDevices: rpm.Int32,
	rpm.FileInodes: rpm.Int32, rpm.FileLangs: rpm.StringArray, rpm.ProvideFlags: rpm.Int32,
	rpm.ProvideVersion: rpm.StringArray, rpm.DirIndexes: rpm.Int32, rpm.BaseNames: rpm.StringArray,
	rpm.DirNames: rpm.StringArray, rpm.PayloadFormat: rpm.String, rpm.PayloadCompressor: rpm.String,
	rpm.PayloadFlags: rpm.String, rpm.LongFileSizes: rpm.Int64, rpm.LongSize: rpm.Int64,
	rpm.FileDigestAlgo: rpm.Int32, rpm.Encoding: rpm.String, rpm.PayloadDigest: rpm.StringArray,
	rpm.PayloadDigestAlgo: rpm.Int32, rpm.PayloadDigestAlt: rpm.StringArray, rpm.Cookie: rpm.String,
}

func checkHeaderTags(s subject) error {
	table, _ := s.header.Get(rpm.I18NTable)
	for _, e := range s.header.Entries {
		switch {
		case e.Tag == rpm.I18NTable:
			if e.Type != rpm.StringArray {
				return errors.New("table of locales is not an array of strings")
			}
		case e.Tag < 1000 || e.Tag > 0x7fff:
			return fmt.Errorf("tag %d is out of range", e.Tag)
		case e.Type == rpm.I18NString && table.Count > 0 && e.Count > table.Count:
			return fmt.Errorf("tag %d has %d translations for %d locales", e.Tag, e.Count, table.Count)
		}
		if want, ok := headerTags[e.Tag]; ok && family(e.Type) != family(want) {
			return fmt.Errorf("tag %d has type %d, not %d", e.Tag, e.Type, want)
		}
	}
	return nil
}

func family(t rpm.Type) rpm.Type {
	if t == rpm.StringArray || t == rpm.I18NString {
		return rpm.String
	}
	return t
}

func checkRequired(s subject) error {
	for _, tag := range []rpm.Tag{rpm.Name, rpm.Version, rpm.Release, rpm.OS, rpm.Arch, rpm.SourceRPM} {
		if s.header.String(tag) == "" {
			return fmt.Errorf("tag %d is missing", tag)
		}
	}
	if e, ok := s.header.Get(rpm.Epoch); ok {
		if v, _ := s.header.Int(rpm.Epoch); e.Count != 1 || v > 1<<31-1 {
			return errors.New("epoch is not one number from 0 to 2147483647")
		}
	}
	return s.header.NEVRA().Check()
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

func checkPayloadDigest(s subject) error {
	e, _ := s.header.Get(rpm.PayloadDigest)
	if e.Count != 1 || !sha256Hex.MatchString(s.header.String(rpm.PayloadDigest)) {
		return errors.New("payload digest is not one SHA-256 in lower-case hex")
	}
	if algo, _ := s.header.Int(rpm.PayloadDigestAlgo); algo != rpm.DigestSHA256 {
		return errors.New("payload digest algorithm is not SHA-256")
	}
	return nil
}

func checkSigned(s subject) error {
	if s.pkg == nil {
		return nil
	}
	h := s.pkg.Signature
	if h.Has(rpm.SigDSAHeader) && h.Has(rpm.SigRSAHeader) || h.Has(rpm.SigPGP) && h.Has(rpm.SigGPG) {
		return errors.New("package carries two signatures of one kind")
	}
	signature := s.pkg.HeaderSignature()
	if signature == nil {
		return errors.New("header is not signed")
	}
	// The form only; when a signature is from the future is the verifier's question.
	return openpgp.CheckSignature(signature, time.Unix(1<<32, 0))
}
