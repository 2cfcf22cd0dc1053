package openpgp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Claim is what a signature says of itself. Nothing of it is verified.
type Claim struct {
	Version     int
	Algorithm   int       // of the key: 1 RSA, 22 EdDSA
	Hash        int       // 8 SHA-256, 10 SHA-512
	Created     time.Time // zero when it does not say
	KeyID       string    // of the key that signed, 16 upper-case hex digits; "" when it does not say
	Fingerprint string    // the same key's, 40 upper-case hex digits; "" when it does not say
}

// ReadClaim reads one binary signature packet, also one that CheckSignature refuses.
func ReadClaim(packet []byte) (Claim, error) {
	body, err := onePacket(packet)
	if err != nil {
		return Claim{}, err
	}
	switch {
	case len(body) >= 17 && body[0] == 3:
		return Claim{
			Version: 3, Algorithm: int(body[15]), Hash: int(body[16]), KeyID: fmt.Sprintf("%X", body[7:15]),
			Created: time.Unix(int64(binary.BigEndian.Uint32(body[3:])), 0).UTC(),
		}, nil
	case len(body) < 6 || body[0] != 4:
		return Claim{}, errors.New("signature is neither version 3 nor version 4")
	}
	c := Claim{Version: 4, Algorithm: int(body[2]), Hash: int(body[3])}
	hashed, rest, ok := sized(body[4:])
	if !ok {
		return Claim{}, errors.New("signature's hashed area is cut off")
	}
	unhashed, _, ok := sized(rest)
	if !ok {
		return Claim{}, errors.New("signature's unhashed area is cut off")
	}
	for i, area := range [][]byte{hashed, unhashed} {
		for len(area) > 0 {
			kind, data, rest, err := subpacket(area)
			if err != nil {
				return Claim{}, err
			}
			area = rest
			switch {
			case kind == subCreated && len(data) == 4 && i == 0:
				c.Created = time.Unix(int64(binary.BigEndian.Uint32(data)), 0).UTC()
			case kind == subIssuer && len(data) == 8:
				c.KeyID = fmt.Sprintf("%X", data)
			case kind == subFingerprint && len(data) == 21 && data[0] == 4:
				c.Fingerprint = fmt.Sprintf("%X", data[1:])
			}
		}
	}
	if c.KeyID == "" && c.Fingerprint != "" {
		c.KeyID = c.Fingerprint[24:]
	}
	return c, nil
}
