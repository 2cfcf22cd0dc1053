package rpm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"colophon/pack/openpgp"
)

var leadMagic = [4]byte{0xed, 0xab, 0xee, 0xdb}

// SignatureSize is the size of every signature header that Front writes, in
// bytes. It is constant, so that the payload's place is known before anything
// is signed: signatures vary by a byte or two, and a package may be signed
// again by a larger key. RSA keys up to 16,384 bits fit.
const SignatureSize = 4096

// PayloadOffset is where the payload of a package with this main header starts.
func PayloadOffset(header []byte) int64 { return LeadSize + SignatureSize + int64(len(header)) }

// Front makes all bytes before the payload: lead, signature header and the main
// header itself. header is Marshal(Region)'s result, signature the OpenPGP
// packet over it, payload and archive the sizes of the compressed and the
// uncompressed payload in bytes.
func Front(name NEVRA, header, signature []byte, payload, archive int64) ([]byte, error) {
	algorithm, err := openpgp.Algorithm(signature)
	if err != nil {
		return nil, err
	}
	tag := SigRSAHeader
	if algorithm == openpgp.EdDSA {
		tag = SigDSAHeader
	}
	digest := sha256.Sum256(header)
	h := &Header{}
	h.SetBin(tag, signature)
	h.SetString(SigSHA256Header, hex.EncodeToString(digest[:]))
	setSize(h, SigSize, SigLongSize, int64(len(header))+payload)
	setSize(h, SigPayloadSize, SigLongArchive, archive)

	// The reserved space stands last, so it alone decides the total.
	h.SetBin(SigReserved, []byte{0})
	room := SignatureSize - len(h.Marshal(SigRegion))
	if room < 0 {
		return nil, fmt.Errorf("signature of %d bytes does not fit into a signature header of %d", len(signature), SignatureSize)
	}
	h.SetBin(SigReserved, make([]byte, 1+room))

	out := append(lead(name), h.Marshal(SigRegion)...)
	return append(out, header...), nil
}

// setSize uses the 32-bit tag where the value fits, as rpm does.
func setSize(h *Header, short, long Tag, v int64) {
	if v <= math.MaxUint32 {
		h.SetInt32(short, uint32(v))
	} else {
		h.SetInt64(long, uint64(v))
	}
}

// lead is the old first part of a binary package; rpm reads only its magic.
func lead(n NEVRA) []byte {
	b := make([]byte, LeadSize)
	copy(b, leadMagic[:])
	b[4] = 3
	full := n.Name + "-" + n.Version + "-" + n.Release
	copy(b[10:10+65], full)
	binary.BigEndian.PutUint16(b[76:], 1) // linux
	binary.BigEndian.PutUint16(b[78:], 5) // a header-style signature follows
	return b
}
