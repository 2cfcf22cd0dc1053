package rpm

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"colophon/pack/openpgp"
)

var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func testKey(t testing.TB) *openpgp.Key {
	t.Helper()
	k, err := openpgp.Generate(rand.Reader, "test", day)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// testPackage is a small whole package with a made-up payload.
func testPackage(t testing.TB, k *openpgp.Key) []byte {
	t.Helper()
	payload := bytes.Repeat([]byte("payload "), 100)
	digest := sha256.Sum256(payload)
	h := &Header{}
	h.SetStrings(I18NTable, []string{"C"})
	h.SetString(Name, "a")
	h.SetString(Version, "1")
	h.SetString(Release, "2")
	h.SetI18N(Summary, "A summary")
	h.SetInt32(BuildTime, 1)
	h.SetInt16(FileModes, 1, 2, 3)
	h.SetString(Arch, "noarch")
	h.SetString(SourceRPM, "a-1-2.src.rpm")
	h.SetInt64(LongSize, 1<<40)
	h.SetStrings(PayloadDigest, []string{hex.EncodeToString(digest[:])})
	h.SetInt32(PayloadDigestAlgo, DigestSHA256)
	raw := h.Marshal(Region)
	signature, err := k.Sign(raw, day)
	if err != nil {
		t.Fatal(err)
	}
	front, err := Front(h.NEVRA(), raw, signature, int64(len(payload)), 12345)
	if err != nil {
		t.Fatal(err)
	}
	return append(front, payload...)
}

func TestWriteAndRead(t *testing.T) {
	k := testKey(t)
	file := testPackage(t, k)
	p, d, err := Read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Header.NEVRA().String(); got != "a-1-2.noarch" {
		t.Errorf("NEVRA %s", got)
	}
	if p.Header.String(Summary) != "A summary" || fmt.Sprint(p.Header.Ints(FileModes)) != "[1 2 3]" {
		t.Errorf("summary %q, modes %v", p.Header.String(Summary), p.Header.Ints(FileModes))
	}
	if v, ok := p.Header.Int(LongSize); !ok || v != 1<<40 {
		t.Errorf("size %d", v)
	}
	if p.Header.Has(Epoch) || p.Header.Strings(BuildTime) != nil || p.Header.Ints(Name) != nil {
		t.Error("absent or mistyped values are there")
	}
	if v, _ := p.Signature.Int(SigPayloadSize); v != 12345 {
		t.Errorf("archive size %d", v)
	}
	sum := sha256.Sum256(file)
	content := sha256.Sum256(file[p.HeaderStart():])
	want := Digests{hex.EncodeToString(sum[:]), hex.EncodeToString(content[:]), p.HeaderDigest(), p.Header.String(PayloadDigest), int64(len(file))}
	if d != want {
		t.Errorf("digests %+v, want %+v", d, want)
	}
	if got := p.HeaderStart(); got != LeadSize+SignatureSize || PayloadOffset(p.RawHeader) != p.HeaderEnd() {
		t.Errorf("header starts at %d, payload at %d", got, p.HeaderEnd())
	}
	if _, err := p.VerifySignature(openpgp.Keyring{k}, day); err != nil {
		t.Error(err)
	}
	if _, err := p.VerifySignature(openpgp.Keyring{testKey(t)}, day); err == nil {
		t.Error("another key verifies")
	}
}

// Every single byte counts: no flipped bit passes both digests and signature,
// except in the lead, and in the zeros and sizes of the signature header that
// nothing vouches for.
func TestEveryByteCounts(t *testing.T) {
	k := testKey(t)
	file := testPackage(t, k)
	start := LeadSize + SignatureSize
	for i := start; i < len(file); i++ {
		bad := bytes.Clone(file)
		bad[i] ^= 1
		if _, _, err := Read(bytes.NewReader(bad)); err == nil {
			t.Fatalf("flipping byte %d goes unnoticed", i)
		}
	}
	for n := 0; n < len(file); n += 1 + n/100 {
		if _, _, err := Read(bytes.NewReader(file[:n])); err == nil {
			t.Fatalf("the first %d bytes are a package", n)
		}
	}
	if _, _, err := Read(bytes.NewReader(append(bytes.Clone(file), 0))); err == nil {
		t.Error("a trailing byte goes unnoticed")
	}
}

// The space behind a signature gives way, so that the payload never moves.
func TestSignatureHeaderHasOneSize(t *testing.T) {
	k := testKey(t)
	header := (&Header{}).Marshal(Region)
	signature, err := k.Sign(header, day)
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []int64{0, 1 << 20, 1 << 32, 1 << 40} {
		front, err := Front(NEVRA{"a", 0, "1", "1", "noarch"}, header, signature, payload, payload*3)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(front)) != PayloadOffset(header) {
			t.Errorf("%d bytes before a payload of %d", len(front), payload)
		}
		p, err := ReadHeaders(bytes.NewReader(front))
		if err != nil {
			t.Fatal(err)
		}
		short, _ := p.Signature.Int(SigSize)
		long, _ := p.Signature.Int(SigLongSize)
		if int64(short+long) != payload+int64(len(header)) {
			t.Errorf("sizes %d and %d for a payload of %d", short, long, payload)
		}
	}
}

// 200,000 mutated headers: no panic, and no memory but for what was read.
func TestHostileHeaders(t *testing.T) {
	file := testPackage(t, testKey(t))
	r := mathrand.New(mathrand.NewPCG(1, 2))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	read := 0
	for range 200_000 {
		bad := bytes.Clone(file)
		for range 1 + r.IntN(3) {
			at := 4 + r.IntN(len(bad)-4)
			if r.IntN(4) == 0 && at+4 < len(bad) {
				binary.BigEndian.PutUint32(bad[at:], []uint32{0, 1, 0x7fffffff, 0xffffff00, 0x10000000}[r.IntN(5)])
			} else {
				bad[at] = byte(r.Uint32())
			}
		}
		if p, err := ReadHeaders(bytes.NewReader(bad)); err == nil {
			read++
			p.Header.NEVRA()
			p.Header.FileNames()
			for _, e := range p.Header.Entries {
				p.Header.Strings(e.Tag)
				p.Header.Ints(e.Tag)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if perFile := (after.TotalAlloc - before.TotalAlloc) / 200_000; perFile > 64<<10 {
		t.Errorf("%d bytes allocated for a file of %d", perFile, len(file))
	}
	if read == 0 || read == 200_000 {
		t.Errorf("%d of 200,000 files could be read", read)
	}
}

// Sizes that a header claims are not allocated before the bytes are there.
func TestClaimedSizes(t *testing.T) {
	head := append(bytes.Clone(testPackage(t, testKey(t))[:LeadSize]), headerMagic[:]...)
	for _, c := range []struct {
		il, dl uint32
		want   string
	}{{1, 1 << 26, "cut off"}, {65535, 0, "cut off"}, {0, 16, "entries"}, {65536, 16, "entries"}, {2, 1<<26 + 1, "bytes of data"}} {
		bad := binary.BigEndian.AppendUint32(bytes.Clone(head), c.il)
		bad = binary.BigEndian.AppendUint32(bad, c.dl)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadHeaders(bytes.NewReader(bad))
		runtime.ReadMemStats(&after)
		var format *FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d entries, %d bytes: %v", c.il, c.dl, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%d entries, %d bytes: %d bytes allocated", c.il, c.dl, n)
		}
	}
}

// A reader's own error is not the file's fault.
func TestReadError(t *testing.T) {
	want := errors.New("disk on fire")
	file := testPackage(t, testKey(t))
	_, _, err := Read(io.MultiReader(bytes.NewReader(file[:len(file)-10]), failing{want}))
	if !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestNEVRA(t *testing.T) {
	for s, want := range map[string]NEVRA{
		"a-1-2.noarch":                          {"a", 0, "1", "2", "noarch"},
		"qubes-template-x-y-3:4.2~rc1-5.x86_64": {"qubes-template-x-y", 3, "4.2~rc1", "5", "x86_64"},
	} {
		got, err := ParseNEVRA(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "a", "a-1", "a-1-2", "a-0:1-2.noarch", "a-01:1-2.noarch", "../a-1-2.noarch", "a-1/-2.noarch", "a-1-2.no/arch", "-a-1-2.x", "a-1- 2.noarch", "a-1-2." + strings.Repeat("x", 300)} {
		if n, err := ParseNEVRA(s); err == nil {
			t.Errorf("%q is %+v", s, n)
		}
	}
	n := NEVRA{"a", 7, "1", "2", "noarch"}
	if n.Path() != "packages/a/a-1-2.noarch.rpm" {
		t.Error(n.Path())
	}
}

func TestCpio(t *testing.T) {
	head, err := CpioEntry{Name: "/a", Inode: 1, Mode: 0o100644, Links: 1, Size: 5}.Head()
	if err != nil {
		t.Fatal(err)
	}
	if len(head)%4 != 0 || !bytes.HasPrefix(head, []byte("070701")) || !bytes.Contains(head, []byte("./a\x00")) {
		t.Errorf("%q", head)
	}
	if CpioPadding(5) != 3 || CpioPadding(8) != 0 || len(CpioTrailer())%4 != 0 {
		t.Error("padding is wrong")
	}
	if _, err := (CpioEntry{Size: 1 << 32}).Head(); err == nil {
		t.Error("4 GiB fit into a cpio header")
	}
}

func FuzzReadHeaders(f *testing.F) {
	f.Add(testPackage(f, testKey(f)))
	f.Add((&Header{}).Marshal(Region))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ReadHeaders(bytes.NewReader(data))
		if err != nil {
			return
		}
		p.Header.FileNames()
		if _, err := ParseHeader(p.RawHeader); err != nil {
			t.Errorf("a header that was read cannot be read again: %v", err)
		}
		// What we would write for it reads as the same.
		again, err := ParseHeader(p.Header.Marshal(Region))
		if err != nil || len(again.Entries) != len(p.Header.Entries) {
			t.Errorf("written again it does not read: %v", err)
		}
	})
}

func FuzzParseNEVRA(f *testing.F) {
	f.Add("a-1:2-3.noarch")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseNEVRA(s); err == nil && n.String() != s {
			t.Errorf("%q reads as %q", s, n)
		}
	})
}

func Example() {
	key, err := openpgp.Generate(rand.Reader, "Example", time.Unix(0, 0))
	if err != nil {
		panic(err)
	}
	h := &Header{}
	h.SetString(Name, "hello")
	h.SetString(Version, "1.0")
	h.SetString(Release, "1")
	h.SetString(Arch, "noarch")
	h.SetString(SourceRPM, "hello-1.0-1.src.rpm")
	raw := h.Marshal(Region)
	signature, err := key.Sign(raw, time.Unix(1, 0))
	if err != nil {
		panic(err)
	}
	front, err := Front(h.NEVRA(), raw, signature, 0, 0)
	if err != nil {
		panic(err)
	}
	p, err := ReadHeaders(bytes.NewReader(front))
	fmt.Println(p.Header.NEVRA(), err)
	// Output: hello-1.0-1.noarch <nil>
}

// Signing again with another key changes the file, and neither the content id nor
// the place of anything behind the signature.
func TestResigning(t *testing.T) {
	file := testPackage(t, testKey(t))
	before, old, err := Read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	k := testKey(t)
	signature, err := k.Sign(before.RawHeader, day)
	if err != nil {
		t.Fatal(err)
	}
	payload := file[before.HeaderEnd():]
	front, err := Front(before.Header.NEVRA(), before.RawHeader, signature, int64(len(payload)), 12345)
	if err != nil {
		t.Fatal(err)
	}
	after, now, err := Read(bytes.NewReader(append(front, payload...)))
	if err != nil {
		t.Fatal(err)
	}
	if now.File == old.File || now.Content != old.Content || now.Size != old.Size || after.HeaderEnd() != before.HeaderEnd() {
		t.Errorf("%+v became %+v", old, now)
	}
	if _, err := after.VerifySignature(openpgp.Keyring{k}, day); err != nil {
		t.Error(err)
	}
}
