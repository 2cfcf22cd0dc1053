package logs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

func digestOf(data []byte) Digest {
	sum := sha256.Sum256(data)
	return Digest{hex.EncodeToString(sum[:]), int64(len(data))}
}

// buildLog looks like one: lines that repeat with variations.
func buildLog(size int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("Setting up Unpacking Selecting previously unselected package libc6 amd64 (2.36-9) ... done ok")
	var b bytes.Buffer
	for b.Len() < size {
		for range 4 + r.IntN(8) {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteByte(' ')
		}
		b.WriteByte('\n')
	}
	return b.Bytes()[:size]
}

// The sizes around the encoder's block of 128 KiB, where it changes its ways.
var logSizes = []int{1, 5000, 128<<10 - 1, 128 << 10, 128<<10 + 1, 3 << 20}

func TestLog(t *testing.T) {
	for _, size := range logSizes {
		plain := buildLog(size)
		l, err := ReadLog(bytes.NewReader(plain), 0)
		if err != nil {
			t.Fatal(err)
		}
		if l.Open != digestOf(plain) || l.Compressed != digestOf(l.Data) {
			t.Errorf("size %d: digests %+v", size, l.LogDigests)
		}
		var out bytes.Buffer
		got, err := OpenLog(&out, bytes.NewReader(l.Data), 0)
		if err != nil || got != l.LogDigests || !bytes.Equal(out.Bytes(), plain) {
			t.Errorf("size %d: %+v, %v", size, got, err)
		}
	}
}

// TestLogChunks: how the log comes in leaves no trace.
func TestLogChunks(t *testing.T) {
	for _, size := range logSizes[:5] {
		plain := buildLog(size)
		want, err := ReadLog(bytes.NewReader(plain), 0)
		if err != nil {
			t.Fatal(err)
		}
		for name, r := range map[string]io.Reader{
			"one byte at a time": iotest.OneByteReader(bytes.NewReader(plain)),
			"halves":             iotest.HalfReader(bytes.NewReader(plain)),
			"data with EOF":      iotest.DataErrReader(bytes.NewReader(plain)),
			"no WriteTo":         struct{ io.Reader }{bytes.NewReader(plain)},
		} {
			if got, err := ReadLog(r, 0); err != nil || !bytes.Equal(got.Data, want.Data) {
				t.Errorf("size %d, %s: other bytes, %v", size, name, err)
			}
		}
	}
}

// TestLogCompressedGolden names github.com/klauspost/compress v1.20.3. Another
// version may change it; then published logs stay as they are, and a log packed
// again gets another name for the same open digest.
func TestLogCompressedGolden(t *testing.T) {
	for size, want := range map[int]string{
		5000:    "4f0a879a9c3c462c3028988ce3d679c626d829c3f02c69aa252c2491951f7435",
		3 << 20: "76b6c3edac6b58ecf07f93998027ec3c298d0820f1aeceac34c217279a502a18",
	} {
		l, err := ReadLog(bytes.NewReader(buildLog(size)), 0)
		if err != nil || l.Compressed.SHA256 != want {
			t.Errorf("size %d: %+v, %v", size, l.LogDigests, err)
		}
	}
}

type hinter interface{ Hint() string }

func TestReadLogRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		log   string
		limit int64
		want  string
	}{
		"empty":     {"", 0, "log is empty"},
		"NUL":       {"abc\x00", 0, "NUL byte at offset 3"},
		"too large": {"abcd", 3, "more than 3 bytes"},
	} {
		l, err := ReadLog(strings.NewReader(tt.log), tt.limit)
		var h hinter
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &h) || h.Hint() == "" || l.Data != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadLog(strings.NewReader("abc"), 3); err != nil {
		t.Errorf("log of exactly the limit: %v", err)
	}
	if _, err := ReadLog(strings.NewReader("\xff\x1b[31m"), 0); err != nil {
		t.Errorf("terminal colors and foreign encodings: %v", err)
	}
	broken := errors.New("disk on fire")
	if _, err := ReadLog(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), 0); !errors.Is(err, broken) {
		t.Errorf("unreadable log: %v", err)
	}
	for limit, want := range map[int64]int64{-1: MaxLog, 0: MaxLog, 1: 1, MaxLog: MaxLog, MaxLog + 1: MaxLog} {
		if got := logLimit(limit); got != want {
			t.Errorf("limit %d stands for %d", limit, got)
		}
	}
}

// spaces is a reader of blanks without end.
type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func TestOpenLogRefuses(t *testing.T) {
	l, err := ReadLog(bytes.NewReader(buildLog(300000)), 0)
	if err != nil {
		t.Fatal(err)
	}
	compress := func(plain io.Reader, o ...zstd.EOption) []byte {
		var out bytes.Buffer
		enc, err := zstd.NewWriter(&out, append(o, zstd.WithZeroFrames(true))...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(enc, plain); err != nil {
			t.Fatal(err)
		}
		if err := enc.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	flipped := bytes.Clone(l.Data)
	flipped[len(flipped)/2] ^= 1
	if got, err := OpenLog(io.Discard, bytes.NewReader(l.Data), 0); err != nil || got != l.LogDigests {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, data := range map[string][]byte{
		"nothing":      nil,
		"empty log":    compress(strings.NewReader("")),
		"NUL":          compress(strings.NewReader("a\x00")),
		"large window": compress(io.LimitReader(spaces{}, 20<<20), zstd.WithWindowSize(16<<20)),
		"cut":          l.Data[:len(l.Data)-1],
		"flipped":      flipped,
		"garbage":      append(bytes.Clone(l.Data), 'x'),
		"plain":        buildLog(5000),
	} {
		if got, err := OpenLog(io.Discard, bytes.NewReader(data), 0); err == nil {
			t.Errorf("%s: opened as %+v", name, got)
		}
	}
	if got, err := OpenLog(io.Discard, bytes.NewReader(bomb(5<<20)), 5<<20); err != nil {
		t.Errorf("log of exactly the limit: %+v, %v", got, err)
	}
	if got, err := OpenLog(io.Discard, bytes.NewReader(bomb(5<<20+1)), 5<<20); err == nil {
		t.Errorf("log above the limit: %+v", got)
	}
	// Skippable frames unpack to nothing, for ever. One of the limits falls on
	// the end of a frame, which looks like the end of the log.
	for limit := int64(400000); limit < 400008; limit++ {
		skip := io.MultiReader(bytes.NewReader(l.Data), &repeat{frame: []byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}})
		if got, err := OpenLog(io.Discard, skip, limit); err == nil {
			t.Errorf("limit %d: a log without end was opened as %+v", limit, got)
		}
	}
	full := errors.New("disk full")
	if _, err := OpenLog(failWriter{full}, bytes.NewReader(l.Data), 0); !errors.Is(err, full) {
		t.Errorf("full disk: %v", err)
	}
}

// bomb is a frame that unpacks to blanks, at 4 bytes for each 128 KiB: RLE blocks
// of RFC 8878, section 3.1.1.2.
func bomb(size int) []byte {
	data := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3} // magic, no options, window of 8 MiB
	for size > 0 {
		n := min(size, 128<<10)
		size -= n
		header := uint32(n)<<3 | 1<<1
		if size == 0 {
			header |= 1
		}
		data = append(data, byte(header), byte(header>>8), byte(header>>16), ' ')
	}
	return data
}

type repeat struct {
	frame []byte
	at    int
}

func (r *repeat) Read(b []byte) (int, error) {
	n := copy(b, r.frame[r.at:])
	r.at = (r.at + n) % len(r.frame)
	return n, nil
}

type failWriter struct{ err error }

func (w failWriter) Write([]byte) (int, error) { return 0, w.err }

func FuzzOpenLog(f *testing.F) {
	for _, size := range []int{1, 5000} {
		l, err := ReadLog(bytes.NewReader(buildLog(size)), 0)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(l.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		got, err := OpenLog(&out, bytes.NewReader(data), 0)
		if err != nil {
			return
		}
		if got.Open != digestOf(out.Bytes()) || got.Compressed != digestOf(data) {
			t.Fatalf("%x: digests %+v", data, got)
		}
		if _, err := ReadLog(&out, 0); err != nil {
			t.Fatalf("%x: opened what could not be logged: %v", data, err)
		}
	})
}
