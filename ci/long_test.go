//go:build long

package ci

import (
	"crypto/aes"
	"crypto/cipher"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An image whose package is larger than 4 GiB: 32-bit sizes end there, in the signature header, in the payload and
// in many a reader. Needs about 20 GiB of disk.
func TestLongHugePackage(t *testing.T) {
	p := newProject(t)
	dir := filepath.Join(p.dir, "huge")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(dir, "root.img")
	writeNoise(t, image, 4500<<20, 6<<30)
	template := filepath.Join(dir, "template.yaml")
	text := `name: huge
version: "4.3.0"
release: "1"
date: 2026-01-01
summary: Huge
description: More than 4 GiB that cannot be compressed
license: MIT
url: https://example.org/
image: root.img
log: {none: made by a test}
repository: templates
compression: {level: 1}
`
	if err := os.WriteFile(template, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p.configure(t, template)
	p.run(t, 0, "publish")
	p.run(t, 0, "audit", p.tree(), "-key="+p.key())
	const nvra = "qubes-template-huge-4.3.0-1.noarch"
	file := filepath.Join(p.tree(), "packages", "qubes-template-huge", nvra+".rpm")
	if info, err := os.Stat(file); err != nil || info.Size() < 4<<30 {
		t.Fatalf("package: %v, %v", info, err)
	}
	checkSignatures(t, file, p.tree())
	checkReaders(t, file, nvra)
	checkCreaterepo(t, p.tree(), "templates/000001")
	for _, extractor := range extractors {
		pipe(t, extractor+` | tar xSOf - | cmp - "$2"`, file, image)
	}
	p.serve(t)
	c := newDNF(t, servedRepoFile(t, p.site()))
	if got := c.list(t); strings.Join(got, " ") != nvra {
		t.Errorf("dnf lists %q", got)
	}
	if out, code := c.run(t, "install", nvra); code != 0 {
		t.Errorf("dnf install: exit %d\n%s", code, out)
	}
}

// writeNoise makes a sparse image of a nominal size with some bytes of data that no codec can make smaller.
func writeNoise(t *testing.T, path string, data, size int64) {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	noise := cipher.StreamReader{S: cipher.NewCTR(block, make([]byte, 16)), R: zeros{}}
	if _, err := io.CopyN(f, noise, data); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
