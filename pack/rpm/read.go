package rpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"time"

	"colophon/pack/openpgp"
)

// LeadSize is the size of the obsolete first part of the file, in bytes.
const LeadSize = 96

// Package is everything of an rpm file before its payload.
type Package struct {
	Lead         [LeadSize]byte
	Signature    *Header
	RawSignature []byte // the signature header's bytes, without padding
	Padding      []byte // between the signature header and the main header
	Header       *Header
	RawHeader    []byte // the main header's bytes
}

// HeaderStart is the offset of the main header in the file.
func (p *Package) HeaderStart() int64 {
	return int64(LeadSize + len(p.RawSignature) + len(p.Padding))
}

// HeaderEnd is the offset of the payload in the file.
func (p *Package) HeaderEnd() int64 { return p.HeaderStart() + int64(len(p.RawHeader)) }

// HeaderDigest is the SHA-256 of the main header, lower-case hex.
func (p *Package) HeaderDigest() string {
	d := sha256.Sum256(p.RawHeader)
	return hex.EncodeToString(d[:])
}

// Digests name a whole file. All are SHA-256 in lower-case hex.
type Digests struct {
	File    string // of all bytes
	Content string // of main header and payload: the content id
	Header  string // of the main header
	Payload string // of the compressed payload
	Size    int64  // bytes of the file
}

// ReadHeaders reads up to the payload, at which r then stands. Errors about the
// bytes are of type *FormatError. Nothing is verified but the form.
func ReadHeaders(r io.Reader) (*Package, error) {
	p := &Package{}
	if _, err := io.ReadFull(r, p.Lead[:]); err != nil {
		return nil, readError(err, "lead", "is cut off: not an rpm file")
	}
	if !bytes.Equal(p.Lead[:4], leadMagic[:]) {
		return nil, &FormatError{"lead", "has no rpm magic: not an rpm file"}
	}
	if p.Lead[4] != 3 {
		return nil, &FormatError{"lead", fmt.Sprintf("is of format version %d, not 3", p.Lead[4])}
	}
	var err error
	if p.Signature, p.RawSignature, err = readHeader(r, "signature header", SigRegion, maxSignature); err != nil {
		return nil, err
	}
	p.Padding = make([]byte, -len(p.RawSignature)&7)
	if _, err := io.ReadFull(r, p.Padding); err != nil {
		return nil, readError(err, "signature header", "is cut off")
	}
	p.Header, p.RawHeader, err = readHeader(r, "main header", Region, maxHeader)
	return p, err
}

func readError(err error, part, reason string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &FormatError{part, reason}
	}
	return err
}

// Read reads a whole package and verifies every digest that it carries: the
// header digest of the signature header, and the payload digest of the main
// header, which both have to be there. Signatures are VerifySignature's. An
// error about the bytes comes with the package and its digests, if its headers
// could be read.
func Read(r io.Reader) (*Package, Digests, error) {
	return ReadWith(r, func(*Package, io.Reader) error { return nil })
}

// ReadWith is Read, and lets see read the compressed payload on its way. What
// see leaves of it is read behind it. see's error counts where all digests match.
func ReadWith(r io.Reader, see func(p *Package, payload io.Reader) error) (*Package, Digests, error) {
	file := sha256.New()
	p, err := ReadHeaders(io.TeeReader(r, file))
	if err != nil {
		return nil, Digests{}, err
	}
	content, payload := sha256.New(), sha256.New()
	content.Write(p.RawHeader)
	n := &counter{}
	through := io.TeeReader(r, io.MultiWriter(file, content, payload, n))
	seen := see(p, through)
	if _, err := io.Copy(io.Discard, through); err != nil {
		return nil, Digests{}, err
	}
	sum := func(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
	d := Digests{sum(file), sum(content), p.HeaderDigest(), sum(payload), p.HeaderEnd() + n.bytes}
	if err := p.checkDigests(d); err != nil {
		return p, d, err
	}
	return p, d, seen
}

// counter counts the bytes written to it.
type counter struct{ bytes int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.bytes += int64(len(b))
	return len(b), nil
}

func (p *Package) checkDigests(d Digests) error {
	switch want := p.Signature.String(SigSHA256Header); want {
	case d.Header:
	case "":
		return &FormatError{"signature header", "has no SHA-256 of the main header"}
	default:
		return &FormatError{"main header", "does not match the digest of the signature header"}
	}
	if algo, _ := p.Header.Int(PayloadDigestAlgo); algo != DigestSHA256 {
		return &FormatError{"main header", fmt.Sprintf("has payload digest algorithm %d, not SHA-256 (8)", algo)}
	}
	switch want := p.Header.String(PayloadDigest); want {
	case d.Payload:
	case "":
		return &FormatError{"main header", "has no payload digest"}
	default:
		if have, want := d.Size-p.HeaderStart(), p.ClaimedSize(); have < want {
			return &FormatError{"payload", fmt.Sprintf("is cut off: %d bytes of the file are missing", want-have)}
		}
		return &FormatError{"payload", "does not match the digest of the main header"}
	}
	return nil
}

// ClaimedSize is the size of main header and payload together that the
// signature header claims; 0 when it does not. Nothing vouches for it.
func (p *Package) ClaimedSize() int64 { return p.claimed(SigSize, SigLongSize) }

// ClaimedArchive is the size of the uncompressed payload that the signature
// header claims; 0 when it does not. Nothing vouches for it.
func (p *Package) ClaimedArchive() int64 { return p.claimed(SigPayloadSize, SigLongArchive) }

func (p *Package) claimed(short, long Tag) int64 {
	v, ok := p.Signature.Int(long)
	if !ok {
		v, _ = p.Signature.Int(short)
	}
	return int64(min(v, math.MaxInt64))
}

// HeaderSignature is the OpenPGP signature packet over the main header, nil
// when there is none. EdDSA stands by convention in tag 267, RSA in 268.
func (p *Package) HeaderSignature() []byte {
	if s := p.Signature.Bytes(SigRSAHeader); s != nil {
		return s
	}
	return p.Signature.Bytes(SigDSAHeader)
}

// VerifySignature checks the header signature by one of the keys, as a client
// would at the time now.
func (p *Package) VerifySignature(keys openpgp.Keyring, now time.Time) (openpgp.Signature, error) {
	s := p.HeaderSignature()
	if s == nil {
		return openpgp.Signature{}, errors.New("package is not signed: it has no header signature")
	}
	return keys.Verify(p.RawHeader, s, now)
}
