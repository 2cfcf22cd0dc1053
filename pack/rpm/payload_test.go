package rpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// rpmbuild's packages with every kind of payload are read, and rpm reads the
// same from them.
func TestPayloadsOfRpmbuild(t *testing.T) {
	var first string
	for kind, compressor := range map[string]string{
		"w9.gzdio": "gzip", "w9.bzdio": "bzip2", "w2.xzdio": "xz", "w2T2.xzdio": "xz", "w2.lzdio": "lzma",
		"w3.zstdio": "zstd", "w.ufdio": "",
	} {
		dir := corpus(t, kind)
		for _, name := range []string{corpusBinary, corpusSource} {
			file, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			var got string
			p, _, err := ReadWith(bytes.NewReader(file), func(p *Package, r io.Reader) error {
				payload, err := io.ReadAll(r)
				if err != nil {
					return err
				}
				got, err = contents(p, payload)
				return err
			})
			if err != nil {
				t.Errorf("%s of %s: %v", kind, name, err)
				continue
			}
			if c := p.Header.String(PayloadCompressor); c != compressor {
				t.Errorf("%s is compressed with %q", kind, c)
			}
			want := string(peer(t, "rpm", "-qp", "--nosignature", "--qf", `[%{FILENAMES}|%{LONGFILESIZES}|%{FILEMODES:octal}|%{FILEMTIMES}|%{FILEDIGESTS}|%{FILELINKTOS}|%{FILEFLAGS}|%{FILEUSERNAME}|%{FILEGROUPNAME}|%{FILEINODES}\n]`, filepath.Join(dir, name)))
			if list := listing(t, p.Header); list != want {
				t.Errorf("%s of %s lists\n%srpm says\n%s", kind, name, list, want)
			}
			if name == corpusSource {
				continue
			}
			if lines := strings.Count(got, "\n"); lines != strings.Count(want, "\n")-1 { // without the ghost
				t.Errorf("%s: %d members:\n%s", kind, lines, got)
			}
			if first == "" {
				first = got
			}
			if got != first {
				t.Errorf("%s holds\n%snot\n%s", kind, got, first)
			}
		}
	}
	if sum := sha256.Sum256([]byte("hello\n")); !strings.Contains(first, fmt.Sprintf("/etc/t/a 0100644 0 %x", sha256.New().Sum(nil)[:8])) || !strings.Contains(first, fmt.Sprintf("/etc/u/c 0100644 6 %x", sum[:8])) {
		t.Errorf("hard links are not read as rpm writes them:\n%s", first)
	}
}

func listing(t *testing.T, h *Header) string {
	t.Helper()
	files, err := h.Files()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s|%d|%o|%d|%s|%s|%d|%s|%s|%d\n", f.Name, f.Size, f.Mode, f.MTime, f.Digest, f.Link, f.Flags, f.User, f.Group, f.Inode)
	}
	return b.String()
}

// A stripped payload, as rpm writes it for files of more than 4 GiB. rpm reads
// the package that is made here in the same way.
func TestStrippedPayload(t *testing.T) {
	dir := corpus(t, "w.ufdio")
	file, err := os.ReadFile(filepath.Join(dir, corpusBinary))
	if err != nil {
		t.Fatal(err)
	}
	p, err := ReadHeaders(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	plain := file[p.HeaderEnd():]
	want, err := contents(p, plain)
	if err != nil {
		t.Fatal(err)
	}
	stripped := strip(t, p, plain)
	if got, err := contents(p, stripped); err != nil || got != want {
		t.Errorf("stripped: %v\n%snot\n%s", err, got, want)
	}
	name := filepath.Join(dir, "stripped.rpm")
	if err := os.WriteFile(name, assemble(t, p.Header, stripped), 0o644); err != nil {
		t.Fatal(err)
	}
	// rpm2archive names its output after its input.
	peer(t, "sh", "-c", `cd "$0" && rpm2archive -n stripped.rpm && tar -xf stripped.rpm.tar`, dir)
	for _, file := range []string{"etc/t/a", "etc/u/c", "etc/t/long", "etc/t/zeros"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		sum := sha256.Sum256(data)
		if err != nil || !strings.Contains(string(peer(t, "rpm", "-qp", "--nosignature", "--qf", `[%{FILENAMES} %{FILEDIGESTS}\n]`, name)), fmt.Sprintf("/%s %x", file, sum)) {
			t.Errorf("rpm reads another %s from a stripped payload (%v)", file, err)
		}
	}
	bad := bytes.Replace(stripped, []byte("07070X00000001"), []byte("07070X000000ff"), 1)
	if _, err := contents(p, bad); err == nil || !strings.Contains(err.Error(), "member for file 255 of") {
		t.Error(err)
	}
}

// strip rewrites a plain payload.
func strip(t *testing.T, p *Package, plain []byte) []byte {
	t.Helper()
	files, err := p.Header.Files()
	if err != nil {
		t.Fatal(err)
	}
	a := archive{r: bytes.NewReader(plain)}
	var out []byte
	for {
		m, err := a.next()
		if err == io.EOF {
			return append(out, CpioTrailer()...)
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(&a)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range files {
			if "."+f.Name == m.name {
				out = fmt.Appendf(out, "07070X%08x\x00\x00", i)
			}
		}
		out = append(out, data...)
		out = append(out, make([]byte, CpioPadding(int64(len(data))))...)
	}
}

var (
	one = testFile{"/etc/one", 0o100644, "content"}
	two = testFile{"/etc/two", 0o100600, "more content"}
	lnk = testFile{"/etc/link", 0o120777, "one"}
	dir = testFile{"/etc/dir", 0o040755, ""}
)

// What a payload can say that its header does not, each with its message.
func TestHostilePayloads(t *testing.T) {
	end := string(CpioTrailer())
	good := string(members(one, two, lnk, dir))
	a, b := string(member("./etc/one", 0o100644, "content")), string(member("./etc/two", 0o100600, "more content"))
	rest := string(member("./etc/link", 0o120777, "one")) + string(member("./etc/dir", 0o040755, ""))
	odd := func(name string) string { return a + b + string(member(name, 0o100644, "x")) + rest + end }
	for name, c := range map[string]struct{ payload, want string }{
		"good":               {good, ""},
		"padded":             {good + strings.Repeat("\x00", 500), ""},
		"other order":        {rest + b + a + end, ""},
		"climbing":           {odd("./etc/../../root/x"), "climbs out of its folder"},
		"climbing at once":   {odd(".."), "climbs out of its folder"},
		"absolute":           {odd("/etc/passwd"), `the member "/etc/passwd", an absolute path`},
		"absolute and known": {strings.Replace(good, "./etc/one\x00", "//etc/one\x00", 1), `"//etc/one", an absolute path`},
		"without dot":        {odd("etc/one"), "which the header does not list"},
		"stranger":           {odd("./etc/three"), `the member "./etc/three", which the header does not list`},
		"twice":              {a + a + b + rest + end, `the member "/etc/one" twice`},
		"too long":           {string(member("./etc/one", 0o100644, "content+")) + b + rest + end, `with 8 bytes, the header says 7`},
		"too short":          {string(member("./etc/one", 0o100644, "conten")) + b + rest + end, `with 6 bytes, the header says 7`},
		"huge":               {strings.Replace(a, "00000007", "ffffffff", 1), "with 4294967295 bytes, the header says 7"},
		"other content":      {string(member("./etc/one", 0o100644, "CONTENT")) + b + rest + end, `the file "/etc/one" with other content`},
		"other target":       {a + b + string(member("./etc/link", 0o120777, "two")) + end, "to another target"},
		"other mode":         {string(member("./etc/one", 0o104755, "content")), "with mode 0104755, the header says 0100644"},
		"folder with data":   {a + b + string(member("./etc/dir", 0o040755, "x")), "with 1 bytes, the header says 0"},
		"missing file":       {a + rest + end, `lacks 1 of the files that the header lists, the first is "/etc/two"`},
		"nothing":            {end, "lacks 4 of the files"},
		"no trailer":         {a + b + rest, "is cut off: its trailer is missing"},
		"cut off":            {good[:300], "is cut off"},
		"cut off in a file":  {good[:122], "is cut off within a file"},
		"empty":              {"", "is cut off"},
		"data behind":        {good + "\x00x", "has data behind its trailer"},
		"much padding":       {good + strings.Repeat("\x00", 80<<10), "more than 65536 bytes behind its trailer"},
		"trailer with data":  {strings.Replace(end, "0000000000000001", "0000000100000001", 1), ""},
		"not a cpio":         {strings.Repeat("x", 200), "has no member where one should start, at byte 0"},
		"not hex":            {strings.Replace(good, "00000007", "0000000g", 1), "malformed number"},
		"no name":            {strings.Replace(good, "0000000a00000000./etc/one", "0000000000000000./etc/one", 1), "name has -1 bytes"},
		"name of one byte":   {strings.Replace(good, "0000000a00000000./etc/one", "0000000100000000./etc/one", 1), "name has 0 bytes"},
		"long name":          {odd("./" + strings.Repeat("x", 5000)), "name has 5002 bytes; 1 to 4095 are allowed"},
		"name without end":   {strings.Replace(good, "./etc/one\x00", "./etc/one/", 1), "does not end with its only zero byte"},
		"name with two ends": {strings.Replace(good, "./etc/one\x00", "./etc\x00one\x00", 1), "does not end with its only zero byte"},
		"link without data":  {linked("./etc/one", "") + b + rest + end, `has "/etc/one" and its hard links without their content`},
		"differing links":    {linked("./etc/one", "") + linked("./etc/two", "more content") + rest + end, `as a hard link of "/etc/one", of which the header says something else`},
	} {
		if name == "trailer with data" {
			c.payload = strings.Replace(good, end, string(cpioHead("TRAILER!!!", CpioEntry{Links: 1, Size: 5})), 1)
			c.want = "has a trailer with data"
		}
		h := fileHeader(one, two, lnk, dir)
		_, err := contents(&Package{Header: h}, []byte(c.payload))
		wantFormat(t, name, err, c.want)
	}
}

// linked is a member that says it is one of two hard links.
func linked(name, data string) string {
	b := cpioHead(name, CpioEntry{Inode: 7, Mode: map[string]uint32{"./etc/one": 0o100644, "./etc/two": 0o100600}[name], Links: 2, Size: int64(len(data))})
	return string(b) + data + strings.Repeat("\x00", CpioPadding(int64(len(data))))
}

func wantFormat(t *testing.T, name string, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	var format *FormatError
	if !errors.As(err, &format) || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q", name, err, want)
	}
}

// File lists whose parts do not fit together.
func TestHostileFileLists(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(h *Header)
		want  string
	}{
		"one size too few":  {func(h *Header) { h.SetInt32(FileSizes, 1) }, "lists 2 files, but 1 numbers in tag 1028"},
		"no modes":          {func(h *Header) { remove(h, FileModes) }, "0 numbers in tag 1030"},
		"modes as text":     {func(h *Header) { h.SetStrings(FileModes, []string{"a", "b"}) }, "numbers in tag 1030"},
		"owners as numbers": {func(h *Header) { h.SetInt32(FileUserName, 1, 2) }, "strings in tag 1039"},
		"one owner":         {func(h *Header) { h.SetStrings(FileUserName, []string{"root"}) }, "1 strings in tag 1039"},
		"negative size":     {func(h *Header) { h.SetInt64(LongFileSizes, 1, math.MaxUint64) }, "with the value 18446744073709551615"},
		"huge mode":         {func(h *Header) { h.SetInt32(FileModes, 1<<16, 0) }, "with the value 65536 in tag 1030"},
		"twice":             {func(h *Header) { h.SetStrings(BaseNames, []string{"a", "a"}); h.SetInt32(DirIndexes, 0, 0) }, `lists the file "/etc/a" twice`},
		"no folder":         {func(h *Header) { h.SetInt32(DirIndexes, 0, 9) }, "do not fit together"},
		"relative":          {func(h *Header) { h.SetStrings(DirNames, []string{"", ""}) }, `"one", which is no path`},
		"long name":         {func(h *Header) { h.SetStrings(BaseNames, []string{"one", strings.Repeat("x", 5000)}) }, "or too many of them"},
		"rpm 3": {func(h *Header) {
			remove(h, BaseNames)
			remove(h, DirIndexes)
			h.SetStrings(OldFileNames, []string{"/a"})
		}, "of rpm 3"},
		"digest algorithm": {func(h *Header) { h.SetInt32(FileDigestAlgo, 99) }, "file digest algorithm 99"},
		"compressor":       {func(h *Header) { h.SetString(PayloadCompressor, strings.Repeat("lz", 99)) }, `is compressed with "lzlz`},
		"format":           {func(h *Header) { h.SetString(PayloadFormat, "drpm") }, `has the format "drpm"`},
		"no digest":        {func(h *Header) { h.SetStrings(FileDigests, []string{"", ""}) }, "of which the header has no digest"},
	} {
		h := fileHeader(one, two)
		c.spoil(h)
		_, err := contents(&Package{Header: h}, members(one, two))
		wantFormat(t, name, err, c.want)
	}
}

func remove(h *Header, tag Tag) {
	for i, e := range h.Entries {
		if e.Tag == tag {
			h.Entries = append(h.Entries[:i], h.Entries[i+1:]...)
			return
		}
	}
}

// A header of a few hundred kilobytes can name gigabytes of paths.
func TestFileNamesAreBounded(t *testing.T) {
	h := &Header{}
	n := 60000
	h.SetStrings(DirNames, []string{"/" + strings.Repeat("x", 4000) + "/"})
	h.SetStrings(BaseNames, strings.Split(strings.Repeat("a\n", n-1)+"a", "\n"))
	h.SetInt32(DirIndexes, make([]uint32, n)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if names := h.FileNames(); names != nil {
		t.Errorf("%d names", len(names))
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes allocated", used)
	}
}

// Compressed bytes that lie, end early or go on.
func TestHostileCompression(t *testing.T) {
	h := fileHeader(one)
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := map[string][]byte{"zstd": z.EncodeAll(members(one), nil)}
	if packed["bzip2"], err = base64.StdEncoding.DecodeString(bzip2One); err != nil {
		t.Fatal(err)
	}
	for name, tool := range map[string]string{"gzip": "gzip", "xz": "xz", "lzma": "xz --format=lzma"} {
		packed[name] = pipe(t, tool, members(one))
	}
	for name, b := range packed {
		h.SetString(PayloadCompressor, name)
		p := &Package{Header: h}
		_, err := contents(p, b)
		wantFormat(t, name, err, "")
		_, err = contents(p, b[:len(b)-5])
		wantFormat(t, name+", cut off", err, "payload: ")
		_, err = contents(p, append(bytes.Clone(b), "tail"...))
		wantFormat(t, name+", with a tail", err, "payload: ")
		_, err = contents(p, nil)
		wantFormat(t, name+", empty", err, "payload: ")
		_, err = contents(p, []byte("certainly nothing that was compressed"))
		wantFormat(t, name+", not compressed", err, "payload: ")
		for i := range b { // whatever it does, it does not get past the digest
			bad := bytes.Clone(b)
			bad[i] ^= 0x10
			if list, err := contents(p, bad); err == nil && !strings.Contains(list, "/etc/one 0100644 7 ") {
				t.Errorf("%s, byte %d: %q", name, i, list)
			}
		}
	}
	// Windows beyond rpm's limits.
	h.SetString(PayloadCompressor, "zstd")
	_, err = contents(&Package{Header: h}, []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 18 << 3, 1, 0, 0})
	wantFormat(t, "zstd window", err, "cannot be decompressed (zstd)")
	h.SetString(PayloadCompressor, "xz")
	_, err = contents(&Package{Header: h}, pipe(t, "xz --lzma2=dict=128MiB", members(one)))
	wantFormat(t, "xz dictionary", err, "dictionary of more than 96 MiB")
	_, err = contents(&Package{Header: h}, pipe(t, "xz --x86 --lzma2=dict=1MiB", members(one)))
	wantFormat(t, "xz filter", err, "filters other than LZMA2")
	h.SetString(PayloadCompressor, "lzma")
	_, err = contents(&Package{Header: h}, pipe(t, "xz --format=lzma --lzma1=dict=128MiB", members(one)))
	wantFormat(t, "lzma dictionary", err, "dictionary size")
}

// bzip2One is the payload of one, by bzip2 1.0.8.
const bzip2One = "QlpoOTFBWSZTWdorSMIAAB7/gEwICAAoAezAIiQUADoBhAAgAFREyTRoxNMTGIEqekmg0NDQHqEkH03UCw5YuxeIEKHjtVbqQwkZlI6rbhp1IA6meDNP4/IcFJdaEkdwOxdyRThQkNorSMI="

func pipe(t *testing.T, tool string, data []byte) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return peer(t, "sh", "-c", tool+" -c < "+name)
}

// xz with its checks, several blocks, several streams and padding between them.
func TestXZ(t *testing.T) {
	var data []byte
	for i := range 3000 {
		data = fmt.Appendln(data, i)
	}
	read := func(b []byte) ([]byte, error) {
		r, err := Decompress("xz", bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	for _, tool := range []string{"xz", "xz -C crc32", "xz -C crc64", "xz -C sha256", "xz -C none", "xz --block-size=4000", "xz -0 --block-size=4000", "xz -9", "xz -T2 --block-size=4000"} {
		b := pipe(t, tool, data)
		if got, err := read(b); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", tool, len(got), err)
		}
		two := append(append(bytes.Clone(b), 0, 0, 0, 0, 0, 0, 0, 0), b...)
		if got, err := read(two); err != nil || len(got) != 2*len(data) {
			t.Errorf("%s, two streams: %d bytes, %v", tool, len(got), err)
		}
		if !strings.Contains(tool, "-0") { // the others take large windows, and time
			continue
		}
		for i := range b { // no damage gives other data
			if i > 100 && i < len(b)-200 && i%37 > 0 {
				continue
			}
			bad := bytes.Clone(b)
			bad[i] ^= 1
			if got, err := read(bad); err == nil && !bytes.Equal(got, data) {
				t.Errorf("%s, byte %d: other data, no error", tool, i)
			}
		}
	}
}

// Frames are found without decompressing, however the bytes arrive.
func TestFrames(t *testing.T) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var payload []byte
	var want []Frame
	add := func(b []byte, content int) {
		want = append(want, Frame{int64(len(payload)), int64(len(b)), int64(content)})
		payload = append(payload, b...)
	}
	for _, n := range []int{0, 1, 100, 300, 70000, 1 << 20} {
		add(z.EncodeAll(bytes.Repeat([]byte("ab1"), n/3+1)[:n], nil), n)
	}
	add([]byte{0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}, 0)
	add(pipe(t, "zstd -q --no-check", make([]byte, 5<<20)), -1) // too large to measure
	add(pipe(t, "zstd -q --check --ultra -20 --stream-size=200000", make([]byte, 200000)), 200000)
	add([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, 0)
	for _, step := range []int{1, 7, 4096, len(payload)} {
		var s FrameScanner
		for b := payload; len(b) > 0; b = b[min(step, len(b)):] {
			s.Write(b[:min(step, len(b))]) //nolint:errcheck // never fails
		}
		got, err := s.Frames()
		for i := range got {
			if got[i].Content < 0 && want[i].Content > 100 {
				t.Errorf("frame %d: no size", i)
			}
		}
		if err := MeasureFrames(got, bytes.NewReader(payload)); err != nil {
			t.Error(err)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in steps of %d: %v\n%v\nnot\n%v", step, err, got, want)
		}
	}
	for n := range 200 {
		var s FrameScanner
		s.Write(payload[:len(payload)-1-n*len(payload)/200]) //nolint:errcheck // never fails
		frames, err := s.Frames()
		if err == nil && frames[len(frames)-1].Offset+frames[len(frames)-1].Size == int64(len(payload)) {
			t.Errorf("without %d bytes: %v", n, frames)
		}
	}
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"not zstd":      {[]byte("hello world"), "no zstd frame where one should start, at byte 0"},
		"reserved bit":  {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0x08, 0, 1, 0, 0}, "of an unknown kind"},
		"reserved type": {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0, 7, 0, 0}, "block of an unknown kind"},
		"absurd size":   {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0xff, 1, 0, 0}, "of absurd size"},
		"cut off":       {[]byte{0x28, 0xb5, 0x2f}, "is cut off within a zstd frame"},
	} {
		var s FrameScanner
		s.Write(c.b) //nolint:errcheck // never fails
		_, err := s.Frames()
		wantFormat(t, name, err, c.want)
	}
}

// A reader's own error is not the payload's fault.
func TestPayloadReadError(t *testing.T) {
	want := errors.New("disk on fire")
	for _, name := range []string{"", "gzip", "bzip2", "xz", "lzma", "zstd"} {
		h := fileHeader(one)
		if name != "" {
			h.SetString(PayloadCompressor, name)
		}
		x, err := OpenPayload(&Package{Header: h}, failing{want})
		if err == nil {
			_, err = x.Next()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
