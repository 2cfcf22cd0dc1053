package openpgp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"
)

// Subpacket types that the strict reader knows (RFC 9580 section 5.2.3.7).
const (
	subCreated     = 2
	subExpires     = 3
	subIssuer      = 16
	subSigner      = 28
	subFingerprint = 33
)

// CheckSignature applies the rules of the strictest known reader (Qubes OS
// rpmcanon 0.2.9) to one binary signature packet: exactly one packet without
// trailing bytes, version 4, type binary, SHA-2, an accepted algorithm, only
// the five known hashed subpackets, no expiry, a creation time not after now,
// and minimal MPIs. It does not verify the signature.
func CheckSignature(packet []byte, now time.Time) error {
	body, err := onePacket(packet)
	if err != nil {
		return err
	}
	if len(body) < 6 {
		return errors.New("signature packet is too short")
	}
	if body[0] != 4 {
		return fmt.Errorf("signature is version %d, not 4", body[0])
	}
	if body[1] != 0 {
		return fmt.Errorf("signature has type 0x%02x, not binary", body[1])
	}
	mpis := map[byte]int{1: 1, 3: 1, 22: 2}[body[2]]
	if mpis == 0 {
		return fmt.Errorf("signature algorithm %d is not accepted by clients (RSA or EdDSA 22)", body[2])
	}
	if h := body[3]; h < 8 || h > 10 {
		return fmt.Errorf("signature hash %d is not SHA-256, SHA-384 or SHA-512", h)
	}
	hashed, rest, ok := sized(body[4:])
	if !ok {
		return errors.New("signature's hashed area is cut off")
	}
	unhashed, rest, ok := sized(rest)
	if !ok || len(rest) < 2 {
		return errors.New("signature's unhashed area is cut off")
	}
	if err := checkSubpackets(hashed, unhashed, now); err != nil {
		return err
	}
	return checkMPIs(rest[2:], mpis)
}

// onePacket strips the packet header (RFC 9580 section 4.2) of a signature.
func onePacket(p []byte) ([]byte, error) {
	if len(p) < 2 || p[0]&0x80 == 0 {
		return nil, errors.New("not an OpenPGP packet")
	}
	tag, head, size := int(p[0]&0x3f), 0, 0
	if p[0]&0x40 == 0 { // old format
		tag = int(p[0]>>2) & 0xf
		switch n := p[0] & 3; {
		case n == 0:
			head, size = 2, int(p[1])
		case n == 1 && len(p) >= 3:
			head, size = 3, int(binary.BigEndian.Uint16(p[1:]))
		case n == 2 && len(p) >= 5:
			head, size = 5, int(binary.BigEndian.Uint32(p[1:]))
		default:
			return nil, errors.New("packet has no definite length")
		}
	} else {
		switch l := p[1]; {
		case l < 192:
			head, size = 2, int(l)
		case l < 224 && len(p) >= 3:
			head, size = 3, (int(l)-192)<<8+int(p[2])+192
		case l == 255 && len(p) >= 6:
			head, size = 6, int(binary.BigEndian.Uint32(p[2:]))
		default:
			return nil, errors.New("packet has no definite length")
		}
	}
	if tag != 2 {
		return nil, fmt.Errorf("packet has tag %d, not a signature", tag)
	}
	if len(p)-head != size {
		return nil, fmt.Errorf("signature packet claims %d bytes, has %d", size, len(p)-head)
	}
	return p[head:], nil
}

func sized(b []byte) (area, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

func checkSubpackets(hashed, unhashed []byte, now time.Time) error {
	seen := map[byte][]byte{}
	for len(hashed) > 0 {
		kind, data, rest, err := subpacket(hashed)
		if err != nil {
			return err
		}
		hashed = rest
		if _, twice := seen[kind]; twice {
			return fmt.Errorf("signature holds subpacket %d twice", kind)
		}
		seen[kind] = data
		switch kind {
		case subCreated:
			if len(data) != 4 {
				return errors.New("signature's creation time is malformed")
			}
			if t := time.Unix(int64(binary.BigEndian.Uint32(data)), 0); t.After(now) {
				return fmt.Errorf("signature is dated %s, in the future", t.UTC().Format(time.RFC3339))
			}
		case subExpires:
			return errors.New("signature has an expiry, which strict readers take as expired")
		case subIssuer:
			if len(data) != 8 {
				return errors.New("signature's issuer is malformed")
			}
		case subFingerprint:
			if len(data) != 21 || data[0] != 4 {
				return errors.New("signature's issuer fingerprint is not of a version 4 key")
			}
		case subSigner:
		default:
			return fmt.Errorf("signature holds subpacket %d, which strict readers refuse", kind)
		}
	}
	if seen[subCreated] == nil {
		return errors.New("signature has no creation time")
	}
	id := seen[subIssuer]
	if len(unhashed) > 0 {
		kind, data, rest, err := subpacket(unhashed)
		if err != nil || len(rest) > 0 || kind != subIssuer || len(data) != 8 || id != nil {
			return errors.New("signature's unhashed area may hold one issuer key id and nothing else")
		}
		id = data
	}
	if id == nil {
		return errors.New("signature names no issuer")
	}
	if f := seen[subFingerprint]; f != nil && string(f[13:]) != string(id) {
		return errors.New("signature's issuer and fingerprint differ")
	}
	return nil
}

func subpacket(b []byte) (kind byte, data, rest []byte, err error) {
	head, size := 1, int(b[0])
	switch {
	case size >= 192 && size < 255 && len(b) >= 2:
		head, size = 2, (size-192)<<8+int(b[1])+192
	case size == 255 && len(b) >= 5:
		head, size = 5, int(binary.BigEndian.Uint32(b[1:]))
	case size >= 192:
		size = 0
	}
	if size < 1 || size > len(b)-head {
		return 0, nil, nil, errors.New("signature subpacket is cut off")
	}
	return b[head] & 0x7f, b[head+1 : head+size], b[head+size:], nil
}

func checkMPIs(b []byte, count int) error {
	for range count {
		if len(b) < 2 {
			return errors.New("signature value is cut off")
		}
		n := int(binary.BigEndian.Uint16(b))
		size := (n + 7) / 8
		if n == 0 || len(b) < 2+size || bits.Len8(b[2]) != (n-1)%8+1 {
			return errors.New("signature value is not a minimal MPI")
		}
		b = b[2+size:]
	}
	if len(b) > 0 {
		return fmt.Errorf("signature has %d bytes after its end", len(b))
	}
	return nil
}

// EdDSA is the number of the EdDSA algorithm over Ed25519 (RFC 9580: EdDSALegacy).
const EdDSA = 22

// Algorithm is the public-key algorithm of a binary signature packet.
func Algorithm(packet []byte) (int, error) {
	body, err := onePacket(packet)
	if err != nil {
		return 0, err
	}
	if len(body) < 3 || body[0] != 4 {
		return 0, errors.New("not a version 4 signature")
	}
	return int(body[2]), nil
}
