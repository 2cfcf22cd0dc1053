package ci

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The packages of the two releases that are published.
var debianPackages = []string{
	"qubes-template-debian-12-minimal-4.3.0-1.noarch",
	"qubes-template-debian-12-minimal-4.3.0-2.noarch",
}

// The main job, from a real image to real clients: two releases of a Debian template are published, served and read
// back by dnf in every way there is to read them, and the images that come out are those that went in.
func TestEndToEnd(t *testing.T) {
	p := newProject(t)
	releases := debianReleases(t, 2)

	p.configure(t, filepath.Join(releases[0], "template.yaml"))
	p.run(t, 0, "publish")
	first := treeDigests(t, p.tree())
	p.configure(t, filepath.Join(releases[1], "template.yaml"))
	p.run(t, 0, "publish")
	second := treeDigests(t, p.tree())
	checkKept(t, first, second)
	p.run(t, 0, "audit", p.tree(), "-key="+p.key())

	p.serve(t)
	p.run(t, 0, "audit", p.site(), "-key="+p.key())

	var files [2]string
	t.Run("metalink", func(t *testing.T) {
		served := servedRepoFile(t, p.site())
		checkRepoFile(t, served)
		c := newDNF(t, served)
		checkList(t, c, debianPackages)
		files[1] = keep(t, c.download(t, debianPackages[1]))
	})
	t.Run("latest", func(t *testing.T) {
		c := newDNF(t, baseurlRepoFile(t, p.site()+"/templates/latest/", p.tree()))
		checkList(t, c, debianPackages)
		// Nothing in the package stops a plain dnf from unpacking it, and nothing of it runs.
		out, code := c.run(t, "install", debianPackages[1])
		t.Logf("dnf install: exit %d\n%s", code, out)
		if code != 0 {
			t.Errorf("dnf install: exit %d", code)
		}
		// The install root has no accounts but root's.
		must(t, "rpm", "--root="+c.root, "--verify", "--nodeps", "--nouser", "--nogroup", debianPackages[1])
	})
	t.Run("000001", func(t *testing.T) {
		c := newDNF(t, baseurlRepoFile(t, p.site()+"/templates/000001/", p.tree()))
		checkList(t, c, debianPackages[:1])
		files[0] = keep(t, c.download(t, debianPackages[0]))
	})
	t.Run("image", func(t *testing.T) {
		for i, file := range files {
			if file == "" {
				t.Fatalf("release %d was not downloaded", i+1)
			}
			checkSignatures(t, file, p.tree())
			checkReaders(t, file, debianPackages[i])
			checkImage(t, file, filepath.Join(releases[i], "root.img"))
			checkSideFile(t, file, filepath.Join(releases[i], "template.conf"))
			log := filepath.Join(p.tree(), "packages", "qubes-template-debian-12-minimal", debianPackages[i]+".rpm.log.zst")
			pipe(t, `zstd -dc "$1" | cmp - "$2"`, log, filepath.Join(releases[i], "build.log"))
		}
	})
	t.Run("createrepo_c", func(t *testing.T) {
		checkCreaterepo(t, p.tree(), "templates/000002")
	})
	t.Run("zypper", func(t *testing.T) { checkZypper(t, p.site(), debianPackages) })
	t.Run("again", func(t *testing.T) {
		out := p.run(t, 0, "publish")
		if !regexp.MustCompile(`(?i)\bnothing (is )?(new|to publish)\b`).MatchString(out) {
			t.Error("publish does not say that nothing is new")
		}
		checkSame(t, "publish again", second, treeDigests(t, p.tree()))
	})
	t.Run("tampered", func(t *testing.T) { testTampered(t, p) })
}

// testTampered alters one bit at a time in a copy of the tree. Client and auditor have to refuse each, and to accept
// the copy once the bit is back.
func testTampered(t *testing.T, p project) {
	tree := filepath.Join(t.TempDir(), "public")
	must(t, "cp", "-a", p.tree(), tree)
	server := httptest.NewServer(http.FileServer(http.Dir(tree)))
	defer server.Close()
	download := func() (string, int) {
		// Keys come from the untouched tree, as a client's do that has had them for long.
		c := newDNF(t, baseurlRepoFile(t, server.URL+"/templates/000002/", p.tree()))
		return c.run(t, "install", "--downloadonly", "--destdir="+t.TempDir(), debianPackages[1])
	}

	for _, pattern := range []string{
		"packages/*/" + debianPackages[1] + ".rpm",
		"templates/000002/repodata/*-primary.xml.gz",
		"templates/000002/repodata/repomd.xml",
	} {
		found, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: found %v, %v", pattern, found, err)
		}
		flip(t, found[0])
		if out, code := download(); code == 0 {
			t.Errorf("dnf accepts a tampered %s\n%s", pattern, out)
		}
		if out := p.run(t, 3, "audit", tree, "-key="+p.key()); !strings.Contains(out, filepath.Base(found[0])) {
			t.Errorf("the audit does not name %s", found[0])
		}
		flip(t, found[0])
	}
	if out, code := download(); code != 0 {
		t.Errorf("dnf refuses the tree after the last bit was put back: exit %d\n%s", code, out)
	}
	p.run(t, 0, "audit", tree, "-key="+p.key())
}

func checkList(t *testing.T, c dnfClient, want []string) {
	t.Helper()
	if got := c.list(t); !slices.Equal(got, want) {
		t.Fatalf("dnf lists %q, want %q", got, want)
	}
}

// keep moves a download out of its subtest's folder.
func keep(t *testing.T, file string) string {
	t.Helper()
	kept := filepath.Join(scratch, filepath.Base(file))
	must(t, "mv", file, kept)
	return kept
}
