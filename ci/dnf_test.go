package ci

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A dnfClient is one machine that has never seen the repository: its own install root, configuration, cache and keys.
type dnfClient struct {
	root  string
	repos string
}

func newDNF(t *testing.T, repoFile string) dnfClient {
	t.Helper()
	dir := t.TempDir()
	c := dnfClient{root: filepath.Join(dir, "root"), repos: filepath.Join(dir, "repos")}
	for _, d := range []string{c.root, c.repos} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		filepath.Join(c.repos, "templates.repo"): repoFile,
		filepath.Join(dir, "dnf.conf"):           "[main]\ngpgcheck=1\nrepo_gpgcheck=1\nplugins=0\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// run returns what dnf printed and its exit code.
func (c dnfClient) run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	args = append([]string{
		"--config=" + filepath.Join(filepath.Dir(c.root), "dnf.conf"), "--installroot=" + c.root,
		"--setopt=reposdir=" + c.repos, "--releasever=4.3", "--refresh", "-y",
	}, args...)
	return runCommand(t, exec.Command("dnf", args...))
}

// list returns the packages that the client sees, sorted.
func (c dnfClient) list(t *testing.T) []string {
	t.Helper()
	out, code := c.run(t, "-q", "repoquery", "--available", "--qf", "package %{name}-%{version}-%{release}.%{arch}")
	if code != 0 {
		t.Fatalf("dnf repoquery: exit %d\n%s", code, out)
	}
	var packages []string
	for line := range strings.Lines(out) {
		// Messages about imported keys stand between the lines.
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "package "); ok {
			packages = append(packages, p)
		}
	}
	slices.Sort(packages)
	return packages
}

// download has dnf fetch and check one package and returns its file.
func (c dnfClient) download(t *testing.T, nvra string) string {
	t.Helper()
	dir := t.TempDir()
	out, code := c.run(t, "install", "--downloadonly", "--destdir="+dir, nvra)
	t.Logf("dnf install --downloadonly %s: exit %d\n%s", nvra, code, out)
	file := filepath.Join(dir, nvra+".rpm")
	if _, err := os.Stat(file); code != 0 || err != nil {
		t.Fatalf("dnf did not download %s: exit %d, %v", nvra, code, err)
	}
	return file
}

// servedRepoFile gets the ready-made client configuration from the site.
func servedRepoFile(t *testing.T, site string) string {
	t.Helper()
	response, err := http.Get(site + "/templates/templates.repo")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("templates.repo: %s, %v", response.Status, err)
	}
	return string(text)
}

// checkRepoFile wants the settings without which a client would accept unsigned data or go on without the repository.
func checkRepoFile(t *testing.T, text string) {
	t.Helper()
	for _, want := range []string{"gpgcheck=1", "repo_gpgcheck=1", "skip_if_unavailable=0", "metalink=", "gpgkey="} {
		if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("templates.repo has no line %s\n%s", want, text)
		}
	}
}

// baseurlRepoFile is the configuration of a client that takes one fixed folder instead of the metalink. The keys come
// from the folder that the publisher wrote.
func baseurlRepoFile(t *testing.T, baseurl, tree string) string {
	t.Helper()
	keys, err := filepath.Glob(filepath.Join(tree, "keys", "*.asc"))
	if err != nil || len(keys) == 0 {
		t.Fatalf("no keys in %s: %v", tree, err)
	}
	return fmt.Sprintf("[templates]\nname=Templates\nbaseurl=%s\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\n"+
		"skip_if_unavailable=0\ngpgkey=file://%s\n", baseurl, strings.Join(keys, " file://"))
}
