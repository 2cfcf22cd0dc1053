package ci

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// scratch holds what all tests of one run share: the compiled program and the Debian images.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "colophon-ci-"); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// top returns the folder of the module.
func top(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// compiled is the program as it is shipped. It is compiled once: mage writes its main file into magefiles/, and two
// of it at once in one checkout get in each other's way.
var compiled = sync.OnceValues(func() (string, error) {
	program := filepath.Join(scratch, "colophon")
	cmd := exec.Command("go", "tool", "mage", "-compile", program)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go tool mage -compile: %w\n%s", err, out)
	}
	return program, nil
})

// A project is a publisher's folder: configuration, keys, history and public tree, all outside of the source.
type project struct {
	dir     string
	address string // host:port of serve, and of site.url
	program string
}

func newProject(t *testing.T) project {
	t.Helper()
	program, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	// Ask the system for a port that is free, then leave it to the program.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return project{dir: t.TempDir(), address: listener.Addr().String(), program: program}
}

func (p project) tree() string { return filepath.Join(p.dir, "public") }
func (p project) key() string  { return filepath.Join(p.tree(), "ledger", "key.vkey") }
func (p project) site() string { return "http://" + p.address }

// configure writes the project's colophon.yaml with these templates.
func (p project) configure(t *testing.T, templates ...string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "site:\n  name: End-to-end test\n  url: %q\n", p.site())
	fmt.Fprintf(&b, "store: %q\nhistory: %q\n", "file:"+p.tree(), filepath.Join(p.dir, "history"))
	fmt.Fprintf(&b, "keys:\n  generate: true\n  folder: %q\n", filepath.Join(p.dir, ".keys"))
	fmt.Fprintf(&b, "repositories:\n  - name: templates\ntemplates:\n")
	for _, template := range templates {
		fmt.Fprintf(&b, "  - %q\n", template)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "colophon.yaml"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// command prepares a run of the program away from the source, with nothing in the environment that it does not need.
func (p project) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.program, args...)
	cmd.Dir = p.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "COLOPHON_CONFIG=" + filepath.Join(p.dir, "colophon.yaml"),
	}
	return cmd
}

// run runs the program, wants this exit code, and returns what it printed.
func (p project) run(t *testing.T, exit int, args ...string) string {
	t.Helper()
	start := time.Now()
	out, code := runCommand(t, p.command(args...))
	t.Logf("colophon %s: exit %d after %s\n%s", args[0], code, time.Since(start).Round(time.Millisecond), out)
	if code != exit {
		t.Fatalf("colophon %s: exit %d, want %d", strings.Join(args, " "), code, exit)
	}
	return out
}

// serve serves the public tree until the test ends.
func (p project) serve(t *testing.T) {
	t.Helper()
	cmd := p.command("serve", "-address="+p.address)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			t.Error("serve does not end on SIGTERM")
			cmd.Process.Kill()
			<-ended
		}
	})
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("serve ended: %v\n%s", err, out.String())
		default:
		}
		if response, err := http.Get(p.site() + "/templates/metalink"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatalf("%s does not answer", p.site())
}

// runCommand returns the output and the exit code; a program that cannot be started is a failure of the test.
func runCommand(t *testing.T, cmd *exec.Cmd) (string, int) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v\nhint: run ci/setup", err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// must runs a command that has to succeed and returns its output.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, code := runCommand(t, exec.Command(name, args...))
	if code != 0 {
		t.Fatalf("%s %s: exit %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}
