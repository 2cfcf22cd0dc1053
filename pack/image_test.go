package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"colophon/pack/rpm"
)

func sha256Of(data []byte) [32]byte { return sha256.Sum256(data) }

// compressed runs a tool over the image.
func compressed(t *testing.T, image []byte, tool string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(tool, args...)
	cmd.Stdin = bytes.NewReader(image)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s is a peer of this test; ci/setup installs it: %v", tool, err)
	}
	return out
}

// Streams of the tools that people compress images with: the same package, and
// no cut of them passes for a shorter image.
func TestCompressedImages(t *testing.T) {
	image := testImage(31)
	want, _ := packFile(t, writeTemplate(t, image))
	for _, words := range [][]string{
		{"xz", "-0"}, {"xz", "-6", "--block-size=500000"}, {"xz", "-1", "--check=none"},
		{"gzip", "-1"}, {"zstd", "-1"}, {"zstd", "-19", "--long=27"},
	} {
		z := compressed(t, image, words[0], words[1:]...)
		if got, _ := packFile(t, writeTemplate(t, z)); !bytes.Equal(got, want) {
			t.Errorf("%s: another package", words)
		}
		if len(words) > 2 {
			continue
		}
		for _, n := range []int{len(z) - 1, len(z) / 10} {
			_, err := Pack(t.Context(), writeTemplate(t, z[:n]), discard{}, Options{Sign: sign})
			var input *InputError
			if !errors.As(err, &input) || !strings.Contains(err.Error(), "cannot be read") {
				t.Errorf("%s: the first %d of %d bytes: %v", words, n, len(z), err)
			}
		}
		z[len(z)/2] ^= 1
		if _, err := Pack(t.Context(), writeTemplate(t, z), discard{}, Options{Sign: sign}); err == nil && len(words) == 2 && words[0] != "zstd" {
			t.Errorf("%s: a damaged stream goes unnoticed", words)
		}
	}
	// A dictionary that no template needs would be allocated at once.
	huge := compressed(t, image, "xz", "--format=xz", "--lzma2=preset=0,dict=1GiB")
	if _, err := Pack(t.Context(), writeTemplate(t, huge), discard{}, Options{Sign: sign}); err == nil || !strings.Contains(err.Error(), "dictionary of more than") {
		t.Errorf("dictionary of 1 GiB: %v", err)
	}
}

// Every foreign format is refused by name, with the command that helps.
func TestForeignImages(t *testing.T) {
	for _, x := range foreign {
		image := make([]byte, 1<<20)
		copy(image[x.offset:], x.magic)
		_, err := Pack(t.Context(), writeTemplate(t, image), discard{}, Options{Sign: sign})
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), "format "+x.name) || !strings.Contains(input.Hint(), "root.img ") && !strings.HasSuffix(input.Hint(), "root.img") {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestPathsThatAreRefused(t *testing.T) {
	outside := writeFile(t, t.TempDir()+"/secret", []byte("secret"))
	for name, c := range map[string]struct {
		prepare func(dir string) error
		want    string
	}{
		"link out":        {func(dir string) error { return os.Symlink(outside, dir+"/template.conf") }, "leads out of its folder"},
		"linked folder":   {func(dir string) error { return os.Symlink(filepath.Dir(outside), dir+"/x") }, "leads out of its folder"},
		"folder":          {func(dir string) error { return os.Mkdir(dir+"/template.conf", 0o755) }, "not a regular file"},
		"missing":         {func(string) error { return nil }, "no such file"},
		"too large":       {func(dir string) error { return os.WriteFile(dir+"/template.conf", make([]byte, 1<<20+1), 0o644) }, "larger than"},
		"dangling":        {func(dir string) error { return os.Symlink("nowhere", dir+"/template.conf") }, "no such file"},
		"pipe":            {func(dir string) error { return exec.Command("mkfifo", dir+"/template.conf").Run() }, "not a regular file"},
		"image is folder": {func(dir string) error { os.Remove(dir + "/root.img"); return os.Mkdir(dir+"/root.img", 0o755) }, "not a regular file"},
		"image is pipe": {func(dir string) error {
			os.Remove(dir + "/root.img")
			return exec.Command("mkfifo", dir+"/root.img").Run()
		}, "not a regular file"},
	} {
		d := writeTemplate(t, testImage(32))
		dir := filepath.Dir(d.path)
		if !strings.HasPrefix(name, "image") {
			os.Remove(dir + "/template.conf")
		}
		if name == "linked folder" {
			d.Files = []string{"x/secret"}
		}
		if err := c.prepare(dir); err != nil {
			t.Fatal(err)
		}
		_, err := Pack(t.Context(), d, discard{}, Options{Sign: sign})
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an input error with %q", name, err, c.want)
		}
	}
	// Links inside the folder, a link to the image, and words that lead out.
	d := writeTemplate(t, nil)
	dir := filepath.Dir(d.path)
	image := testImage(33)
	for from, to := range map[string]string{
		dir + "/root.img":      writeFile(t, t.TempDir()+"/elsewhere.img", image),
		dir + "/template.conf": writeFile(t, dir+"/real/conf", []byte("a=b\n")),
	} {
		os.Remove(from)
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	other, err := filepath.Rel(dir, outside)
	if err != nil {
		t.Fatal(err)
	}
	d.Files = []string{"template.conf", other}
	file, r := packFile(t, d)
	if !bytes.Equal(unpack(t, file), image) {
		t.Error("the image behind a link did not come back")
	}
	if len(r.SideFiles) != 2 || string(r.SideFiles[0].Data) != "secret" || r.SideFiles[1].Name != "template.conf" {
		t.Errorf("side files %v", r.SideFiles)
	}
}

// members reads a payload's cpio archive.
func members(t *testing.T, file []byte) map[string][]byte {
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
	list := map[string][]byte{}
	for {
		var size, nameSize int
		if _, err := fmt.Sscanf(string(payload[54:62])+" "+string(payload[94:102]), "%x %x", &size, &nameSize); err != nil {
			t.Fatal(err)
		}
		name := string(payload[110 : 110+nameSize-1])
		payload = payload[(110+nameSize+3)&^3:]
		if name == "TRAILER!!!" {
			return list
		}
		list[strings.TrimPrefix(name, ".")] = payload[:size]
		payload = payload[(size+3)&^3:]
	}
}

// An image of several parts: the digest of every file is that of its content,
// and the tar's that of all parts.
func TestDigestsOfParts(t *testing.T) {
	image := testImage(34)
	d := writeTemplate(t, image)
	info, err := d.Info(time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSpec(d.path, "", info)
	if err != nil {
		t.Fatal(err)
	}
	s.partSize = 1 << 20
	out := &memory{}
	r, err := packSpec(t.Context(), s, out, Options{Sign: sign})
	if err != nil {
		t.Fatal(err)
	}
	content := members(t, out.data)
	digests := r.Package.Header.Strings(rpm.FileDigests)
	var tar bytes.Buffer
	parts := 0
	for i, name := range r.Package.Header.FileNames() {
		if path.Base(name) == d.Name {
			continue
		}
		sum := sha256.Sum256(content[name])
		if hex.EncodeToString(sum[:]) != digests[i] {
			t.Errorf("%s: digest %s, its content has %x", name, digests[i], sum)
		}
		if strings.Contains(name, ".part.") {
			tar.Write(content[name])
			parts++
		}
	}
	if sum := sha256.Sum256(tar.Bytes()); hex.EncodeToString(sum[:]) != r.TarDigest || parts < 3 {
		t.Errorf("tar digest %s, %d parts together have %x", r.TarDigest, parts, sum)
	}
	if !bytes.Equal(untar(t, tar.Bytes()), image) {
		t.Error("the image did not come back")
	}
}

// Container bytes, too, come in frames of at most the largest size.
func TestLargeSideFiles(t *testing.T) {
	d := writeTemplate(t, testImage(35))
	d.Files = nil
	want := map[string][]byte{}
	for i := range 5 {
		name := fmt.Sprintf("file%d", i)
		want[name] = bytes.Repeat(fmt.Appendf(nil, "%d", i), 900_000)
		writeFile(t, filepath.Dir(d.path)+"/"+name, want[name])
		d.Files = append(d.Files, name)
	}
	file, r := packFile(t, d)
	for _, x := range r.Segments {
		if x.Open > int64(r.Cut.Max) {
			t.Errorf("a frame of %d bytes", x.Open)
		}
	}
	content := members(t, file)
	for name, data := range want {
		if !bytes.Equal(content[folder+d.Name+"/"+name], data) {
			t.Errorf("%s came back as other %d bytes", name, len(content[name]))
		}
	}
}
