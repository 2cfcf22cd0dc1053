package pack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"colophon/pack/openpgp"
)

// The test binary packs, and does nothing else, when it is told so: other
// processes, users and builds are what the matrix below is about.
const (
	childSource = "PACK_CHILD_SOURCE" // template.yaml or nfpm.yaml
	childKey    = "PACK_CHILD_KEY"
	childUmask  = "PACK_CHILD_UMASK"
	childHost   = "PACK_CHILD_HOST"
	childOut    = "PACK_CHILD_OUT" // file; memory when it is not said
)

func TestMain(m *testing.M) {
	if os.Getenv(childSource) == "" {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child packs each source of a list, and prints the packages' digests and where
// they were made.
func child() error {
	var umask int
	if _, err := fmt.Sscanf(os.Getenv(childUmask), "%o", &umask); err == nil {
		syscall.Umask(umask)
	}
	if name := os.Getenv(childHost); name != "" {
		if err := unix.Sethostname([]byte(name)); err != nil {
			return err
		}
	}
	armor, err := os.ReadFile(os.Getenv(childKey))
	if err != nil {
		return err
	}
	key, err := openpgp.Read(armor)
	if err != nil {
		return err
	}
	for _, path := range filepath.SplitList(os.Getenv(childSource)) {
		digest, err := childPack(path, key)
		if err != nil {
			return err
		}
		fmt.Print(digest, " ")
	}
	host, err := os.Hostname()
	fmt.Println("on", runtime.GOARCH, host, os.Getuid())
	return err
}

func childPack(path string, key *openpgp.Key) (string, error) {
	var source Source
	var err error
	if filepath.Base(path) == "nfpm.yaml" {
		source, err = LoadNFPM(path)
	} else {
		source, err = LoadDefinition(path)
	}
	if err != nil {
		return "", err
	}
	var out Output = &memory{}
	if path := os.Getenv(childOut); path != "" {
		f, err := os.Create(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		out = f
	}
	r, err := Pack(context.Background(), source, out, Options{
		Sign: func(_ context.Context, header []byte, at time.Time) ([]byte, error) { return key.Sign(header, at) },
	})
	if err != nil {
		return "", err
	}
	return r.Digests.File, nil
}

// matrix is a folder that everybody may read, with two sources in it.
type matrix struct {
	dir, key string
	sources  string // a list
}

func newMatrix(t *testing.T) matrix {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != filepath.Clean(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	armor, err := fixedKey.PrivateArmor()
	if err != nil {
		t.Fatal(err)
	}
	m := matrix{dir, writeFile(t, dir+"/key", armor), dir + "/template.yaml" + string(filepath.ListSeparator) + dir + "/nfpm.yaml"}
	writeFile(t, dir+"/root.img", testImage(11))
	writeFile(t, dir+"/template.conf", []byte("virt-mode=pvh\n"))
	writeFile(t, dir+"/appmenus.list", nil)
	writeFile(t, dir+"/template.yaml", []byte(definitionText))
	writeRelease(t, dir)
	return m
}

// run packs the sources in another process.
func (m matrix) run(t *testing.T, program string, adjust func(*exec.Cmd), environment ...string) (digests, where string) {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), append([]string{childSource + "=" + m.sources, childKey + "=" + m.key}, environment...)...)
	if adjust != nil {
		adjust(cmd)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", environment, err, stderr.Bytes())
	}
	digests, where, _ = strings.Cut(string(out), " on ")
	return digests, where
}

// One digest for one input, whoever packs it where.
func TestPackIsTheSameEverywhere(t *testing.T) {
	m := newMatrix(t)
	self := m.copyOf(t, os.Args[0])
	want, where := m.run(t, self, nil)
	if strings.Count(want, " ") != 1 {
		t.Fatalf("two packages have the digests %q", want)
	}
	check := func(name, notWhere string, adjust func(*exec.Cmd), environment ...string) {
		t.Helper()
		got, there := m.run(t, self, adjust, environment...)
		if got != want {
			t.Errorf("%s with %s: %s, elsewhere %s", name, environment, got, want)
		}
		if notWhere != "" && there == notWhere {
			t.Errorf("%s: it ran on %s all the same", name, there)
		}
	}
	check("time zone, locale, umask, environment", "", nil, "TZ=Pacific/Kiritimati", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8",
		childUmask+"=0077", "HOME=/nowhere", "USER=somebody", "SOURCE_DATE_EPOCH=1", "VERSION=9")
	for n := 1; n <= 4; n++ {
		check("cores", "", nil, fmt.Sprintf("GOMAXPROCS=%d", n))
	}
	// In another folder, by other paths.
	var relative []string
	for _, source := range filepath.SplitList(m.sources) {
		r, err := filepath.Rel(os.TempDir(), source)
		if err != nil {
			t.Fatal(err)
		}
		relative = append(relative, r)
	}
	check("relative path", "", func(c *exec.Cmd) { c.Dir = os.TempDir() }, childSource+"="+strings.Join(relative, string(filepath.ListSeparator)))
	if os.Getuid() == 0 {
		check("user", where, func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		})
		check("host name", where, func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUTS}
		}, childHost+"=elsewhere")
	}
	for _, name := range []string{"root.img", "template.conf", "example.repo", "keys/example.asc"} {
		if err := os.Chtimes(filepath.Join(m.dir, name), created, created); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(m.dir, name), 0o604); err != nil {
			t.Fatal(err)
		}
	}
	check("file times and modes", "", nil)
}

// One digest for one input, whatever the packer was built for.
func TestPackIsTheSameInEveryBuild(t *testing.T) {
	m := newMatrix(t)
	want, where := m.run(t, m.copyOf(t, os.Args[0]), nil)
	for name, environment := range map[string][]string{
		"386":           {"GOARCH=386", "CGO_ENABLED=0"},
		"no assembly":   {"GOFLAGS=-tags=noasm,purego"},
		"no C compiler": {"CGO_ENABLED=0"},
	} {
		if name == "386" && runtime.GOARCH != "amd64" {
			t.Logf("%s cannot run 386 programs", runtime.GOARCH)
			continue
		}
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(m.dir, strings.ReplaceAll(name, " ", "-"))
			build := exec.Command("go", "test", "-c", "-o", program, ".")
			build.Env = append(os.Environ(), environment...)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			got, there := m.run(t, program, nil)
			if got != want {
				t.Errorf("%s, in this build %s", got, want)
			}
			if name == "386" && there == where {
				t.Errorf("it ran on %s", there)
			}
			if name != "no C compiler" {
				return
			}
			text := strings.Replace(definitionText, "{frame: 64KiB}", "{codec: libzstd}", 1)
			cmd := exec.Command(program)
			cmd.Env = append(os.Environ(), childSource+"="+writeFile(t, m.dir+"/lib.yaml", []byte(text)), childKey+"="+m.key)
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "built without cgo") {
				t.Errorf("libzstd without cgo: %v, %s", err, out)
			}
		})
	}
}

// copyOf makes a program that any user may run.
func (m matrix) copyOf(t *testing.T, program string) string {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	to := writeFile(t, filepath.Join(m.dir, "self"), data)
	if err := os.Chmod(to, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}
