package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goreleaser/nfpm/v2"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

const releaseText = `name: example-release
version: "1.0"
version_schema: none
release: "2"
epoch: "1"
arch: all
mtime: 2026-01-02T03:04:05Z
description: |-
  Repository of example.org
  with the keys it is signed by.
license: MIT
homepage: https://example.org/
maintainer: Example <mail@example.org>
vendor: Example
depends: [system-release, "dnf >= 4.2"]
provides: ["example-keys = 1.0"]
conflicts: ["example-old < 2"]
replaces: [example-beta]
recommends: ["config(dnf)"]
suggests: [zypper]
contents:
  - src: example.repo
    dst: /etc/yum.repos.d/example.repo
    type: config|noreplace
  - src: keys/*.asc
    dst: /etc/pki/rpm-gpg/
    file_info: {mode: 0444, group: wheel, mtime: 2025-01-01T00:00:00Z}
  - src: /etc/pki/rpm-gpg/example.asc
    dst: /etc/pki/example.asc
    type: symlink
  - dst: /var/lib/example
    type: dir
    file_info: {mode: 02750}
  - src: tool
    dst: /usr/bin/example
  - src: doc
    dst: /usr/share/doc/example
    type: tree
  - dst: /var/log/example.log
    type: ghost
  - src: example.repo
    dst: /etc/deb-only
    packager: deb
scripts: {postinstall: post.sh}
`

// writeRelease writes an ordinary package's sources.
func writeRelease(t testing.TB, dir string) string {
	t.Helper()
	writeFile(t, dir+"/example.repo", []byte("[example]\nname=Example\n"))
	writeFile(t, dir+"/keys/example.asc", []byte("a key\n"))
	writeFile(t, dir+"/keys/other.asc", []byte("another key\n"))
	writeFile(t, dir+"/doc/a/README", []byte("read me\n"))
	writeFile(t, dir+"/doc/b", []byte("b\n"))
	writeFile(t, dir+"/post.sh", []byte("#!/bin/sh\necho installed\n"))
	if err := os.Chmod(writeFile(t, dir+"/tool", []byte("#!/bin/sh\n")), 0o755); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, dir+"/nfpm.yaml", []byte(releaseText))
}

// command runs a real peer and returns what it says.
func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s is a peer of this test; ci/setup installs it: %s: %v\n%s%s", name, args, err, out, stderr.Bytes())
	}
	return string(out)
}

func packRelease(t testing.TB) (string, *Result) {
	t.Helper()
	n, err := LoadNFPM(writeRelease(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "example.rpm"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Pack(t.Context(), n, f, Options{Sign: sign})
	if err != nil {
		t.Fatal(err)
	}
	return f.Name(), r
}

// rpm itself reads an ordinary package as it was meant.
func TestOrdinaryPackage(t *testing.T) {
	file, r := packRelease(t)
	if got, want := r.NEVRA.String(), "example-release-1:1.0-2.noarch"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if r.Frames != 0 || r.ImageBytes != 0 || r.TarDigest != "" || len(r.Segments) != 1 || r.Segments[0].Frame {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct{ args, want string }{
		{"-qp --qf %{NEVRA}|%{EPOCHNUM}|%{SUMMARY}|%{LICENSE}|%{URL}|%{VENDOR}|%{PACKAGER}|%{GROUP}|%{BUILDHOST}|%{BUILDTIME}|%{SIZE}",
			"example-release-1:1.0-2.noarch|1|Repository of example.org|MIT|https://example.org/|Example|Example <mail@example.org>|Unspecified|colophon|1767323045|89"},
		{"-qp --provides", "example-keys = 1.0\nexample-release = 1:1.0-2\n"},
		{"-qp --conflicts", "example-old < 2\n"},
		{"-qp --obsoletes", "example-beta\n"},
		{"-qp --recommends", "config(dnf)\n"},
		{"-qp --suggests", "zypper\n"},
		{"-qp --requires", "/bin/sh\ndnf >= 4.2\nrpmlib(CompressedFileNames) <= 3.0.4-1\nrpmlib(FileDigests) <= 4.6.0-1\n" +
			"rpmlib(PayloadFilesHavePrefix) <= 4.0-1\nrpmlib(PayloadIsZstd) <= 5.4.18-1\nsystem-release\n"},
		{"-qp --scripts", "postinstall scriptlet (using /bin/sh):\n#!/bin/sh\necho installed\n\n"},
		{"-qp --configfiles", "/etc/yum.repos.d/example.repo\n"},
		{"-qp --qf [%{FILENAMES}|%{FILEMODES:perms}|%{FILEUSERNAME}|%{FILEGROUPNAME}|%{FILEMTIMES}|%{FILEFLAGS:fflags}|%{FILELINKTOS}|%{FILESIZES}\\n]", strings.Join([]string{
			"/etc/pki/example.asc|lrwxrwxrwx|root|root|1767323045||/etc/pki/rpm-gpg/example.asc|28",
			"/etc/pki/rpm-gpg/example.asc|-r--r--r--|root|wheel|1735689600|||6",
			"/etc/pki/rpm-gpg/other.asc|-r--r--r--|root|wheel|1735689600|||12",
			"/etc/yum.repos.d/example.repo|-rw-r--r--|root|root|1767323045|cn||23",
			"/usr/bin/example|-rwxr-xr-x|root|root|1767323045|||10",
			"/usr/share/doc/example|drwxr-xr-x|root|root|1767323045|||0",
			"/usr/share/doc/example/a|drwxr-xr-x|root|root|1767323045|||0",
			"/usr/share/doc/example/a/README|-rw-r--r--|root|root|1767323045|||8",
			"/usr/share/doc/example/b|-rw-r--r--|root|root|1767323045|||2",
			"/var/lib/example|drwxr-s---|root|root|1767323045|||0",
			"/var/log/example.log|-rw-r--r--|root|root|1767323045|g||0", ""}, "\n")},
	} {
		// rpm prints relations in an order of its own.
		if got := command(t, "rpm", append(strings.Fields(c.args), file)...); sorted(got) != sorted(c.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.args, got, c.want)
		}
	}
	if out := command(t, "rpm", "-qip", file); !strings.Contains(out, "with the keys it is signed by.") || !strings.Contains(out, "EdDSA/SHA512") {
		t.Errorf("rpm -qip: %s", out)
	}
	db := t.TempDir()
	command(t, "rpmkeys", "--dbpath", db, "--import", writeFile(t, t.TempDir()+"/key.asc", fixedKey.Public()))
	if out := command(t, "rpmkeys", "--dbpath", db, "--define", "_pkgverify_level all", "-K", file); !strings.HasSuffix(out, ": digests signatures OK\n") {
		t.Errorf("rpmkeys: %s", out)
	}
	names := command(t, "sh", "-c", "rpm2cpio '"+file+"' | cpio -t --quiet")
	if strings.Contains(names, "example.log") || !strings.Contains(names, "./usr/share/doc/example/a/README\n") {
		t.Errorf("payload:\n%s", names)
	}
}

func sorted(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		for j := range i {
			if lines[i] < lines[j] {
				lines[i], lines[j] = lines[j], lines[i]
			}
		}
	}
	return strings.Join(lines, "\n")
}

// rpm installs it, and finds every file as it was packed.
func TestOrdinaryPackageInstalls(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("rpm installs as root only: run the tests as root")
	}
	text := strings.NewReplacer("depends: [system-release, \"dnf >= 4.2\"]\n", "", "scripts: {postinstall: post.sh}\n", "", ", group: wheel", "").Replace(releaseText)
	dir, root := t.TempDir(), t.TempDir()
	n, err := LoadNFPM(writeFile(t, filepath.Dir(writeRelease(t, dir))+"/nfpm.yaml", []byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	out := &memory{}
	if _, err := Pack(t.Context(), n, out, Options{Sign: sign}); err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, dir+"/example.rpm", out.data)
	command(t, "rpm", "--root", root, "--install", "--nosignature", file)
	if out := command(t, "rpm", "--root", root, "--verify", "--nouser", "--nogroup", "example-release"); out != "" {
		t.Errorf("rpm --verify: %s", out)
	}
	if data, err := os.ReadFile(root + "/etc/pki/rpm-gpg/other.asc"); err != nil || string(data) != "another key\n" {
		t.Errorf("%q, %v", data, err)
	}
	if target, err := os.Readlink(root + "/etc/pki/example.asc"); err != nil || target != "/etc/pki/rpm-gpg/example.asc" {
		t.Errorf("%q, %v", target, err)
	}
}

func TestNFPMMistakes(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"name: example-release", "name: example-release\ncolour: red", `:2: unknown key "colour"`},
		{"name: example-release", "name: ../x", `package name "../x"`},
		{"name: example-release\n", "", "name is missing"},
		{"name: example-release", "name: qubes-template-x", "rule L"},
		{`version: "1.0"`, `version: "1.0${X}"`, "version"},
		{`epoch: "1"`, `epoch: "x"`, `epoch "x"`},
		{"arch: all\n", "", "arch is missing"},
		{"mtime: 2026-01-02T03:04:05Z\n", "", "mtime is missing"},
		{"mtime: 2026-01-02T03:04:05Z", "mtime: 2040-01-02", "mtime does not fit"},
		{"mtime: 2025-01-01T00:00:00Z", "mtime: 1900-01-01T00:00:00Z", "has a time that does not fit"},
		{"license: MIT\n", "", "license is missing"},
		{"vendor: Example", `vendor: "a\u0007b"`, "vendor holds the control character"},
		{"homepage:", "changelog: x\nhomepage:", "changelog is not supported"},
		{"homepage:", "rpm: {prefixes: [/opt]}\nhomepage:", "rpm.prefixes is not supported"},
		{"homepage:", "rpm: {compression: xz}\nhomepage:", `compression.codec "xz" is not known`},
		{"homepage:", "rpm: {compression: \"zstd:9\"}\nhomepage:", "9 is out of range"},
		{"homepage:", "rpm: {signature: {key_file: k}}\nhomepage:", "the publisher's key signs"},
		{"homepage:", "rpm: {scripts: {verify: post.sh}}\nhomepage:", "verify is not supported"},
		{"homepage:", "platform: darwin\nhomepage:", "platform darwin is not supported"},
		{`"dnf >= 4.2"`, `"(dnf or yum)"`, `depends "(dnf or yum)" is not a relation`},
		{`"dnf >= 4.2"`, `"dnf >= "`, "is not a relation"},
		{"src: tool", "src: missing", "missing"},
		{"src: keys/*.asc", "src: keys/*.key", "no matching files"},
		{"dst: /usr/bin/example", "dst: /etc/yum.repos.d/example.repo", "content collision"},
		{"group: wheel", `group: "a b"`, `the group "a b"`},
		{"src: tool", "src: /dev/null", "not a regular file"},
		{"type: tree", "type: forest", "invalid content type: forest"},
		{"{postinstall: post.sh}", "{postinstall: missing.sh}", "no such file"},
		{"{postinstall: post.sh}", "{postinstall: bash.sh}", "written for /bin/bash, not /bin/sh"},
		{"src: tool", "src: escape/hostname", "leads out of its folder"},
	} {
		dir := t.TempDir()
		writeRelease(t, dir)
		writeFile(t, dir+"/bash.sh", []byte("#!/bin/bash\n"))
		if err := os.Symlink("/etc", dir+"/escape"); err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(releaseText, c.old, c.new, 1)
		if text == releaseText {
			t.Fatalf("%q is not in the text", c.old)
		}
		n, err := LoadNFPM(writeFile(t, dir+"/nfpm.yaml", []byte(text)))
		if err == nil {
			_, err = Pack(t.Context(), n, discard{}, Options{Sign: sign})
		}
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), c.want) || input.Hint() == "" {
			t.Errorf("%q: got %v, want an input error with %q", c.new, err, c.want)
		}
	}
}

// Contents are held in memory, so there is a limit to all of them together.
func TestContentsAreBounded(t *testing.T) {
	dir := t.TempDir()
	writeRelease(t, dir)
	if err := os.Truncate(dir+"/tool", maxContents-20); err != nil {
		t.Fatal(err)
	}
	n, err := LoadNFPM(dir + "/nfpm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Pack(t.Context(), n, discard{}, Options{Sign: sign})
	var input *InputError
	if !errors.As(err, &input) || !strings.Contains(err.Error(), "is larger than") {
		t.Errorf("got %v", err)
	}
}

// A definition in nfpm's words gives the same package behind nfpm's interface.
func TestPackagerPacksTemplates(t *testing.T) {
	d := writeTemplate(t, testImage(12))
	want, r := packFile(t, d)
	info, err := d.Info(time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "x.rpm"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &Packager{Options: Options{Sign: sign}}
	if err := p.Package(info, f); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another package: %v", err)
	}
	if got := p.ConventionalFileName(info); got != r.NEVRA.FileName() || !strings.HasSuffix(got, p.ConventionalExtension()) {
		t.Errorf("file name %s", got)
	}
	if err := p.Package(info, io.Discard); err == nil || !strings.Contains(err.Error(), "into a stream") {
		t.Errorf("an image in a stream: %v", err)
	}
}

func TestPackagerSigns(t *testing.T) {
	n, err := LoadNFPM(writeRelease(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	info, err := n.Info(time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	p := &Packager{}
	var out bytes.Buffer
	if err := p.Package(info, &out); err == nil || !strings.Contains(err.Error(), "nobody signs") {
		t.Errorf("nobody signs: %v", err)
	}
	info.RPM.Signature.SignFn = func(r io.Reader) ([]byte, error) {
		header, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		return fixedKey.Sign(header, info.MTime)
	}
	if err := p.Package(info, &out); err != nil {
		t.Fatal(err)
	}
	pkg, _, err := rpm.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pkg.VerifySignature(openpgp.Keyring{fixedKey}, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Error(err)
	}
	var cancelled context.CancelFunc
	p.Context, cancelled = context.WithCancel(t.Context())
	cancelled()
	if err := p.Package(info, &out); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Packing a small ordinary package through nfpm.
func Example() {
	Register(&Packager{Options: Options{
		Sign: func(_ context.Context, header []byte, at time.Time) ([]byte, error) { return fixedKey.Sign(header, at) },
	}})
	packager, err := nfpm.Get("rpm")
	if err != nil {
		panic(err)
	}
	n, err := LoadNFPM("testdata/release/nfpm.yaml")
	if err != nil {
		panic(err)
	}
	info, err := n.Info(time.Time{})
	if err != nil {
		panic(err)
	}
	var file bytes.Buffer
	if err := packager.Package(info, &file); err != nil {
		panic(err)
	}
	p, _, err := rpm.Read(&file)
	if err != nil {
		panic(err)
	}
	fmt.Println(packager.ConventionalFileName(info))
	for _, name := range p.Header.FileNames() {
		fmt.Println(name)
	}
	// Output:
	// example-release-1.0-1.noarch.rpm
	// /etc/pki/rpm-gpg/RPM-GPG-KEY-example
	// /etc/yum.repos.d/example.repo
}
