package ledger

import (
	"crypto/rand"
	"testing"
)

func TestPublicKey(t *testing.T) {
	for range 50 {
		skey, vkey, err := GenerateKey(rand.Reader, "log.example.org/ledger")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := PublicKey(skey + "\n"); err != nil || got != vkey {
			t.Fatalf("got %q, %v, want %q", got, err, vkey)
		}
	}
	if _, err := PublicKey("PRIVATE+KEY+a"); err == nil {
		t.Error("half a key has a public part")
	}
}
