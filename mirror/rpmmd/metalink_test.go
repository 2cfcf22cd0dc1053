package rpmmd

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func testMetalink() Metalink {
	return Metalink{
		Revision: testRevision,
		Repomd:   Digest{strings.Repeat("0a", 32), 1234},
		URLs: []string{
			"https://a.example.org/t/000001/repodata/repomd.xml",
			"http://b.example.org:8080/x%20y/repodata/repomd.xml",
			"file:///srv/t/000001/repodata/repomd.xml",
		},
	}
}

func TestMetalink(t *testing.T) {
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" xmlns:mm0="http://fedorahosted.org/mirrormanager" type="dynamic" pubdate="Tue, 14 Nov 2023 22:13:20 GMT" generator="colophon">
  <files>
    <file name="repomd.xml">
      <mm0:timestamp>1700000000</mm0:timestamp>
      <size>1234</size>
      <verification>
        <hash type="sha256">0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a</hash>
      </verification>
      <resources maxconnections="1">
        <url protocol="https" type="https" preference="100">https://a.example.org/t/000001/repodata/repomd.xml</url>
        <url protocol="http" type="http" preference="99">http://b.example.org:8080/x%20y/repodata/repomd.xml</url>
        <url protocol="file" type="file" preference="98">file:///srv/t/000001/repodata/repomd.xml</url>
      </resources>
    </file>
  </files>
</metalink>
`
	m := testMetalink()
	b, err := m.Marshal()
	if err != nil || string(b) != want {
		t.Fatalf("error %v, metalink\n%s", err, b)
	}
	back, err := ParseMetalink(b)
	if err != nil || back.Revision != m.Revision || back.Repomd != m.Repomd || !slices.Equal(back.URLs, m.URLs) {
		t.Errorf("came back as %+v, %v", back, err)
	}
}

func TestMetalinkRefuses(t *testing.T) {
	for _, u := range []string{
		"", "t/repodata/repomd.xml", "/t/repodata/repomd.xml", "//h/repodata/repomd.xml", "ftp://h/repodata/repomd.xml",
		"https:///repodata/repomd.xml", "file://host/repodata/repomd.xml", "https://u:p@h/repodata/repomd.xml",
		"https://h/repodata/repomd.xml?x", "https://h/repodata/repomd.xml?", "https://h/repodata/repomd.xml#", "https://h/repomd.xml",
		"https://h/a/../repodata/repomd.xml", "https://h/%2e%2e/repodata/repomd.xml", "https://h/a b/repodata/repomd.xml", " https://h/repodata/repomd.xml", "https://h/\n/repodata/repomd.xml",
		"HTTPS://h/repodata/repomd.xml",
	} {
		m := testMetalink()
		m.URLs = []string{u}
		if b, err := m.Marshal(); err == nil {
			t.Errorf("address %q was accepted:\n%s", u, b)
		}
	}
	for what, change := range map[string]func(m *Metalink){
		"no address": func(m *Metalink) { m.URLs = nil },
		"addresses":  func(m *Metalink) { m.URLs = slices.Repeat(m.URLs, 34) },
		"long": func(m *Metalink) {
			m.URLs = []string{"https://h/" + strings.Repeat("x", maxPointer) + "/repodata/repomd.xml"}
		},
		"revision": func(m *Metalink) { m.Revision = 0 },
		"digest":   func(m *Metalink) { m.Repomd.SHA256 = "x" },
		"size":     func(m *Metalink) { m.Repomd.Size = 0 },
	} {
		m := testMetalink()
		change(&m)
		if _, err := m.Marshal(); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	b, err := testMetalink().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for what, bad := range map[string]string{
		"empty":          "",
		"pubdate":        strings.Replace(good, "Tue, 14", "Wed, 14", 1),
		"second file":    strings.Replace(good, "  </files>", `  <file name="x"></file></files>`, 1),
		"second hash":    strings.Replace(good, "      </verification>", `        <hash type="md5">0</hash>`+"\n      </verification>", 1),
		"preference":     strings.Replace(good, `preference="100"`, `preference="10"`, 1),
		"other protocol": strings.Replace(good, `protocol="https"`, `protocol="http"`, 1),
		"alternates":     strings.Replace(good, "      <verification>", "      <mm0:alternates/>\n      <verification>", 1),
		"behind the end": good + "x",
		"large":          good + strings.Repeat("\n", maxPointer),
	} {
		_, err := ParseMetalink([]byte(bad))
		if err == nil || what == "large" && !strings.Contains(err.Error(), "at most") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

func FuzzParseMetalink(f *testing.F) {
	b, err := testMetalink().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMetalink(b)
		if err != nil {
			return
		}
		if again, err := m.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted bytes are not what the values encode to: %v", err)
		}
	})
}

// TestClients has dnf and zypper read a repository through its metalink and its
// client configuration, without signatures. dnf refuses bytes that the metalink
// does not name.
func TestClients(t *testing.T) {
	fragment, err := NewFragment(input(t, newHandmade("hello").bytes()))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Build([]Fragment{fragment}, testRevision)
	if err != nil {
		t.Fatal(err)
	}
	tree := map[string][]byte{"/t/000001/repodata/repomd.xml": m.Repomd}
	for _, f := range m.Files {
		tree["/t/000001/repodata/"+f.Name] = f.Data
	}
	var mu sync.Mutex // guards tree
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		b, ok := tree[r.URL.Path]
		mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(b)
	}))
	defer server.Close()
	head := func(d Digest) {
		b, err := Metalink{testRevision, d, []string{
			"http://127.0.0.1:1/dead/repodata/repomd.xml", server.URL + "/t/000001/repodata/repomd.xml",
		}}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		tree["/t/metalink"] = b
		mu.Unlock()
	}
	head(m.Summary.Repomd)
	config, err := ClientConfig{Repository: "t", Site: server.URL, Keys: []string{"http://127.0.0.1:1/key"}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.ReplaceAll(config, []byte("gpgcheck=1"), []byte("gpgcheck=0"))

	repos := t.TempDir()
	writeFile(t, filepath.Join(repos, "t.repo"), config)
	writeFile(t, filepath.Join(repos, "dnf.conf"), nil)
	dnf := func() (string, error) {
		cmd := exec.Command("dnf", "--config="+filepath.Join(repos, "dnf.conf"), "--setopt=reposdir="+repos, "--setopt=cachedir="+t.TempDir(),
			"--setopt=logdir="+t.TempDir(), "--setopt=plugins=0", "--releasever=1", "--installroot="+t.TempDir(), "--quiet",
			"repoquery", "--qf=%{name} %{evr} %{location} %{buildtime}")
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := dnf()
	if err != nil || !strings.Contains(out, "hello 1-1 ../../packages/hello/hello-1-1.noarch.rpm ") {
		t.Errorf("dnf is a peer of this test; ci/setup installs it: %v\n%s", err, out)
	}
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "etc/zypp/repos.d/t.repo"), config)
	zypper := exec.Command("zypper", "--root", root, "--non-interactive", "--no-gpg-checks", "search", "--details", "hello")
	zypper.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if b, err := zypper.CombinedOutput(); err != nil || !bytes.Contains(b, []byte("| 1-1 ")) {
		t.Errorf("zypper is a peer of this test; ci/setup installs it: %v\n%s", err, b)
	}
	head(DigestOf([]byte("another repomd.xml")))
	if out, err := dnf(); err == nil || !strings.Contains(out, "repomd.xml") {
		t.Errorf("dnf took a repomd.xml that the metalink does not name: %v\n%s", err, out)
	}
}

func writeFile(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o666); err != nil {
		t.Fatal(err)
	}
}
