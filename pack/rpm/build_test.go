package rpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// peer runs a program that ci/setup installs.
func peer(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &errors)
	}
	return out
}

// corpusSpec has one of everything that a file list can hold.
const corpusSpec = `
Name: corpus
Version: 1.2
Release: 3
Summary: Files of all kinds
License: MIT
BuildArch: noarch
Source0: corpus.spec
%description
d
%install
mkdir -p %{buildroot}/etc/t/d %{buildroot}/etc/u
echo hello > %{buildroot}/etc/t/a
seq 1 60000 > %{buildroot}/etc/t/long
head -c 300001 /dev/zero > %{buildroot}/etc/t/zeros
ln %{buildroot}/etc/t/a %{buildroot}/etc/t/b
ln %{buildroot}/etc/t/a %{buildroot}/etc/u/c
ln -s ../u %{buildroot}/etc/t/l
: > %{buildroot}/etc/t/empty
touch %{buildroot}/etc/u/ghost
printf x > "%{buildroot}/etc/u/a blank é"
%files
/etc/t
%dir %attr(2770,root,qubes) /etc/u
/etc/u/[ac]*
%ghost /etc/u/ghost
`

// corpus builds the package with a payload of that kind, in rpm's own words.
func corpus(t testing.TB, payload string) string {
	t.Helper()
	dir := t.TempDir()
	spec := filepath.Join(dir, "corpus.spec")
	if err := os.WriteFile(spec, []byte(corpusSpec), 0o644); err != nil {
		t.Fatal(err)
	}
	peer(t, "rpmbuild", "--quiet", "-ba", "--define", "_topdir "+dir, "--define", "_sourcedir "+dir,
		"--define", "_binary_payload "+payload, "--define", "_source_payload "+payload, spec)
	return dir
}

const (
	corpusBinary = "RPMS/noarch/corpus-1.2-3.noarch.rpm"
	corpusSource = "SRPMS/corpus-1.2-3.src.rpm"
)

// assemble makes a package of a header, whose payload digest it sets, and a payload.
func assemble(t testing.TB, h *Header, payload []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(payload)
	h.SetStrings(PayloadDigest, []string{hex.EncodeToString(digest[:])})
	h.SetInt32(PayloadDigestAlgo, DigestSHA256)
	raw := h.Marshal(Region)
	signature, err := testKey(t).Sign(raw, day)
	if err != nil {
		t.Fatal(err)
	}
	front, err := Front(h.NEVRA(), raw, signature, int64(len(payload)), int64(len(payload)))
	if err != nil {
		t.Fatal(err)
	}
	return append(front, payload...)
}

// fileHeader lists files the way their payload should have them.
func fileHeader(files ...testFile) *Header {
	h := &Header{}
	h.SetString(Name, "a")
	h.SetString(Version, "1")
	h.SetString(Release, "1")
	h.SetString(Arch, "noarch")
	h.SetString(SourceRPM, "a-1-1.src.rpm")
	h.SetString(PayloadFormat, "cpio")
	h.SetInt32(FileDigestAlgo, DigestSHA256)
	var base, dirs, digests, links, users []string
	var sizes, index, inodes []uint32
	var modes []uint16
	for i, f := range files {
		cut := strings.LastIndex(f.name, "/") + 1
		base, dirs, index = append(base, f.name[cut:]), append(dirs, f.name[:cut]), append(index, uint32(i))
		sum, link := sha256.Sum256([]byte(f.data)), ""
		digest := hex.EncodeToString(sum[:])
		if f.mode&ModeType == ModeLink {
			link, digest = f.data, ""
		}
		if f.mode&ModeType == ModeDir {
			digest = ""
		}
		digests, links = append(digests, digest), append(links, link)
		users = append(users, "root")
		sizes, modes, inodes = append(sizes, uint32(len(f.data))), append(modes, f.mode), append(inodes, uint32(i+1))
	}
	h.SetStrings(BaseNames, base)
	h.SetStrings(DirNames, dirs)
	h.SetInt32(DirIndexes, index...)
	h.SetInt32(FileSizes, sizes...)
	h.SetInt16(FileModes, modes...)
	h.SetInt32(FileInodes, inodes...)
	h.SetStrings(FileDigests, digests)
	h.SetStrings(FileLinkTos, links)
	h.SetStrings(FileUserName, users)
	h.SetStrings(FileGroupName, users)
	return h
}

type testFile struct {
	name string
	mode uint16
	data string
}

// member is a newc member with any name.
func member(name string, mode uint16, data string) []byte {
	b := cpioHead(name, CpioEntry{Inode: 1, Mode: uint32(mode), Links: 1, Size: int64(len(data))})
	b = append(b, data...)
	return append(b, make([]byte, CpioPadding(int64(len(data))))...)
}

// members makes the payload that fits fileHeader.
func members(files ...testFile) []byte {
	var b []byte
	for _, f := range files {
		b = append(b, member("."+f.name, f.mode, f.data)...)
	}
	return append(b, CpioTrailer()...)
}

// contents reads a whole payload: a line for each member, and an error.
func contents(p *Package, payload []byte) (string, error) {
	x, err := OpenPayload(p, bytes.NewReader(payload))
	if err != nil {
		return "", err
	}
	defer x.Close()
	var b strings.Builder
	for {
		m, err := x.Next()
		if err != nil {
			if err.Error() == "EOF" {
				err = nil
			}
			return b.String(), err
		}
		sum := sha256.New()
		var chunk [1000]byte
		for {
			n, err := x.Read(chunk[:])
			sum.Write(chunk[:n])
			if err != nil {
				if err.Error() != "EOF" {
					return b.String(), err
				}
				break
			}
		}
		fmt.Fprintf(&b, "%s %#o %d %x\n", m.File.Name, m.File.Mode, m.Size, sum.Sum(nil)[:8])
	}
}
