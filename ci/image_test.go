package ci

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The ways to get the stream of image parts out of a package. The first is what qvm-template runs; the others read
// cpio and the compressed payload with other code.
var extractors = []string{
	`rpm2archive - <"$1" | tar xzSOf - --wildcards '*/root.img.part.*'`,
	`rpm2cpio "$1" | cpio --quiet -i --to-stdout '*/root.img.part.*'`,
	`bsdtar -xOf "$1" '*/root.img.part.*'`,
}

// checkImage wants the image that went into the package to come out of it, bit for bit and with its holes.
func checkImage(t *testing.T, rpm, image string) {
	t.Helper()
	for _, extractor := range extractors {
		pipe(t, extractor+` | tar xSOf - | cmp - "$2"`, rpm, image)
	}

	dir := t.TempDir()
	pipe(t, extractors[1]+` | tar xSf - -C "$2"`, rpm, dir)
	restored := filepath.Join(dir, "root.img")
	if a, b := stat(t, restored).Size, stat(t, image).Size; a != b {
		t.Fatalf("the restored image has %d bytes, the original %d", a, b)
	}
	// Zero runs that are too short to be worth an extent are stored, so a little more than the original is allowed.
	nominal, before, after := stat(t, image).Size, stat(t, image).Blocks*512, stat(t, restored).Blocks*512
	t.Logf("holes: nominal %d, original allocates %d, restored %d", nominal, before, after)
	if after > before+before/50 || after > nominal/4 {
		t.Errorf("the restored image allocates %d bytes; the original allocates %d of %d", after, before, nominal)
	}
	if err := os.Remove(restored); err != nil {
		t.Fatal(err)
	}
}

// checkSideFile wants a side file of the package to have the bytes of original.
func checkSideFile(t *testing.T, rpm, original string) {
	t.Helper()
	pipe(t, `rpm2cpio "$1" | cpio --quiet -i --to-stdout "*/${2##*/}" | cmp - "$2"`, rpm, original)
}

// checkSignatures does what qvm-template does with a package before it uses it: a fresh key ring with nothing in it
// but the repository's key, and one exact line of output.
func checkSignatures(t *testing.T, rpm, tree string) {
	t.Helper()
	db := t.TempDir()
	keys, err := filepath.Glob(filepath.Join(tree, "keys", "*.asc"))
	if err != nil {
		t.Fatal(err)
	}
	must(t, "rpmkeys", append([]string{"--dbpath=" + db, "--import"}, keys...)...)
	out := pipe(t, `rpmkeys --dbpath="$2" --define '_pkgverify_level all' --define '_pkgverify_flags 0x0' --checksig - <"$1"`,
		rpm, db)
	if out != "-: digests signatures OK\n" {
		t.Errorf("rpmkeys --checksig prints %q", out)
	}
}

// pipe runs a pipeline of bash in which every command has to succeed.
func pipe(t *testing.T, script string, args ...string) string {
	t.Helper()
	cmd := exec.Command("bash", append([]string{"-c", "set -euo pipefail; export LC_ALL=C; " + script, "bash"}, args...)...)
	out, code := runCommand(t, cmd)
	if code != 0 {
		t.Fatalf("%s\nwith %s: exit %d\n%s", script, strings.Join(args, " "), code, out)
	}
	return out
}

func stat(t *testing.T, name string) syscall.Stat_t {
	t.Helper()
	var s syscall.Stat_t
	if err := syscall.Stat(name, &s); err != nil {
		t.Fatalf("stat %s: %v", name, err)
	}
	return s
}
