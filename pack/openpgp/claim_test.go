package openpgp

import (
	"crypto/rand"
	"testing"
	"time"
)

func TestReadClaim(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	k, err := Generate(rand.Reader, "test", at)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := k.Sign([]byte("message"), at)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadClaim(signature)
	want := Claim{4, EdDSA, 10, at, k.Fingerprint()[24:], k.Fingerprint()}
	if err != nil || c != want {
		t.Errorf("%+v, %v, want %+v", c, err, want)
	}
	old := append([]byte{0x88, 19, 3, 5, 0, 0, 0, 0, 1}, "12345678"...)
	c, err = ReadClaim(append(old, 1, 8, 0, 0))
	if err != nil || c.Version != 3 || c.KeyID != "3132333435363738" || c.Algorithm != 1 || c.Hash != 8 || c.Created.Unix() != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	for n := range signature {
		if c, err := ReadClaim(signature[:n]); err == nil {
			t.Errorf("the first %d bytes claim %+v", n, c)
		}
	}
}

func FuzzReadClaim(f *testing.F) {
	f.Add([]byte{0x88, 6, 4, 0, 1, 8, 0, 0})
	f.Fuzz(func(t *testing.T, packet []byte) {
		c, err := ReadClaim(packet)
		strict := CheckSignature(packet, time.Unix(1<<33, 0))
		if err != nil && strict == nil {
			t.Errorf("accepted, but %v", err)
		}
		if err == nil && strict == nil && (c.KeyID == "" || c.Created.IsZero()) {
			t.Errorf("accepted, but claims %+v", c)
		}
	})
}
