package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// rpmbuild packs the parts of an image as the stock template package does. Making
// the parts (tar and split) is measured by itself: it belongs to the way from an
// image to a package, and not to rpmbuild.
type rpmbuild struct {
	dir, parts string
	tar        float64 // seconds that making the parts took
}

// stock makes the parts of an image.
func (b *benchmark) stock(image string) (rpmbuild, error) {
	r := rpmbuild{dir: filepath.Join(b.dir, "rpmbuild")}
	r.parts = filepath.Join(r.dir, "parts-"+filepath.Base(filepath.Dir(image)))
	script := `set -eu; rm -rf "$2"; mkdir -p "$2"; tar --sparse -C "$(dirname "$1")" -cf - "$(basename "$1")" | split -d -b 1G - "$2/root.img.part."`
	m, err := median(1, func() *exec.Cmd { return exec.Command("bash", "-c", script, "-", image, r.parts) })
	r.tar = m.Seconds
	return r, err
}

const spec = `Name: qubes-template-bench
Version: 1
Release: 1
Summary: Bench
License: MIT
BuildArch: noarch
AutoReqProv: no
%%define __os_install_post %%{nil}
%%description
Bench
%%install
mkdir -p %%{buildroot}/var/lib/qubes/vm-templates/bench
cp -l %s/root.img.part.* %%{buildroot}/var/lib/qubes/vm-templates/bench/
%%files
/var/lib/qubes/vm-templates/bench
`

// command builds the package with a payload such as w3.zstdio.
func (r rpmbuild) command(payload string) *exec.Cmd {
	file := filepath.Join(r.dir, "bench.spec")
	if err := os.WriteFile(file, fmt.Appendf(nil, spec, r.parts), 0o600); err != nil {
		panic(err)
	}
	return exec.Command("rpmbuild", "--quiet", "-bb", "--define", "_topdir "+r.dir, "--define", "_binary_payload "+payload, file)
}

// against words a comparison: rpmbuild alone, with the parts, and the sizes.
func (r rpmbuild) against(peer, ours run) string {
	return fmt.Sprintf("%.1fx faster, %.1fx with its tar step; size %+.1f %%",
		peer.Seconds/ours.Seconds, (peer.Seconds+r.tar)/ours.Seconds, percent(ours.Size, peer.Size))
}

// size is that of the package that command made.
func (r rpmbuild) size() (int64, error) {
	info, err := os.Stat(filepath.Join(r.dir, "RPMS/noarch/qubes-template-bench-1-1.noarch.rpm"))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (r rpmbuild) measure(times int, payload string) (run, error) {
	m, err := median(times, func() *exec.Cmd { return r.command(payload) })
	if err == nil {
		m.Size, err = r.size()
	}
	return m, err
}

// nfpm prepares a run of nfpm's own rpm packager on an image as one file.
func (b *benchmark) nfpm(image string) (run, error) {
	program := filepath.Join(b.dir, "nfpm")
	if out, err := exec.Command("go", "build", "-modfile=ci/tools/go.mod", "-o", program, "github.com/goreleaser/nfpm/v2/cmd/nfpm").CombinedOutput(); err != nil {
		return run{}, fmt.Errorf("build nfpm: %w\n%s", err, out)
	}
	file, target := filepath.Join(b.dir, "nfpm.yaml"), filepath.Join(b.dir, "nfpm.rpm")
	text := fmt.Sprintf("name: bench\narch: all\nversion: 1.0.0\nmaintainer: bench\ncontents: [{src: %q, dst: /root.img}]\nrpm: {compression: \"zstd:3\"}\n", image)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return run{}, err
	}
	r, err := median(1, func() *exec.Cmd { return exec.Command(program, "package", "-p", "rpm", "-f", file, "-t", target) })
	if err != nil {
		return r, err
	}
	info, err := os.Stat(target)
	if err == nil {
		r.Size = info.Size()
	}
	return r, err
}
