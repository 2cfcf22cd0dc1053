package pack

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

var created = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// fixedKey is one key per test run: the signature is the only part of a package
// that is not a function of its input alone.
var fixedKey = func() *openpgp.Key {
	k, err := openpgp.Generate(rand.Reader, "test", created)
	if err != nil {
		panic(err)
	}
	return k
}()

func sign(_ context.Context, header []byte, at time.Time) ([]byte, error) {
	return fixedKey.Sign(header, at)
}

// testImage has data, short and long runs of zeros, repeated content, a block
// boundary inside zeros and an end that is no whole block.
func testImage(seed uint64) []byte {
	r := mathrand.New(mathrand.NewPCG(seed, 1))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	return bytes.Join([][]byte{
		make([]byte, 8192), random(300_000), make([]byte, 20_000), random(5000),
		make([]byte, 3_000_000), bytes.Repeat(random(4096), 500), make([]byte, 70_000),
		[]byte(strings.Repeat("text that compresses well ", 40_000)), make([]byte, 1_000_000), random(777),
	}, nil)
}

func writeFile(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const definitionText = `name: test-1
version: "4.3"
release: "1"
date: 2026-01-02T03:04:05Z
summary: A template for tests
description: |
  Two lines
  of text.
license: GPL-3.0-or-later
url: https://example.org/
image: root.img
files: [template.conf, appmenus.list]
compression: {frame: 64KiB}
log: build.log
repository: templates
`

func writeTemplate(t testing.TB, image []byte) *Definition {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, dir+"/root.img", image)
	writeFile(t, dir+"/template.conf", []byte("virt-mode=pvh\n"))
	writeFile(t, dir+"/appmenus.list", nil)
	d, err := LoadDefinition(writeFile(t, dir+"/template.yaml", []byte(definitionText)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func packFile(t testing.TB, d *Definition) ([]byte, *Result) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out.rpm"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Pack(t.Context(), d, f, Options{Sign: sign})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data, r
}

// unpack reads a package as a client does: payload, parts, sparse tar, image.
func unpack(t testing.TB, file []byte) []byte {
	t.Helper()
	r := bytes.NewReader(file)
	if _, err := rpm.ReadHeaders(r); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	payload, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var tar []byte
	for len(payload) > 0 {
		var size, nameSize int
		if _, err := fmt.Sscanf(string(payload[54:62]), "%x", &size); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(string(payload[94:102]), "%x", &nameSize); err != nil {
			t.Fatal(err)
		}
		name := string(payload[110 : 110+nameSize-1])
		body := payload[(110+nameSize+3)&^3:]
		if name == "TRAILER!!!" {
			break
		}
		if strings.Contains(name, "root.img.part.") {
			tar = append(tar, body[:size]...)
		}
		payload = body[(size+3)&^3:]
	}
	return untar(t, tar)
}

func untar(t testing.TB, tar []byte) []byte {
	t.Helper()
	number := func(b []byte) int {
		var v int
		if _, err := fmt.Sscanf(string(b[:11]), "%o", &v); err != nil {
			t.Fatalf("number %q: %v", b, err)
		}
		return v
	}
	if string(tar[:9]) != "root.img\x00" || tar[156] != 'S' {
		t.Fatalf("tar starts with %q, type %q", tar[:16], tar[156])
	}
	image := make([]byte, number(tar[483:]))
	type span struct{ offset, size int }
	var spans []span
	read := func(b []byte, n int) {
		for i := range n {
			if b[i*24] != 0 {
				spans = append(spans, span{number(b[i*24:]), number(b[i*24+12:])})
			}
		}
	}
	read(tar[386:], 4)
	more, data := tar[482], tar[512:]
	for more == 1 {
		read(data, 21)
		more, data = data[504], data[512:]
	}
	for _, s := range spans {
		copy(image[s.offset:], data[:s.size])
		data = data[(s.size+511)/512*512:]
	}
	if len(data) != 1024 || len(bytes.Trim(data, "\x00")) > 0 {
		t.Fatalf("tar ends with %d bytes", len(data))
	}
	return image
}

func TestPackGivesTheImageBack(t *testing.T) {
	image := testImage(1)
	file, r := packFile(t, writeTemplate(t, image))
	if got := unpack(t, file); !bytes.Equal(got, image) {
		t.Errorf("image of %d bytes came back as other %d bytes", len(image), len(got))
	}
	if r.ImageBytes != int64(len(image)) || r.DataBytes > 3_600_000 || r.Frames < 10 {
		t.Errorf("packed %d bytes with %d of data in %d frames", r.ImageBytes, r.DataBytes, r.Frames)
	}
	if r.Digests.Size != int64(len(file)) {
		t.Errorf("package has %d bytes, result says %d", len(file), r.Digests.Size)
	}
	if _, err := r.Package.VerifySignature(openpgp.Keyring{fixedKey}, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Error(err)
	}
	if got := r.Package.HeaderStart(); got != rpm.LeadSize+rpm.SignatureSize {
		t.Errorf("main header starts at %d", got)
	}
}

// The package is a function of content: not of holes in the file, of file
// times, of cores, of the compression of the image.
func TestPackIsAFunctionOfContent(t *testing.T) {
	image := testImage(2)
	want, _ := packFile(t, writeTemplate(t, image))

	sparse := writeTemplate(t, nil)
	f, err := os.Create(sparse.Resolve("root.img"))
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(image); at += 4096 {
		block := image[at:min(at+4096, len(image))]
		if len(bytes.Trim(block, "\x00")) > 0 {
			if _, err := f.WriteAt(block, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Truncate(int64(len(image))); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.Chtimes(f.Name(), created, created); err != nil {
		t.Fatal(err)
	}
	if got, _ := packFile(t, sparse); !bytes.Equal(got, want) {
		t.Error("a sparse copy of the image gives another package")
	}

	var z bytes.Buffer
	w, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(image); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if got, _ := packFile(t, writeTemplate(t, z.Bytes())); !bytes.Equal(got, want) {
		t.Error("a compressed copy of the image gives another package")
	}

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if got, _ := packFile(t, writeTemplate(t, image)); !bytes.Equal(got, want) {
		t.Error("one core gives another package than all cores")
	}
}

func TestImagesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		image []byte
		want  string
	}{
		"empty":     {nil, "image is empty"},
		"zeros":     {make([]byte, 1<<20), "nothing but zeros"},
		"qcow2":     {[]byte("QFI\xfb\x00\x00\x00\x03"), "format qcow2"},
		"cut xz":    {[]byte("\xfd7zXZ\x00\x00"), "cannot be read"},
		"cut zstd":  {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0x04}, "cannot be read"},
		"cut gzip":  {[]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1}, "cannot be read"},
		"bad magic": {[]byte{0x1f, 0x8b, 9}, "cannot be read"},
	} {
		d := writeTemplate(t, c.image)
		_, err := Pack(t.Context(), d, discard{}, Options{Sign: sign})
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), c.want) || input.Hint() == "" {
			t.Errorf("%s: got %v, want an input error with %q", name, err, c.want)
		}
	}
	d := writeTemplate(t, nil)
	d.Image = "missing.img"
	if _, err := Pack(t.Context(), d, discard{}, Options{Sign: sign}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("missing image: %v", err)
	}
}

// A truncated stream must not pass for a shorter image, wherever it is cut.
func TestTruncatedStream(t *testing.T) {
	var z bytes.Buffer
	w, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(testImage(3)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for n := z.Len() - 1; n > 4; n -= max(1, z.Len()/50) {
		if _, err := Pack(t.Context(), writeTemplate(t, z.Bytes()[:n]), discard{}, Options{Sign: sign}); err == nil {
			t.Fatalf("the first %d of %d bytes are an image", n, z.Len())
		}
	}
}

// changing changes the image behind the packer's back while it writes.
type changing struct {
	*os.File
	change func()
}

func (c *changing) WriteAt(b []byte, at int64) (int, error) {
	if c.change != nil {
		c.change()
		c.change = nil
	}
	return c.File.WriteAt(b, at)
}

func TestImageThatChanges(t *testing.T) {
	image := testImage(4)
	for name, change := range map[string]func(path string){
		"content, time kept": func(path string) {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			// Behind everything that may be read ahead.
			other := bytes.Clone(image)
			other[len(other)-1] ^= 1
			writeFile(t, path, other)
			if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		},
		"grown": func(path string) { writeFile(t, path, append(bytes.Clone(image), 1)) },
		"cut":   func(path string) { writeFile(t, path, image[:len(image)-5000]) },
	} {
		d := writeTemplate(t, image)
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_, err = Pack(t.Context(), d, &changing{f, func() { change(d.Resolve(d.Image)) }}, Options{Sign: sign})
		if err == nil || !strings.Contains(err.Error(), "changed while it was read") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Pack(ctx, writeTemplate(t, testImage(5)), discard{}, Options{Sign: sign}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A full disk, an unplugged one: the writer's error comes out, and no goroutine
// stays behind.
func TestWriteError(t *testing.T) {
	before := runtime.NumGoroutine()
	want := errors.New("no space left")
	_, err := Pack(t.Context(), writeTemplate(t, testImage(6)), discard{want}, Options{Sign: sign})
	if !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
}

// lying is a disk that returns one byte other than it was written.
type lying struct {
	memory
	at int64
}

func (l *lying) ReadAt(b []byte, at int64) (int, error) {
	n, err := l.memory.ReadAt(b, at)
	if l.at >= at && l.at < at+int64(n) {
		b[l.at-at] ^= 4
	}
	return n, err
}

func TestReadBack(t *testing.T) {
	d := writeTemplate(t, testImage(8))
	file, r := packFile(t, d)
	for _, at := range []int64{0, 5000, r.Package.HeaderEnd() - 1, r.Package.HeaderEnd(), int64(len(file)) / 2, int64(len(file)) - 1} {
		_, err := Pack(t.Context(), d, &lying{at: at}, Options{Sign: sign})
		if !errors.Is(err, errReadBack) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	out := &lying{at: -1}
	again, err := Pack(t.Context(), d, out, Options{Sign: sign})
	if err != nil || again.Digests != r.Digests {
		t.Errorf("%v, %v", again, err)
	}
	// The digests are those that a reader finds.
	if _, digests, err := rpm.Read(bytes.NewReader(file)); err != nil || digests != r.Digests {
		t.Errorf("%+v, a reader finds %+v, %v", r.Digests, digests, err)
	}
}

type discard struct{ err error }

func (d discard) WriteAt(b []byte, _ int64) (int, error) { return len(b), d.err }
func (d discard) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }

// Frames of equal data are equal in every package, also where they move.
func TestFramesFollowContent(t *testing.T) {
	r := mathrand.New(mathrand.NewPCG(7, 7))
	blocks := make([]byte, 8<<20)
	for i := range blocks {
		blocks[i] = byte(r.Uint32())
	}
	old, moved := framesOf(t, blocks), framesOf(t, append(bytes.Clone(blocks[4<<20:4<<20+40960]), blocks...))
	known := map[[32]byte]bool{}
	for _, f := range old {
		known[f.Digest] = true
	}
	same := 0
	for _, f := range moved {
		if known[f.Digest] {
			same++
		}
	}
	if same < len(old)-3 {
		t.Errorf("%d of %d frames are known after data moved", same, len(old))
	}
	if mean := len(blocks) / len(old); mean < 40<<10 || mean > 90<<10 {
		t.Errorf("frames have %d bytes on average, want about 64 KiB", mean)
	}
}

func framesOf(t *testing.T, image []byte) []Segment {
	t.Helper()
	_, r := packFile(t, writeTemplate(t, image))
	return slices.DeleteFunc(r.Segments, func(s Segment) bool { return !s.Frame })
}

// The parts of a large image: whole frames, two digits, at most 1 GiB.
func TestParts(t *testing.T) {
	p := &plan{size: 4 << 30}
	for range 3000 {
		p.frames = append(p.frames, frame{size: 1<<20 + 4096})
		p.data += 1<<20 + 4096
	}
	p.extents = []extent{{0, p.data}}
	parts, err := p.parts(0, maxPart)
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) != 3 || parts[2].name != "root.img.part.02" {
		t.Fatalf("%d parts, last %q", len(parts), parts[len(parts)-1].name)
	}
	var total int64
	frames := 0
	for _, x := range parts {
		if x.size > maxPart {
			t.Errorf("%s has %d bytes", x.name, x.size)
		}
		sum := int64(len(x.head) + len(x.tail))
		for _, f := range x.frames {
			sum += int64(f.size)
		}
		if sum != x.size {
			t.Errorf("%s claims %d bytes, has %d", x.name, x.size, sum)
		}
		total += x.size
		frames += len(x.frames)
	}
	if frames != 3000 || total%512 != 0 {
		t.Errorf("%d frames, %d bytes", frames, total)
	}
	p.frames = make([]frame, 0, 30000)
	for range 30000 {
		p.frames = append(p.frames, frame{size: 4 << 20})
	}
	if _, err := p.parts(0, maxPart); err == nil || !strings.Contains(err.Error(), "at most 100") {
		t.Errorf("117 parts: %v", err)
	}
}
