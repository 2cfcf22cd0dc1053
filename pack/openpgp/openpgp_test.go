package openpgp

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

var (
	created = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	signed  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

func generate(t testing.TB) *Key {
	t.Helper()
	k, err := Generate(rand.Reader, "test", created)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func entity(t *testing.T, c packet.Config) []byte {
	t.Helper()
	c.Time = func() time.Time { return created }
	e, err := openpgp.NewEntity("test", "", "", &c)
	if err != nil {
		t.Fatal(err)
	}
	return armored(openpgp.PrivateKeyType, func(w io.Writer) error { return e.SerializePrivateWithoutSigning(w, nil) })
}

func TestSignIsAFunction(t *testing.T) {
	k := generate(t)
	secret, err := k.PrivateArmor()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Read(secret)
	if err != nil {
		t.Fatal(err)
	}
	a, err := k.Sign([]byte("message"), signed)
	if err != nil {
		t.Fatal(err)
	}
	b, err := again.Sign([]byte("message"), signed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the same key, message and time gave two signatures")
	}
	public, err := Read(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	if public.Private() || public.Fingerprint() != k.Fingerprint() {
		t.Errorf("public part: private %v, fingerprint %s", public.Private(), public.Fingerprint())
	}
	for _, sig := range [][]byte{a, Armor(a)} {
		got, err := Keyring{public}.Verify([]byte("message"), sig, signed.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if got.Fingerprint != k.Fingerprint() || !got.Created.Equal(signed) {
			t.Errorf("verified as %+v", got)
		}
	}
	if _, err := (Keyring{public}).Verify([]byte("other"), a, signed); err == nil {
		t.Error("a signature over other data verified")
	}
	if _, err := (Keyring{generate(t)}).Verify([]byte("message"), a, signed); err == nil {
		t.Error("a signature by a key outside the ring verified")
	}
	if _, err := public.Sign(nil, signed); err == nil {
		t.Error("a public key signed")
	}
}

func TestKeysClientsRefuse(t *testing.T) {
	lifetime := uint32(3600)
	for name, c := range map[string]struct {
		config packet.Config
		want   string
	}{
		"algorithm 27": {packet.Config{Algorithm: packet.PubKeyAlgoEd25519}, "algorithm 27"},
		"version 6":    {packet.Config{Algorithm: packet.PubKeyAlgoEd25519, V6Keys: true}, "version 6"},
		"ECDSA":        {packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP256}, "algorithm 19"},
	} {
		if _, err := Read(entity(t, c.config)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
	k, err := Read(entity(t, packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: lifetime}))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Usable(created.Add(2 * time.Hour)); err == nil {
		t.Error("an expired key is usable")
	}
	if err := k.Usable(created.Add(-time.Hour)); err == nil || !strings.Contains(err.Error(), "created on 2020-01-01") {
		t.Errorf("a key of the future: %v", err)
	}
	if err := k.Usable(created.Add(time.Minute)); err != nil {
		t.Error(err)
	}
	for _, data := range []string{"", "hello", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"} {
		if _, err := Read([]byte(data)); err == nil {
			t.Errorf("%q is a key", data)
		}
	}
}

func TestRSA(t *testing.T) {
	k, err := Read(entity(t, packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048}))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := k.Sign([]byte("x"), signed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Keyring{k}).Verify([]byte("x"), sig, signed); err != nil {
		t.Error(err)
	}
}

func TestCheckSignature(t *testing.T) {
	k := generate(t)
	good, err := k.Sign([]byte("x"), signed)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckSignature(good, signed); err != nil {
		t.Fatal(err)
	}
	if err := CheckSignature(good, signed.Add(-time.Second)); err == nil || !strings.Contains(err.Error(), "future") {
		t.Errorf("a signature of the future: %v", err)
	}
	for n := range good {
		if err := CheckSignature(good[:n], signed); err == nil {
			t.Errorf("the first %d bytes of a signature pass", n)
		}
	}
	if err := CheckSignature(append(bytes.Clone(good), 0), signed); err == nil {
		t.Error("a trailing byte passes")
	}

	body, err := onePacket(good)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"version 9", "type 0x09", "algorithm 9", "hash 7"} {
		bad := bytes.Clone(good)
		bad[len(good)-len(body)+i] = []byte{9, 9, 9, 7}[i]
		if err := CheckSignature(bad, signed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}

	// What go-crypto does when left alone: a salt in a notation (subpacket 20),
	// and a lifetime.
	for want, c := range map[string]packet.Config{
		"subpacket 20": {},
		"expiry":       {SigLifetimeSecs: 60, NonDeterministicSignaturesViaNotation: new(bool)},
	} {
		c.Time = func() time.Time { return signed }
		var b bytes.Buffer
		if err := openpgp.DetachSign(&b, k.entity, strings.NewReader("x"), &c); err != nil {
			t.Fatal(err)
		}
		if err := CheckSignature(b.Bytes(), signed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
		if _, err := (Keyring{k}).Verify([]byte("x"), b.Bytes(), signed); err == nil {
			t.Errorf("a signature with %s verified", want)
		}
	}
}

func FuzzCheckSignature(f *testing.F) {
	k := generate(f)
	sig, err := k.Sign([]byte("x"), signed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sig)
	f.Fuzz(func(t *testing.T, data []byte) {
		// What passes the strict check and differs from the real signature must not verify.
		if _, err := (Keyring{k}).Verify([]byte("x"), data, signed); err == nil && CheckSignature(data, signed) != nil &&
			!bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN")) {
			t.Errorf("verified without passing the strict check: %x", data)
		}
	})
}

func Example() {
	key, err := Generate(rand.Reader, "Example publisher", time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		panic(err)
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	signature, err := key.Sign([]byte("repomd.xml"), at)
	if err != nil {
		panic(err)
	}
	who, err := Keyring{key}.Verify([]byte("repomd.xml"), signature, at)
	fmt.Println(err, who.Fingerprint == key.Fingerprint(), who.Created)
	// Output: <nil> true 2026-01-01 00:00:00 +0000 UTC
}
