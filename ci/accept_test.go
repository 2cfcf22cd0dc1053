package ci

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// checkReaders wants every reader of package files to find in it what the publisher put in.
func checkReaders(t *testing.T, rpm, nvra string) {
	t.Helper()
	name, _, _ := strings.Cut(nvra, "-4.3.0")
	if out := pipe(t, `rpm -qp --nosignature --qf '%{nvra} %{buildtime} %{buildhost} %{payloadcompressor}\n' "$1"`, rpm); !strings.HasPrefix(out, nvra+" ") || !strings.HasSuffix(out, " colophon zstd\n") {
		t.Errorf("rpm -qp prints %q", out)
	}
	if out := pipe(t, `rpm -qip --nosignature "$1"`, rpm); !strings.Contains(out, "Signature   : EdDSA/SHA512") {
		t.Errorf("rpm -qip prints\n%s", out)
	}
	if out := pipe(t, `rpm -qlvp --nosignature "$1"`, rpm); !strings.Contains(out, "root.img.part.00") {
		t.Errorf("rpm -qlvp prints\n%s", out)
	}
	if out := pipe(t, `rpm -qp --nosignature --scripts --triggers --conflicts --obsoletes "$1"`, rpm); strings.TrimSpace(out) != "" {
		t.Errorf("the package is not passive:\n%s", out)
	}
	// The header reader of template tools, in Debian's python.
	out := pipe(t, `/usr/bin/python3 - "$1" <<'EOF'
import rpm, sys
ts = rpm.TransactionSet()
ts.setVSFlags(rpm.RPMVSF_MASK_NOSIGNATURES)
with open(sys.argv[1], "rb") as f:
    h = ts.hdrFromFdno(f)
print(h[rpm.RPMTAG_NAME], h[rpm.RPMTAG_EPOCHNUM], h[rpm.RPMTAG_SUMMARY], h[rpm.RPMTAG_DESCRIPTION] != "")
EOF`, rpm)
	if !strings.HasPrefix(out, name+" 0 ") || !strings.HasSuffix(out, " True\n") {
		t.Errorf("python3-rpm prints %q", out)
	}
}

// checkCreaterepo wants createrepo_c to make of the packages what is published about them, byte for byte.
func checkCreaterepo(t *testing.T, tree, snapshot string) {
	t.Helper()
	dir := t.TempDir()
	pipe(t, `
cp -r "$1/packages" "$2/"
find "$2/packages" -type f ! -name '*.rpm' -delete
for f in "$2"/packages/*/*.rpm; do touch -d "@$(rpm -qp --nosignature --qf '%{buildtime}' "$f")" "$f"; done
mkdir "$2/out"
(cd "$2/packages" && find * -name '*.rpm' >../list)
createrepo_c -q --no-database --general-compress-type=gz --pkglist "$2/list" --location-prefix ../../packages -o "$2/out" "$2/packages"
for kind in primary filelists other; do
	zcat "$2"/out/repodata/*-$kind.xml.gz | cmp - <(zcat "$1/$3"/repodata/*-$kind.xml.gz)
done`, tree, dir, snapshot)
}

// checkZypper is the second client, on a machine of its own: it refreshes, lists and installs from latest/.
func checkZypper(t *testing.T, site string, want []string) {
	t.Helper()
	root := t.TempDir()
	repos := filepath.Join(root, "etc", "zypp", "repos.d")
	if err := os.MkdirAll(repos, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "[templates]\nenabled=1\nautorefresh=1\nbaseurl=" + site + "/templates/latest/\ntype=rpm-md\ngpgcheck=1\nrepo_gpgcheck=1\npkg_gpgcheck=1\n"
	if err := os.WriteFile(filepath.Join(repos, "templates.repo"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// Package signatures are checked with the keys of the root's own database.
	keys := pipe(t, `cd "$1"; for f in $(curl -sf "$2/templates/templates.repo" | grep -o 'http[^ ]*\.asc'); do curl -sfO "$f"; done; ls "$1"/*.asc`, t.TempDir(), site)
	for key := range strings.Lines(keys) {
		must(t, "rpmkeys", "--root="+root, "--import", strings.TrimSpace(key))
	}
	zypper := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("zypper", append([]string{"--root", root, "--non-interactive", "--gpg-auto-import-keys"}, args...)...)
		out, code := runCommand(t, cmd)
		if code != 0 {
			t.Fatalf("zypper %s: exit %d\n%s", strings.Join(args, " "), code, out)
		}
		return out
	}
	zypper("refresh")
	listed := zypper("search", "-s", "qubes-template")
	for _, nvra := range want {
		version := strings.TrimSuffix(nvra[strings.Index(nvra, "4.3.0"):], ".noarch")
		if !strings.Contains(listed, " "+version+" ") {
			t.Errorf("zypper does not list %s:\n%s", nvra, listed)
		}
	}
	name := want[0][:strings.Index(want[0], "-4.3.0")]
	t.Log(zypper("install", "--download-only", name))
	t.Log(zypper("install", name+" = "+strings.TrimSuffix(want[0][len(name)+1:], ".noarch")))
	must(t, "rpm", "--root="+root, "--verify", "--nodeps", "--nouser", "--nogroup", name)
}
