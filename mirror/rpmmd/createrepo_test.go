package rpmmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"colophon/pack/rpm"
)

const testRevision = 1_700_000_000

// TestBuiltPackages compares metadata of packages made by rpmbuild.
func TestBuiltPackages(t *testing.T) {
	top := t.TempDir()
	if err := os.MkdirAll(filepath.Join(top, "SOURCES"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(top, "SOURCES", "notes.txt"), []byte("notes\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{"edge.spec", "plain.spec"} {
		cmd := exec.Command("rpmbuild", "-ba", "--quiet", "--nodeps",
			"--define", "_topdir "+top,
			"--define", "use_source_date_epoch_as_buildtime 1",
			"--define", "_buildhost host & co",
			filepath.Join("testdata", spec))
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1600000000", "LC_ALL=C.UTF-8")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("rpmbuild makes the packages of this test; ci/setup installs it: %v\n%s", err, out)
		}
	}
	var files [][]byte
	for _, pattern := range []string{"RPMS/*/*.rpm", "SRPMS/*.rpm"} {
		names, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, b)
		}
	}
	if len(files) != 7 {
		t.Fatalf("rpmbuild made %d packages, not 7", len(files))
	}
	meta := compareWithCreaterepo(t, files)
	want := []string{
		`<rpm:entry name="libc.so.6(GLIBC_2.34)(64bit)"/>`,
		`<rpm:entry name="p-pre" pre="1"/>`,
		`<arch>src</arch>`,
		`<file type="ghost">/etc/ghost</file>`,
		`<rpm:entry name="r&#xE9;c"/>`,
	}
	for _, s := range want {
		if !bytes.Contains(open(t, meta, 0), []byte(s)) {
			t.Errorf("the corpus does not cover %s", s)
		}
	}
}

// compareWithCreaterepo builds the metadata of whole rpm files and demands that
// createrepo_c makes the same open bytes of all three.
func compareWithCreaterepo(t *testing.T, files [][]byte) Metadata {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "packages"), 0o777); err != nil {
		t.Fatal(err)
	}
	var fragments []Fragment
	for _, b := range files {
		in := input(t, b)
		f, err := NewFragment(in)
		if err != nil {
			t.Fatal(err)
		}
		fragments = append(fragments, f)
		name := filepath.Join(root, in.Package.Header.NEVRA().Path())
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
		built, _ := in.Package.Header.Int(rpm.BuildTime)
		if err := os.Chtimes(name, time.Time{}, time.Unix(int64(built), 0)); err != nil {
			t.Fatal(err)
		}
	}
	meta, err := Build(fragments, testRevision)
	if err != nil {
		t.Fatal(err)
	}
	theirs := createrepo(t, root)
	repomd, err := ParseRepomd(theirs("repomd.xml"))
	if err != nil {
		t.Fatalf("repomd.xml of createrepo_c: %v", err)
	}
	for i, r := range repomd.records() {
		stream, err := OpenGzip(bytes.NewReader(theirs(r.FileName(r.kind))), r.Record)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(stream)
		if err != nil {
			t.Fatal(err)
		}
		if line := firstDifference(open(t, meta, i), want); line != "" {
			t.Errorf("%s differs from createrepo_c's:\n%s", r.kind, line)
		}
	}
	return meta
}

// createrepo runs the real tool over root/packages.
func createrepo(t *testing.T, root string) func(name string) []byte {
	t.Helper()
	version, err := exec.Command("createrepo_c", "--version").CombinedOutput()
	if err != nil || !bytes.Contains(version, []byte(" 0.17.3 ")) {
		t.Fatalf("createrepo_c 0.17.3 is the reference of this test; ci/setup installs it: %v\n%s", err, version)
	}
	cmd := exec.Command("createrepo_c", "--quiet", "--no-database", "--general-compress-type=gz",
		"--revision", fmt.Sprint(testRevision), "--set-timestamp-to-revision",
		"--location-prefix=../../packages", "--outputdir="+root, filepath.Join(root, "packages"))
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("createrepo_c: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		// It says so of a malformed epoch, and that is one of the cases.
		if !strings.Contains(line, "epoch") && !strings.Contains(line, "Skipping this dependency") {
			t.Fatalf("createrepo_c: %s", out)
		}
	}
	return func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(root, "repodata", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func input(t testing.TB, file []byte) Input {
	t.Helper()
	p, err := rpm.ReadHeaders(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	return Input{p, hex.EncodeToString(sum[:]), int64(len(file))}
}

// open decompresses file i of our metadata.
func open(t testing.TB, m Metadata, i int) []byte {
	t.Helper()
	stream, err := OpenGzip(bytes.NewReader(m.Files[i].Data), m.Files[i].Record)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func firstDifference(got, want []byte) string {
	a, b := bytes.SplitAfter(got, []byte("\n")), bytes.SplitAfter(want, []byte("\n"))
	for i := range max(len(a), len(b)) {
		var x, y []byte
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if !bytes.Equal(x, y) {
			return fmt.Sprintf("line %d:\nours   %q\ntheirs %q\nbefore %q", i+1, x, y, bytes.Join(a[max(0, min(i, len(a))-3):min(i, len(a))], nil))
		}
	}
	return ""
}
