package lint

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"time"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

var leadName = regexp.MustCompile(`^[A-Za-z0-9._+~^:-]+$`)

func scanLead(s *Subject, f *findings) {
	if s.Package == nil {
		return
	}
	b := s.Package.Lead[:]
	if b[4] != 3 || b[5] != 0 {
		f.fail("C1", "lead has format version %d.%d", b[4], b[5])
	}
	if kind := binary.BigEndian.Uint16(b[6:]); kind > 1 {
		f.fail("C1", "lead has type %d; 0 is a binary package, 1 a source package", kind)
	}
	name, rest, ok := bytes.Cut(b[10:76], []byte{0})
	if !ok || !leadName.Match(name) || len(bytes.Trim(rest, "\x00")) > 0 {
		f.fail("C2", "lead has the name %q", bytes.TrimRight(b[10:76], "\x00"))
	}
	if binary.BigEndian.Uint16(b[78:]) != 5 {
		f.fail("C3", "lead does not announce a signature header")
	}
	if len(bytes.Trim(b[80:96], "\x00")) > 0 {
		f.fail("C3", "lead has data in its reserved bytes")
	}
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

func scanSignatureTags(s *Subject, f *findings) {
	if s.Package == nil {
		return
	}
	h := s.Package.Signature
	for _, e := range h.Entries {
		if e.Type == rpm.I18NString || e.Tag == rpm.I18NTable {
			f.fail("C14", "signature header holds translated text in tag %d", e.Tag)
		}
		if known, ok := signatureTags[e.Tag]; ok && (e.Type != known.kind || known.size > 0 && len(e.Data) != known.size) {
			f.fail("C15", "signature tag %d has type %d and %d bytes", e.Tag, e.Type, len(e.Data))
		}
	}
	if len(bytes.Trim(h.Bytes(rpm.SigReserved), "\x00")) > 0 {
		f.fail("C15", "signature header has data in its reserved space")
	}
	for _, tag := range []rpm.Tag{rpm.SigSHA1Header, rpm.SigSHA256Header} {
		if h.Has(tag) && !lowerHex.MatchString(h.String(tag)) {
			f.fail("C16", "signature tag %d is not lower-case hex", tag)
		}
	}
	for _, pair := range [][2]rpm.Tag{{rpm.SigDSAHeader, rpm.SigRSAHeader}, {rpm.SigPGP, rpm.SigGPG}} {
		if h.Has(pair[0]) && h.Has(pair[1]) {
			f.fail("C17", "package carries the signatures %d and %d, which are of one kind", pair[0], pair[1])
		}
	}
}

// distant is later than every signature: what their form is, and whether one is
// from the future, are two questions.
var distant = time.Unix(1<<32, 0)

// signatures are the tags with a signature packet: of the header, and of header
// and payload.
var (
	headerSignatures = []rpm.Tag{rpm.SigDSAHeader, rpm.SigRSAHeader}
	wholeSignatures  = []rpm.Tag{rpm.SigPGP, rpm.SigGPG}
)

func scanSignatures(s *Subject, f *findings) {
	if s.Package == nil {
		return
	}
	h := s.Package.Signature
	for _, tag := range append(headerSignatures[:2:2], wholeSignatures...) {
		if e, ok := h.Get(tag); ok {
			if err := openpgp.CheckSignature(e.Data, distant); err != nil {
				f.fail("C20", "signature tag %d: %v", tag, err)
			}
		}
	}
	signature := s.Package.HeaderSignature()
	if signature == nil {
		f.fail("C41", "header is not signed")
		f.fail("L8", "header is not signed")
	}
	keys, now := s.Context.Keys, s.Context.Now
	if keys != nil {
		if signature == nil {
			f.fail("L7", "header is not signed")
		} else if _, err := s.Package.VerifySignature(keys, now); err != nil {
			f.fail("L7", "%v", err)
		}
	}
	for _, tag := range wholeSignatures {
		if e, ok := h.Get(tag); ok && (keys == nil || s.message == nil) {
			f.warn("C42", "signature of header and payload (tag %d) was not verified", tag)
		} else if ok {
			if _, err := keys.VerifyFrom(s.message(), e.Data, now); err != nil {
				f.fail("C42", "signature of header and payload (tag %d): %v", tag, err)
			}
		}
	}
}

func scanDigests(s *Subject, f *findings) {
	h := s.Header
	if e, _ := h.Get(rpm.PayloadDigest); e.Count != 1 || !sha256Hex.MatchString(h.String(rpm.PayloadDigest)) {
		f.fail("C27", "payload digest is not one SHA-256 in lower-case hex")
	}
	if v := h.Ints(rpm.PayloadDigestAlgo); len(v) != 1 || v[0] != rpm.DigestSHA256 {
		f.fail("C27", "payload digest algorithm is not SHA-256")
	}
	if e, ok := h.Get(rpm.PayloadDigestAlt); ok && (e.Count != 1 || !lowerHex.MatchString(h.String(rpm.PayloadDigestAlt))) {
		f.fail("C28", "digest of the uncompressed payload is not one in lower-case hex")
	}
	if s.Package == nil {
		return
	}
	sig := s.Package.Signature
	sha1Sum := sha1.Sum(s.Raw)
	switch want := sig.String(rpm.SigSHA256Header); {
	case want == "":
		f.fail("L8", "signature header has no SHA-256 of the main header")
	case want != s.Package.HeaderDigest():
		f.fail("C42", "SHA-256 of the main header is not that of the signature header")
	}
	if sig.Has(rpm.SigSHA1Header) && sig.String(rpm.SigSHA1Header) != hex.EncodeToString(sha1Sum[:]) {
		f.fail("C42", "SHA-1 of the main header is not that of the signature header")
	}
	if s.Payload == nil {
		return
	}
	if sig.Has(rpm.SigMD5) && !bytes.Equal(sig.Bytes(rpm.SigMD5), s.Payload.MD5) {
		f.fail("C42", "MD5 of header and payload is not that of the signature header")
	}
	size, claimed := s.Digests.Size-s.Package.HeaderStart(), s.Package.ClaimedSize()
	if want := h.String(rpm.PayloadDigest); want != s.Digests.Payload {
		if size < claimed {
			f.fail("C43", "file is cut off: %d bytes are missing", claimed-size)
		}
		f.fail("C43", "payload has the SHA-256 %s, the header says %s", s.Digests.Payload, want)
	}
	if claimed != 0 && claimed != size {
		f.warn("P4", "header and payload have %d bytes, the signature header says %d", size, claimed)
	}
	if want, got := s.Package.ClaimedArchive(), s.Payload.Bytes; want != 0 && want != got && s.Payload.Err == nil {
		f.warn("P4", "uncompressed payload has %d bytes, the signature header says %d", got, want)
	}
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

func scanIdentity(s *Subject, f *findings) {
	h := s.Header
	for _, tag := range []rpm.Tag{rpm.Name, rpm.Version, rpm.Release, rpm.OS, rpm.Arch} {
		if h.String(tag) == "" {
			f.fail("C25", "tag %d is missing", tag)
		}
	}
	if e, ok := h.Get(rpm.Epoch); ok {
		if v, _ := h.Int(rpm.Epoch); e.Count != 1 || v > 1<<31-1 {
			f.fail("C26", "epoch is not one number from 0 to 2147483647")
		}
	}
	if h.String(rpm.SourceRPM) == "" {
		f.fail("C29", "source package is not named: clients would take this for a source package")
	}
	if err := h.NEVRA().Check(); err != nil {
		f.fail("P1", "%v", err)
	}
}
