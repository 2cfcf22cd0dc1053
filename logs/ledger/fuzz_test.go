package ledger

import (
	"bytes"
	"reflect"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// What a strict parser accepts, it can write again byte for byte.

func FuzzDecode(f *testing.F) {
	f.Add([]byte(goldenEntry))
	for _, e := range testEntries() {
		data, err := Encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"added":[{"log":{}}],"previous":{},"removed":[{}],"time":"0000-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Encode(e)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q became %q, %v", data, again, err)
		}
		var c Chain
		_ = c.Add(e)
		_ = c.Add(e)
	})
}

func FuzzBundle(f *testing.F) {
	data, _ := EncodeBundle(leaves(0, 5))
	f.Add(data)
	f.Add([]byte{0, 0})
	f.Add([]byte{0, 5, 'x'})
	f.Add([]byte{255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := DecodeBundle(data)
		if err != nil {
			return
		}
		again, err := EncodeBundle(entries)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q became %q, %v", data, again, err)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	s, v, _ := testKey(f, testOrigin, 1)
	c := EmptyTree(testOrigin)
	f.Add(sign(f, c, s))
	c.Size, c.Root[0] = 77, 1
	f.Add(sign(f, c, s))
	text, _ := CheckpointText(c)
	f.Add([]byte(text))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := ParseCheckpoint(string(data)); err == nil {
			if text, err := CheckpointText(c); err != nil || text != string(data) {
				t.Fatalf("%q became %q, %v", data, text, err)
			}
			// The note format must carry every text we can write.
			if c.Origin == testOrigin {
				if again, err := Open(sign(t, c, s), v); err != nil || again != c {
					t.Fatalf("%q signed: %+v, %v", data, again, err)
				}
			}
		}
		if c, err := Open(data, v); err == nil && c.Origin != testOrigin {
			t.Fatalf("opened %+v", c)
		}
	})
}

func FuzzProof(f *testing.F) {
	s, v, _ := testKey(f, testOrigin, 1)
	m, c := batch(f, 257)
	for _, index := range []int64{0, 77, 256} {
		p := prove(f, m, c, s, index)
		f.Add(p.Encode())
		p.Extra = []byte{}
		f.Add(p.Encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseProof(data)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Encode(), data) {
			t.Fatalf("%q became %q", data, p.Encode())
		}
		if _, err := p.Verify([]byte("not an entry of the tree"), v); err == nil {
			t.Fatal("a proof of nothing holds")
		}
	})
}

// FuzzTiles gives hostile files to everything that reads a tree. The root is the
// true one, so no file may pass that is not the true one.
func FuzzTiles(f *testing.F) {
	m, c := batch(f, 257)
	for key, data := range m.files {
		f.Add(key, data)
		f.Add(key, data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		bad := m.clone()
		bad.files[key] = data
		found, err := VerifyTree(t.Context(), bad, c)
		if err != nil {
			t.Fatal(err)
		}
		good, known := m.files[key]
		if (len(found) == 0) != (!known || bytes.Equal(good, data)) {
			t.Fatalf("%s: %v", key, found)
		}
		_ = ReadEntries(t.Context(), bad, c, 0, c.Size, func(i int64, e []byte) error {
			if !bytes.Equal(e, leaf(int(i))) {
				t.Fatalf("entry %d is %q", i, e)
			}
			return nil
		})
		if a, err := Extend(t.Context(), bad, c, leaves(257, 258)); err == nil {
			want, err := Extend(t.Context(), m, c, leaves(257, 258))
			if err != nil || !reflect.DeepEqual(a, want) {
				t.Fatalf("extended to %+v", a)
			}
		}
	})
}

// FuzzKeys: no text makes a key parser panic or accept two texts for one key.
func FuzzKeys(f *testing.F) {
	skey, vkey, err := GenerateKey(bytes.NewReader(make([]byte, 64)), testOrigin)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(skey)
	f.Add(vkey)
	f.Add("a+00000000+AQ==")
	f.Fuzz(func(t *testing.T, key string) {
		if s, err := ParseSigner(key); err == nil {
			if _, err := note.Sign(&note.Note{Text: "x\n"}, s); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ParseVerifier(key); err == nil {
			if _, err := PolicyText(key); err != nil {
				t.Fatal(err)
			}
		}
	})
}
