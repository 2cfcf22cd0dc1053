package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

// testKey is a pair that depends on the seed byte alone.
func testKey(t testing.TB, name string, seed byte) (note.Signer, note.Verifier, string) {
	t.Helper()
	skey, vkey, err := GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSigner(skey + "\n")
	if err != nil {
		t.Fatal(err)
	}
	v, err := ParseVerifier(vkey + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return s, v, vkey
}

func sign(t testing.TB, c Checkpoint, s note.Signer) []byte {
	t.Helper()
	text, err := CheckpointText(c)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := Sign(text, s)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestCheckpointGolden(t *testing.T) {
	text, err := CheckpointText(EmptyTree(testOrigin))
	if want := "example.org/ledger\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"; err != nil || text != want {
		t.Errorf("%q, %v", text, err)
	}
}

func TestCheckpoint(t *testing.T) {
	s, v, _ := testKey(t, testOrigin, 1)
	_, c := batch(t, 257)
	signed := sign(t, c, s)
	if again := sign(t, c, s); !bytes.Equal(signed, again) {
		t.Error("two signatures of one tree differ")
	}
	if got, err := Open(signed, v); err != nil || got != c {
		t.Errorf("%+v, %v", got, err)
	}

	// Signatures of others may stand before and after ours.
	w, _, _ := testKey(t, "witness.example.org", 2)
	text, _, _ := strings.Cut(string(signed), "\n\n")
	both, err := note.Sign(&note.Note{Text: text + "\n"}, w, s)
	if err != nil {
		t.Fatal(err)
	}
	cosigner, err := torchwood.NewCosignatureSigner("w2.example.org", testSeed(3))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(both, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	three, err := note.Sign(n, cosigner)
	if err != nil {
		t.Fatal(err)
	}
	for _, signed := range [][]byte{both, three} {
		if got, err := Open(signed, v); err != nil || got != c {
			t.Errorf("with other signatures: %+v, %v", got, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	s, v, _ := testKey(t, testOrigin, 1)
	other, otherV, _ := testKey(t, testOrigin, 2)
	_, c := batch(t, 257)
	signed := sign(t, c, s)
	for i := range signed {
		if got, err := Open(flip(signed, i), v); err == nil {
			t.Errorf("byte %d flipped: %+v", i, got)
		}
	}
	raw := func(text string) []byte {
		signed, err := note.Sign(&note.Note{Text: text}, s)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	text, _ := CheckpointText(c)
	lines := strings.Split(text, "\n")
	damaged := bytes.Replace(signed, []byte(" "), []byte(" A"), 1)
	for name, data := range map[string][]byte{
		"empty":          nil,
		"no signature":   []byte(text + "\n"),
		"other key":      sign(t, c, other),
		"extension":      raw(text + "more\n"),
		"blank line":     raw(text + "\n"),
		"two lines":      raw(lines[0] + "\n" + lines[1] + "\n"),
		"other origin":   raw(strings.Replace(text, "example.org", "example.com", 1)),
		"blank origin":   raw(strings.Replace(text, "example.org", "example org", 1)),
		"leading zero":   raw(strings.Replace(text, "\n257", "\n0257", 1)),
		"plus sign":      raw(strings.Replace(text, "\n257", "\n+257", 1)),
		"negative":       raw(strings.Replace(text, "\n257", "\n-257", 1)),
		"huge":           raw(strings.Replace(text, "\n257", "\n9223372036854775807", 1)),
		"short root":     raw(lines[0] + "\n257\n" + base64.StdEncoding.EncodeToString(c.Root[:31]) + "\n"),
		"root tail bits": raw(lines[0] + "\n257\n" + lines[2][:42] + "B=\n"),
		"size 0":         raw(strings.Replace(text, "\n257", "\n0", 1)),
		"too long":       append(signed, bytes.Repeat([]byte("\u2014 x AAAAAAA=\n"), 10000)...),
		"garbage":        append(bytes.Clone(signed), "x\n"...),
		"bad signature":  damaged,
	} {
		if got, err := Open(data, v); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
	if _, err := Open(signed, otherV); err == nil || !strings.Contains(err.Error(), "is not signed by example.org/ledger+") {
		t.Errorf("wrong key: %v", err)
	}
}

func TestSignRefuses(t *testing.T) {
	s, _, _ := testKey(t, testOrigin, 1)
	stranger, _, _ := testKey(t, "example.com", 1)
	text, _ := CheckpointText(EmptyTree(testOrigin))
	if _, err := Sign(text, stranger); err == nil {
		t.Error("signed for another origin")
	}
	if _, err := Sign(text+"x\n", s); err == nil {
		t.Error("signed what is not a checkpoint")
	}
	if _, err := CheckpointText(Checkpoint{Origin: testOrigin, Size: MaxSize + 1}); err == nil {
		t.Error("wrote an impossible size")
	}
}

func TestKeys(t *testing.T) {
	skey, vkey, err := GenerateKey(bytes.NewReader(make([]byte, 64)), testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	if s2, v2, _ := GenerateKey(bytes.NewReader(make([]byte, 64)), testOrigin); s2 != skey || v2 != vkey {
		t.Error("a key depends on more than the random source")
	}
	// The public key of the all-zero seed is 3b6a27bc...8b59da29.
	if !strings.HasSuffix(vkey, "+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop") {
		t.Errorf("vkey %s", vkey)
	}
	if _, err := torchwood.NewVerifierFromSigner(skey); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "a b", "a+b", "a\n", "\u00a0", strings.Repeat("x", 256), "\xff"} {
		if _, _, err := GenerateKey(bytes.NewReader(make([]byte, 64)), name); err == nil {
			t.Errorf("made a key for %q", name)
		}
	}
	if _, _, err := GenerateKey(bytes.NewReader(nil), testOrigin); err == nil {
		t.Error("made a key of nothing")
	}
	secret := strings.TrimPrefix(skey, "PRIVATE+KEY+")
	for _, bad := range []string{"", "x", vkey, skey + "\n\n", skey[:len(skey)-8], "PRIVATE+KEY+" + vkey, strings.Replace(skey, "org", "com", 1)} {
		_, err := ParseSigner(bad)
		if err == nil {
			t.Errorf("secret key %q accepted", bad)
			continue
		}
		if h, ok := err.(interface{ Hint() string }); !ok || strings.Contains(err.Error()+h.Hint(), secret[20:40]) {
			t.Errorf("error %v", err)
		}
	}
	for _, bad := range []string{"", "x", skey, vkey + "x", strings.Replace(vkey, "org", "com", 1)} {
		_, err := ParseVerifier(bad)
		if err == nil {
			t.Errorf("public key %q accepted", bad)
			continue
		}
		if h, ok := err.(interface{ Hint() string }); !ok || strings.Contains(err.Error()+h.Hint(), secret[20:40]) {
			t.Errorf("error %v", err)
		}
		if _, err := PolicyText(bad); err == nil {
			t.Errorf("policy for %q", bad)
		}
	}
}

func testSeed(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}
