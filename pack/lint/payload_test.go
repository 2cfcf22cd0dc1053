package lint

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

// sample is a whole template, made by hand.
type sample struct {
	header *rpm.Header
	files  []sampleFile
	order  []int  // of the payload; nil is that of the files
	wrong  []byte // payload to use instead
	key    *openpgp.Key
}

type sampleFile struct {
	name string
	data []byte
}

// tarOf packs a file with GNU tar, sparse, and cuts the archive into parts.
func tarOf(t testing.TB, name string, data []byte, cut int, args ...string) [][]byte {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at := 0; at < len(data); at += 4096 { // holes where there are zeros
		block := data[at:min(at+4096, len(data))]
		if len(bytes.Trim(block, "\x00")) > 0 {
			if _, err := f.WriteAt(block, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		t.Fatal(err)
	}
	archive := run(t, "tar", append([]string{"-C", dir, "--owner=0", "--group=0", "--mtime=@0", "-b1", "-cf", "-"}, append(args, name)...)...)
	return slices.Collect(slices.Chunk(archive, cut))
}

func run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s is a peer of this test; ci/setup installs it: %v\n%s", name, err, &errors)
	}
	return out
}

// imageData has three stretches of data between holes, and a hole at its end.
func imageData() []byte {
	b := make([]byte, 1<<20)
	for i, at := range []int{0, 200 << 10, 600 << 10} {
		copy(b[at:], bytes.Repeat([]byte{byte('a' + i)}, 50<<10))
	}
	return b
}

func newSample(t testing.TB) *sample {
	parts := tarOf(t, "root.img", imageData(), 100<<10, "--format=gnu", "--sparse")
	return &sample{header: good(), files: slices.Concat(partFiles(parts), []sampleFile{
		{"template.conf", []byte("gui=1\nkernel=\nvirt-mode=pvh\nnet.fake-ip=10.0.0.1\n")},
		{"whitelisted-appmenus.list", []byte("xterm.desktop\n")},
	})}
}

func partFiles(parts [][]byte) []sampleFile {
	var list []sampleFile
	for i, p := range parts {
		list = append(list, sampleFile{fmt.Sprintf("root.img.part.%02d", i), p})
	}
	return list
}

// set replaces a file.
func (s *sample) set(name, data string) {
	for i := range s.files {
		if s.files[i].name == name {
			s.files[i].data = []byte(data)
		}
	}
}

// build makes the file.
func (s *sample) build(t testing.TB) []byte {
	t.Helper()
	h := s.header
	top := folder + "x"
	base, dirs, digests, owners := []string{"x"}, []uint32{0}, []string{""}, []string{"root"}
	sizes, modes := []uint32{0}, []uint16{0o040755}
	members := [][]byte{cpio(t, top, 0o040755, nil)}
	for _, f := range s.files {
		sum := sha256.Sum256(f.data)
		base, dirs, digests, owners = append(base, f.name), append(dirs, 1), append(digests, hex.EncodeToString(sum[:])), append(owners, "root")
		sizes, modes = append(sizes, uint32(len(f.data))), append(modes, 0o100644)
		members = append(members, cpio(t, top+"/"+f.name, 0o100644, f.data))
	}
	if s.order != nil {
		var sorted [][]byte
		for _, i := range s.order {
			sorted = append(sorted, members[i])
		}
		members = sorted
	}
	h.SetStrings(rpm.BaseNames, base)
	h.SetInt32(rpm.DirIndexes, dirs...)
	h.SetStrings(rpm.FileDigests, digests)
	h.SetStrings(rpm.FileUserName, owners)
	h.SetStrings(rpm.FileGroupName, owners)
	h.SetInt32(rpm.FileSizes, sizes...)
	h.SetInt16(rpm.FileModes, modes...)
	h.SetInt32(rpm.FileDigestAlgo, rpm.DigestSHA256)
	h.SetString(rpm.PayloadFormat, "cpio")
	h.SetString(rpm.PayloadCompressor, "zstd")
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var payload []byte
	archive := 0
	for _, m := range append(members, rpm.CpioTrailer()) { // a frame for each member
		payload = z.EncodeAll(m, payload)
		archive += len(m)
	}
	if s.wrong != nil {
		payload = s.wrong
	}
	sum := sha256.Sum256(payload)
	h.SetStrings(rpm.PayloadDigest, []string{hex.EncodeToString(sum[:])})
	return s.sign(t, payload, archive)
}

func (s *sample) sign(t testing.TB, payload []byte, archive int) []byte {
	t.Helper()
	raw := s.header.Marshal(rpm.Region)
	var err error
	if s.key, err = openpgp.Generate(zeros{}, "test", day); err != nil {
		t.Fatal(err)
	}
	signature, err := s.key.Sign(raw, day)
	if err != nil {
		t.Fatal(err)
	}
	front, err := rpm.Front(s.header.NEVRA(), raw, signature, int64(len(payload)), int64(archive))
	if err != nil {
		t.Fatal(err)
	}
	return append(front, payload...)
}

func cpio(t testing.TB, name string, mode uint32, data []byte) []byte {
	t.Helper()
	head, err := rpm.CpioEntry{Name: name, Mode: mode, Links: 1, Size: int64(len(data))}.Head()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(head, data, make([]byte, rpm.CpioPadding(int64(len(data)))))
}

func lintFile(t *testing.T, file []byte, profile Profile, keys ...*openpgp.Key) *Report {
	t.Helper()
	r, err := File(context.Background(), bytes.NewReader(file), int64(len(file)), profile, Context{Keys: keys, Now: day})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWholeTemplate(t *testing.T) {
	s := newSample(t)
	file := s.build(t)
	for _, profile := range []Profile{Template, Stock, Plain} {
		for _, r := range lintFile(t, file, profile, s.key).Results {
			if want := map[bool]Status{false: Pass, true: Skip}[r.Needs == NeedsRepository]; r.Status != want {
				t.Errorf("%s: rule %s: %s, %s", profile, r.ID, r.Status, r.Message)
			}
		}
	}
	r := lintFile(t, file, Template, s.key)
	im := r.Payload.Image
	if im == nil || im.Head.Size != 1<<20 || im.Head.Stored != 3*52<<10 || len(im.Parts) != 2 {
		t.Fatalf("image %+v", im)
	}
	// The image's data lies where the payload says.
	var data []byte
	plain := open(t, file, r)
	for _, e := range im.Data() {
		data = append(data, plain[e.Offset:e.Offset+e.Size]...)
	}
	want := append(bytes.Repeat([]byte("a"), 50<<10), make([]byte, 2<<10)...)
	if !bytes.HasPrefix(data, want) || int64(len(data)) != im.Head.Stored {
		t.Errorf("%d bytes of data are elsewhere", len(data))
	}
	if n := len(r.Payload.Frames); n != len(s.files)+2 {
		t.Errorf("%d frames", n)
	}
	var total int64
	for _, f := range r.Payload.Frames {
		total += f.Content
	}
	if total != r.Payload.Bytes || total != int64(len(plain)) || r.Payload.Members != len(s.files)+1 {
		t.Errorf("frames hold %d bytes of %d, %d members", total, r.Payload.Bytes, r.Payload.Members)
	}
	sum := sha256.Sum256(file)
	if r.Digests.File != hex.EncodeToString(sum[:]) || r.Digests.Size != int64(len(file)) {
		t.Errorf("%+v", r.Digests)
	}
}

// open is the uncompressed payload.
func open(t *testing.T, file []byte, r *Report) []byte {
	t.Helper()
	d, err := rpm.Decompress("zstd", bytes.NewReader(file[r.Package.HeaderEnd():]))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// One mistake in the payload each, the rules that it breaks, and in which words.
func TestPayloadRules(t *testing.T) {
	long := strings.Repeat("x", 110)
	image := imageData()
	for name, c := range map[string]struct {
		spoil   func(s *sample)
		rules   []string
		message string
	}{
		"conf without value": {func(s *sample) { s.set("template.conf", "gui=1\n\nqrexec=1\n") }, []string{"L13"}, `line 2: "" is not KEY=VALUE`},
		"conf not ASCII":     {func(s *sample) { s.set("template.conf", "gui=é\n") }, []string{"L13"}, `"template.conf" is not ASCII`},
		"list not ASCII":     {func(s *sample) { s.set("whitelisted-appmenus.list", "é.desktop\n") }, []string{"L13"}, `"whitelisted-appmenus.list" is not ASCII`},
		"conf too long":      {func(s *sample) { s.set("template.conf", strings.Repeat("a=b\n", 1<<19)) }, []string{"L13"}, "has 2097152 bytes"},
		"ustar":              {func(s *sample) { s.files = partFiles(tarOf(t, "root.img", image, 1<<30, "--format=ustar")) }, nil, ""},
		"PAX":                {func(s *sample) { s.files = partFiles(tarOf(t, "root.img", image, 1<<30, "--format=posix", "--sparse")) }, []string{"L12"}, "PAX header first"},
		"long name":          {func(s *sample) { s.files = partFiles(tarOf(t, long, image, 1<<30, "--format=gnu", "--sparse")) }, []string{"L12"}, "long name first"},
		"other name":         {func(s *sample) { s.files = partFiles(tarOf(t, "disk.img", image, 1<<30, "--format=gnu", "--sparse")) }, []string{"L12"}, `tar holds "disk.img", not root.img`},
		"no tar":             {func(s *sample) { s.files = partFiles([][]byte{image}) }, []string{"L12"}, "not a tar archive"},
		"two members": {func(s *sample) {
			b := tarOf(t, "root.img", image, 1<<30, "--format=gnu", "--sparse")[0]
			s.files = partFiles([][]byte{append(b[:len(b)-1024:len(b)-1024], b...)})
		}, []string{"L12"}, "something behind the image"},
		"cut off": {func(s *sample) {
			b := tarOf(t, "root.img", image, 1<<30, "--format=gnu", "--sparse")[0]
			s.files = partFiles([][]byte{b[:80<<10]})
		}, []string{"L12"}, "tar is cut off: it has 81408 of 159744 bytes of data"},
		"size beyond its map": {func(s *sample) {
			b := tarOf(t, "root.img", image, 1<<30, "--format=gnu", "--sparse")[0]
			b[483+4]++ // 11 octal digits: more by 8^6
			sum := 0
			for i, c := range b[:512] {
				if i < 148 || i >= 156 {
					sum += int(c)
				} else {
					sum += ' '
				}
			}
			copy(b[148:], fmt.Sprintf("%06o", sum))
			s.files = partFiles([][]byte{b})
		}, []string{"L12"}, "tar says the image has 1310720 bytes, and restores 1048576"},
		"short first part": {func(s *sample) {
			b := tarOf(t, "root.img", image, 1<<30, "--format=gnu", "--sparse")[0]
			s.files = partFiles([][]byte{b[:100], b[100:]})
		}, []string{"L12"}, "first part has 100 bytes"},
		"parts out of order": {func(s *sample) { s.order = []int{0, 2, 1, 3, 4} }, []string{"L11", "L12"}, `"/var/lib/qubes/vm-templates/x/root.img.part.00" stands behind "/var/lib/qubes/vm-templates/x/root.img.part.01"`},
		"missing member":     {func(s *sample) { s.order = []int{0, 1, 2, 4} }, []string{"P2"}, `lacks 1 of the files that the header lists, the first is "/var/lib/qubes/vm-templates/x/template.conf"`},
		"member twice":       {func(s *sample) { s.order = []int{0, 1, 2, 2, 3, 4} }, []string{"P2"}, `"/var/lib/qubes/vm-templates/x/root.img.part.01" twice`},
		"not compressed":     {func(s *sample) { s.wrong = []byte("hello") }, []string{"P2"}, "cannot be decompressed (zstd)"},
		"no payload":         {func(s *sample) { s.wrong = []byte{} }, []string{"P2"}, "is cut off"},
		"no image":           {func(s *sample) { s.files = s.files[2:] }, []string{"L11"}, "package has 0 image parts"},
	} {
		s := newSample(t)
		c.spoil(s)
		file := s.build(t)
		results := lintFile(t, file, Template, s.key).Results
		wantFailed(t, name, results, c.rules...)
		if err := Join(results); err != nil && !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v, want %q", name, err, c.message)
		}
	}
	s := newSample(t)
	s.files = s.files[2:]
	if r := statusOf(lintFile(t, s.build(t), Template).Results, "L12"); r.Status != Skip || r.Message != "payload holds no image" {
		t.Errorf("no image: %s, %s", r.Status, r.Message)
	}
	s = newSample(t)
	s.wrong = []byte("hello")
	if r := statusOf(lintFile(t, s.build(t), Template).Results, "L12"); r.Status != Skip || r.Message != "payload cannot be read" {
		t.Errorf("no payload: %s, %s", r.Status, r.Message)
	}
	s = newSample(t)
	s.set("template.conf", "gui=yes\n")
	if r := statusOf(lintFile(t, s.build(t), Template).Results, "L13"); r.Status != Warn || !strings.Contains(r.Message, `ignore the value "yes" of gui`) {
		t.Errorf("odd value: %s, %s", r.Status, r.Message)
	}
	s.set("template.conf", "color=red\n")
	if r := statusOf(lintFile(t, s.build(t), Template).Results, "L13"); r.Status != Warn || !strings.Contains(r.Message, `do not know the key "color"`) {
		t.Errorf("odd key: %s, %s", r.Status, r.Message)
	}
}

// Absolute names and endless frames are read as rpm reads them, and refused.
func TestOddPayloads(t *testing.T) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newSample(t)
	file := s.build(t)
	r := lintFile(t, file, Template, s.key)
	good := file[r.Package.HeaderEnd():]
	s.wrong = slices.Concat(good, bytes.Repeat([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, 1<<20))
	results := lintFile(t, s.build(t), Template, s.key).Results
	wantFailed(t, "a million frames", results, "P2")
	if m := statusOf(results, "P2").Message; m != "payload: has more than 1048576 zstd frames" {
		t.Error(m)
	}
	plain := open(t, file, r)
	size := len(cpio(t, folder+"x", 0o040755, nil)) // the folder's member, whose name loses its dot
	head := bytes.Replace(plain[:size], []byte("./var"), []byte("/var"), 1)[:110+len(folder+"x")+1]
	copy(head[94:], fmt.Sprintf("%08x", len(folder+"x")+1))
	s.wrong = z.EncodeAll(slices.Concat(head, make([]byte, -len(head)&3), plain[size:]), nil)
	results = lintFile(t, s.build(t), Template, s.key).Results
	wantFailed(t, "absolute name", results, "L10")
	if r := statusOf(results, "P2"); r.Status != Warn || !strings.Contains(r.Message, `absolute path "/var/lib/qubes/vm-templates/x"`) {
		t.Errorf("%+v", r)
	}
}

// Damage behind the headers, as a network makes it.
func TestDamagedFiles(t *testing.T) {
	s := newSample(t)
	file := s.build(t)
	r := lintFile(t, file[:len(file)-100], Template, s.key)
	wantFailed(t, "cut off", r.Results, "C43", "P2")
	if m := statusOf(r.Results, "C43").Message; m != "file is cut off: 100 bytes are missing" {
		t.Error(m)
	}
	if m := statusOf(r.Results, "P4"); m.Status != Warn {
		t.Errorf("%+v", m)
	}
	bad := bytes.Clone(file)
	bad[len(bad)-60] ^= 1
	wantFailed(t, "flipped bit", lintFile(t, bad, Template, s.key).Results, "C43", "P2")
	wantFailed(t, "longer", lintFile(t, append(bytes.Clone(file), 0), Template, s.key).Results, "C43", "P2")
	bad = bytes.Clone(file)
	bad[int(r.Package.HeaderStart())+len(r.Package.RawHeader)-50] ^= 1 // in a string
	if list := lintFile(t, bad, Template, s.key).Results; statusOf(list, "C42").Status != Fail || statusOf(list, "L7").Status != Fail {
		t.Errorf("flipped bit in the header: %v", Join(list))
	}
	p := read(t, file)
	p.Signature.SetInt32(rpm.SigPayloadSize, 5)
	bad = slices.Concat(p.Lead[:], p.Signature.Marshal(rpm.SigRegion), file[p.HeaderStart():])
	if m := statusOf(lintFile(t, bad, Template, s.key).Results, "P4"); m.Status != Warn || !strings.Contains(m.Message, "the signature header says 5") {
		t.Errorf("%+v", m)
	}
	p.Signature.SetInt32(rpm.SigPayloadSize, 0) // as a canonicaliser leaves it
	bad = slices.Concat(p.Lead[:], p.Signature.Marshal(rpm.SigRegion), file[p.HeaderStart():])
	if m := statusOf(lintFile(t, bad, Template, s.key).Results, "P4"); m.Status != Pass {
		t.Errorf("%+v", m)
	}
	for _, n := range []int{0, 50, 96, 3000, 4500} {
		_, err := File(context.Background(), bytes.NewReader(file[:n]), int64(n), Template, Context{})
		var format *rpm.FormatError
		if !errors.As(err, &format) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := File(ctx, bytes.NewReader(file), int64(len(file)), Template, Context{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	want := errors.New("disk on fire")
	if _, err := File(context.Background(), burning{bytes.NewReader(file), int64(len(file)) - 500, want}, int64(len(file)), Template, Context{}); !errors.Is(err, want) {
		t.Error(err)
	}
}

// burning fails from an offset on.
type burning struct {
	io.ReaderAt
	from int64
	err  error
}

func (b burning) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > b.from {
		return 0, b.err
	}
	return b.ReaderAt.ReadAt(p, at)
}

// Sums and signatures over header and payload, which older signers add.
func TestWholeSignatures(t *testing.T) {
	s := newSample(t)
	file := s.build(t)
	p := read(t, file)
	content := file[p.HeaderStart():]
	signature, err := s.key.Sign(content, day)
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(content)
	with := func(spoil func(h *rpm.Header)) []byte {
		p := read(t, file)
		remove(p.Signature, rpm.SigReserved)
		p.Signature.SetBin(rpm.SigMD5, sum[:])
		p.Signature.SetBin(rpm.SigGPG, signature)
		spoil(p.Signature)
		raw := p.Signature.Marshal(rpm.SigRegion)
		return slices.Concat(p.Lead[:], raw, make([]byte, -len(raw)&7), content)
	}
	none := func(*rpm.Header) {}
	wantFailed(t, "good", lintFile(t, with(none), Template, s.key).Results, []string{}...)
	if r := statusOf(lintFile(t, with(none), Template, s.key).Results, "C42"); r.Status != Pass {
		t.Errorf("good: %+v", r)
	}
	if r := statusOf(lintFile(t, with(none), Template).Results, "C42"); r.Status != Warn || !strings.Contains(r.Message, "was not verified") {
		t.Errorf("without a key: %+v", r)
	}
	wantFailed(t, "MD5", lintFile(t, with(func(h *rpm.Header) { h.SetBin(rpm.SigMD5, make([]byte, 16)) }), Template, s.key).Results, "C42")
	other, err := s.key.Sign(content[1:], day)
	if err != nil {
		t.Fatal(err)
	}
	wantFailed(t, "signature", lintFile(t, with(func(h *rpm.Header) { h.SetBin(rpm.SigGPG, other) }), Template, s.key).Results, "C42")
}
