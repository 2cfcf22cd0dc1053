// Package openpgp holds the OpenPGP keys of a publisher: it loads them, refuses
// those that clients would refuse later, signs with them and verifies.
//
// Rules, from what rpm 4.18, the strict canonicaliser of Qubes OS and
// dnf/librepo accept:
//
//   - Keys are version 4 and RSA (2048 bits or more) or EdDSA over Ed25519
//     (algorithm 22). ECDSA, DSA, version 6 keys and RFC 9580 Ed25519 keys
//     (algorithm 27) are refused when they are loaded.
//   - A signature is one binary (type 0x00) version 4 packet with SHA-512 or
//     SHA-256, whose hashed area holds the creation time, the issuer key id and
//     the issuer fingerprint and nothing else. In particular there is no salt
//     notation: clients stop at it, and it would make every signature differ.
//   - So a signature is a function of key, message and time.
//
// It is the only package that imports go-crypto.
package openpgp

import (
	"bytes"
	"crypto"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// maxKeyFile bounds a key file; real ones are below 20 KiB.
const maxKeyFile = 1 << 20

// Key is one OpenPGP key that clients accept, with or without its private part.
type Key struct {
	entity *openpgp.Entity
}

// Generate makes an Ed25519 (algorithm 22) signing key without expiry. Its
// creation time is a parameter because signatures may not be older than their key.
func Generate(random io.Reader, name string, created time.Time) (*Key, error) {
	e, err := openpgp.NewEntity(name, "", "", &packet.Config{
		Rand:        random,
		Algorithm:   packet.PubKeyAlgoEdDSA,
		DefaultHash: crypto.SHA512,
		Time:        func() time.Time { return created },
	})
	if err != nil {
		return nil, fmt.Errorf("generate key %q: %w", name, err)
	}
	e.Subkeys = nil // a publisher's key never decrypts anything
	return newKey(e)
}

// Read loads one armored or binary key, public or private.
func Read(data []byte) (*Key, error) {
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("key file has %d bytes, more than %d", len(data), maxKeyFile)
	}
	var (
		list openpgp.EntityList
		err  error
	)
	if bytes.Contains(data, []byte("-----BEGIN PGP")) {
		list, err = openpgp.ReadArmoredKeyRing(bytes.NewReader(data))
	} else {
		list, err = openpgp.ReadKeyRing(bytes.NewReader(data))
	}
	if err != nil {
		return nil, fmt.Errorf("not an OpenPGP key: %w", err)
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("holds %d keys, not one", len(list))
	}
	return newKey(list[0])
}

func newKey(e *openpgp.Entity) (*Key, error) {
	if len(e.Revocations) > 0 {
		return nil, fmt.Errorf("key %X is revoked", e.PrimaryKey.Fingerprint)
	}
	if err := accepted(e.PrimaryKey); err != nil {
		return nil, err
	}
	for _, s := range e.Subkeys {
		if s.Sig == nil || !s.Sig.FlagsValid || !s.Sig.FlagSign {
			continue
		}
		if err := accepted(s.PublicKey); err != nil {
			return nil, fmt.Errorf("signing subkey: %w", err)
		}
	}
	return &Key{entity: e}, nil
}

// accepted says why a client would refuse signatures of this public key.
func accepted(k *packet.PublicKey) error {
	if k.Version != 4 {
		return fmt.Errorf("key %X is version %d; rpm reads version 4", k.Fingerprint, k.Version)
	}
	switch k.PubKeyAlgo {
	case packet.PubKeyAlgoEdDSA:
		return nil
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		bits, err := k.BitLength()
		if err != nil || bits < 2048 {
			return fmt.Errorf("key %X: RSA with %d bits; at least 2048 are needed", k.Fingerprint, bits)
		}
		return nil
	case packet.PubKeyAlgoEd25519:
		return fmt.Errorf("key %X is RFC 9580 Ed25519 (algorithm 27), which rpm refuses; make an EdDSA key (algorithm 22)", k.Fingerprint)
	}
	return fmt.Errorf("key %X has public-key algorithm %d, which template clients refuse; use RSA or EdDSA (22)", k.Fingerprint, k.PubKeyAlgo)
}

// Fingerprint is the primary key's fingerprint, 40 upper-case hex digits.
func (k *Key) Fingerprint() string { return fmt.Sprintf("%X", k.entity.PrimaryKey.Fingerprint) }

// Private reports whether the key can sign.
func (k *Key) Private() bool {
	return k.entity.PrivateKey != nil && !k.entity.PrivateKey.Encrypted
}

// Usable says why a signature made at that time would not be accepted:
// key created later, expired, revoked or without a signing part.
func (k *Key) Usable(at time.Time) error {
	if c := k.entity.PrimaryKey.CreationTime; at.Before(c) {
		return fmt.Errorf("key %s was created on %s, after %s", k.Fingerprint(), c.UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	if _, ok := k.entity.SigningKey(at); !ok {
		return fmt.Errorf("key %s has no part that may sign on %s (expired, revoked or without the signing flag)", k.Fingerprint(), at.UTC().Format(time.RFC3339))
	}
	return nil
}

// Public is the armored public key.
func (k *Key) Public() []byte { return armored(openpgp.PublicKeyType, k.entity.Serialize) }

// PrivateArmor is the armored private key, unencrypted. It fails for a public key.
func (k *Key) PrivateArmor() ([]byte, error) {
	if !k.Private() {
		return nil, fmt.Errorf("key %s has no private part", k.Fingerprint())
	}
	return armored(openpgp.PrivateKeyType, func(w io.Writer) error {
		return k.entity.SerializePrivateWithoutSigning(w, nil)
	}), nil
}

// Armor wraps a binary signature as gpg's .asc files are.
func Armor(signature []byte) []byte {
	return armored(openpgp.SignatureType, func(w io.Writer) error {
		_, err := w.Write(signature)
		return err
	})
}

// armored writes to memory only, so that a failure is a programmer's error.
func armored(kind string, body func(io.Writer) error) []byte {
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	if err == nil {
		if err = body(w); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		panic("openpgp: armor: " + err.Error())
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// Sign makes a detached binary signature dated at. It is verified before it
// is returned. Failures are final.
func (k *Key) Sign(message []byte, at time.Time) ([]byte, error) {
	if !k.Private() {
		return nil, fmt.Errorf("key %s has no usable private part", k.Fingerprint())
	}
	if err := k.Usable(at); err != nil {
		return nil, err
	}
	off := false
	var b bytes.Buffer
	err := openpgp.DetachSign(&b, k.entity, bytes.NewReader(message), &packet.Config{
		DefaultHash:                           crypto.SHA512,
		Time:                                  func() time.Time { return at },
		NonDeterministicSignaturesViaNotation: &off,
	})
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", k.Fingerprint(), err)
	}
	if _, err := (Keyring{k}).Verify(message, b.Bytes(), at); err != nil {
		return nil, fmt.Errorf("verify own signature: %w", err)
	}
	return b.Bytes(), nil
}

// Signature is what a verified signature says.
type Signature struct {
	Fingerprint string    // of the signer's primary key, 40 upper-case hex digits
	Created     time.Time // whole seconds, UTC
}

// Keyring is a list of keys that may sign.
type Keyring []*Key

// Verify checks a detached signature, armored or binary, by one of the keys,
// as a client would at the time now: the key must be in the ring, unexpired and
// unrevoked, the signature strict (see CheckSignature) and not from the future.
func (r Keyring) Verify(message, signature []byte, now time.Time) (Signature, error) {
	return r.VerifyFrom(bytes.NewReader(message), signature, now)
}

// VerifyFrom is Verify for a message of any size, which is read once.
func (r Keyring) VerifyFrom(message io.Reader, signature []byte, now time.Time) (Signature, error) {
	raw := signature
	if bytes.HasPrefix(bytes.TrimSpace(signature), []byte("-----BEGIN")) {
		var err error
		if raw, err = Dearmor(signature); err != nil {
			return Signature{}, err
		}
	}
	if err := CheckSignature(raw, now); err != nil {
		return Signature{}, err
	}
	list := make(openpgp.EntityList, len(r))
	for i, k := range r {
		list[i] = k.entity
	}
	sig, signer, err := openpgp.VerifyDetachedSignature(list, message, bytes.NewReader(raw), &packet.Config{
		Time: func() time.Time { return now },
	})
	if err != nil {
		return Signature{}, fmt.Errorf("signature does not verify: %s", strings.TrimPrefix(err.Error(), "openpgp: "))
	}
	return Signature{
		Fingerprint: fmt.Sprintf("%X", signer.PrimaryKey.Fingerprint),
		Created:     sig.CreationTime.UTC(),
	}, nil
}

// Dearmor returns the packets inside one armored signature block.
func Dearmor(data []byte) ([]byte, error) {
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("armored signature has %d bytes, more than %d", len(data), maxKeyFile)
	}
	block, err := armor.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not an armored signature: %w", err)
	}
	if block.Type != openpgp.SignatureType {
		return nil, fmt.Errorf("armored block is %q, not %q", block.Type, openpgp.SignatureType)
	}
	raw, err := io.ReadAll(io.LimitReader(block.Body, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("not an armored signature: %w", err)
	}
	return raw, nil
}
