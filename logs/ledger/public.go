package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// PublicKey derives the public key from a secret one. Both are as GenerateKey
// made them; a secret key is PRIVATE+KEY+name+id+base64(0x01 || seed).
func PublicKey(skey string) (vkey string, err error) {
	signer, err := ParseSigner(skey)
	if err != nil {
		return "", err
	}
	skey = strings.TrimSuffix(skey, "\n")
	// The base64 alphabet has a plus sign of its own, so count from the front.
	parts := strings.SplitN(skey, "+", 5)
	key, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(key) != 1+ed25519.SeedSize {
		return "", &keyError{"secret ledger key is damaged", "restore it from a backup; a new key needs a new ledger"}
	}
	public := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(signer.Name(), public)
}
