package rpmmd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestClientConfig(t *testing.T) {
	c := ClientConfig{
		Repository:     "templates",
		Name:           "Templates é",
		Site:           "https://example.org/pub",
		Serial:         17,
		Keys:           []string{"https://example.org/pub/keys/AA.asc", "https://example.org/pub/keys/BB.asc", "https://other.example.org/CC.asc"},
		MetadataExpire: 90 * time.Minute,
	}
	const want = `# For dnf: /etc/yum.repos.d/templates.repo, for zypper: /etc/zypp/repos.d/templates.repo
[templates]
name=Templates é
metalink=https://example.org/pub/templates/metalink
# Without metalink, the current state (clients may refuse it for a moment while it changes):
#baseurl=https://example.org/pub/templates/latest/
# Without metalink, one state for ever:
#baseurl=https://example.org/pub/templates/000017/
enabled=1
gpgcheck=1
repo_gpgcheck=1
skip_if_unavailable=0
autorefresh=1
gpgkey=https://example.org/pub/keys/AA.asc
       https://example.org/pub/keys/BB.asc
       https://other.example.org/CC.asc
metadata_expire=5400
`
	b, err := c.Marshal()
	if err != nil || string(b) != want {
		t.Fatalf("error %v, configuration\n%s", err, b)
	}

	// Both clients have to see every key.
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "etc/zypp/repos.d/templates.repo"), b)
	script := `import dnf
b = dnf.Base()
b.conf.reposdir = ["` + root + `/etc/zypp/repos.d"]
b.conf.config_file_path = ""
b.conf.substitutions["releasever"] = "1"
b.read_all_repos()
for r in b.repos.all():
    print(r.id, r.name, r.metalink, *r.gpgkey, list(r.baseurl), r.enabled, r.gpgcheck, r.repo_gpgcheck, r.skip_if_unavailable, r.metadata_expire)
`
	cmd := exec.Command("/usr/bin/python3", "-c", script)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	line := fmt.Sprintf("templates Templates é https://example.org/pub/templates/metalink %s [] True True True False 5400\n", strings.Join(c.Keys, " "))
	if err != nil || string(out) != line {
		t.Errorf("dnf is a peer of this test; ci/setup installs it: %v\n%s", err, out)
	}
	export := filepath.Join(root, "export.repo")
	if out, err := exec.Command("zypper", "--root", root, "lr", "--export", export).CombinedOutput(); err != nil {
		t.Fatalf("zypper is a peer of this test; ci/setup installs it: %v\n%s", err, out)
	}
	seen, err := os.ReadFile(export)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"autorefresh=1", "\ngpgcheck=1", "repo_gpgcheck=1", "metalink=https://example.org/pub/templates/metalink", strings.Join(c.Keys, "\n       ")} {
		if !strings.Contains(string(seen), s) {
			t.Errorf("zypper did not read %q:\n%s", s, seen)
		}
	}
}

func TestClientConfigRefuses(t *testing.T) {
	good := ClientConfig{Repository: "t", Site: "https://h", Keys: []string{"https://h/k"}}
	if _, err := good.Marshal(); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(c *ClientConfig){
		"section":    func(c *ClientConfig) { c.Repository = "a]\n[b" },
		"no section": func(c *ClientConfig) { c.Repository = "" },
		"name":       func(c *ClientConfig) { c.Name = "a\nenabled=0" },
		"site":       func(c *ClientConfig) { c.Site = "https://h/" },
		"relative":   func(c *ClientConfig) { c.Site = "h" },
		"two sites":  func(c *ClientConfig) { c.Site = "https://h https://i" },
		"no key":     func(c *ClientConfig) { c.Keys = nil },
		"two keys":   func(c *ClientConfig) { c.Keys = []string{"https://h/a,https://h/b"} },
		"variable":   func(c *ClientConfig) { c.Keys = []string{"https://h/$releasever"} },
		"serial":     func(c *ClientConfig) { c.Serial = 1_000_000 },
		"expiry":     func(c *ClientConfig) { c.MetadataExpire = time.Millisecond },
	} {
		c := good
		change(&c)
		if b, err := c.Marshal(); err == nil {
			t.Errorf("%s: accepted\n%s", what, b)
		}
	}
}
