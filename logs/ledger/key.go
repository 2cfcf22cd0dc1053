package ledger

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// A keyError is a key that cannot be used, with what to do about it. It never
// holds any part of the key.
type keyError struct{ problem, hint string }

func (e *keyError) Error() string { return e.problem }
func (e *keyError) Hint() string  { return e.hint }

// GenerateKey makes a key pair for the log of the given name, which becomes the
// origin of its checkpoints and should be the address of the ledger without
// scheme and trailing slash. It reads 32 bytes from random and depends on them
// alone. Both keys are one line without its LF: skey, the secret one, starts
// with PRIVATE+KEY+, vkey is what the world gets.
func GenerateKey(random io.Reader, name string) (skey, vkey string, err error) {
	if err := checkName(name); err != nil {
		return "", "", err
	}
	if random == nil {
		return "", "", errors.New("generate ledger key: no random source")
	}
	skey, vkey, err = note.GenerateKey(random, name)
	if err != nil {
		return "", "", fmt.Errorf("generate ledger key: %w", err)
	}
	return skey, vkey, nil
}

// ParseSigner reads a secret key as GenerateKey made it. One LF may follow.
func ParseSigner(skey string) (note.Signer, error) {
	skey = strings.TrimSuffix(skey, "\n")
	if !strings.HasPrefix(skey, "PRIVATE+KEY+") {
		return nil, &keyError{"not a secret ledger key", "the file starts with PRIVATE+KEY+ and is one line"}
	}
	s, err := note.NewSigner(skey)
	if err != nil || hasBlank(skey) {
		return nil, &keyError{"secret ledger key is damaged", "restore it from a backup; a new key needs a new ledger"}
	}
	if err := checkName(s.Name()); err != nil {
		return nil, err
	}
	return s, nil
}

// ParseVerifier reads a public key as GenerateKey made it. One LF may follow.
func ParseVerifier(vkey string) (note.Verifier, error) {
	vkey = strings.TrimSuffix(vkey, "\n")
	if strings.HasPrefix(vkey, "PRIVATE+KEY+") {
		return nil, &keyError{"this is a secret ledger key", "use the public one, key.vkey, and publish no other"}
	}
	v, err := note.NewVerifier(vkey)
	if err != nil || hasBlank(vkey) {
		return nil, &keyError{"not a public ledger key", "the file is one line: name, eight hex digits, base64, with a + between them"}
	}
	if err := checkName(v.Name()); err != nil {
		return nil, err
	}
	return v, nil
}

// hasBlank finds the line ends that base64 decoders skip.
func hasBlank(key string) bool { return strings.IndexFunc(key, unicode.IsSpace) >= 0 }

// checkName wants a name that both the note format and our own checkpoints can
// carry on a line.
func checkName(name string) error {
	ok := name != "" && len(name) <= 255 && utf8.ValidString(name)
	for _, r := range name {
		ok = ok && unicode.IsPrint(r) && !unicode.IsSpace(r) && r != '+'
	}
	if !ok {
		return fmt.Errorf("%q is not a name for a ledger: 1 to 255 bytes, printable, without blanks and plus signs", name)
	}
	return nil
}

// PolicyText is the tlog-policy of a log without witnesses: what to trust when
// verifying its proofs.
func PolicyText(vkey string) (string, error) {
	vkey = strings.TrimSuffix(vkey, "\n")
	if _, err := ParseVerifier(vkey); err != nil {
		return "", err
	}
	return "log " + vkey + "\nquorum none\n", nil
}
