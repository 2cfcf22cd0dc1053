package ci

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The real program on good and bad input: what it prints, how it exits, and
// that a failed run leaves everything as it was. Scripts start in an empty
// folder with the sample template's files and a colophon.yaml.
func TestCommands(t *testing.T) {
	program, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(program)+string(filepath.ListSeparator)+os.Getenv("PATH"))
			if err := os.CopyFS(filepath.Join(e.WorkDir, "sample"), os.DirFS("../examples/sample")); err != nil {
				return err
			}
			config, err := os.ReadFile("../colophon.yaml")
			if err != nil {
				return err
			}
			text := strings.Replace(string(config), "examples/sample/", "sample/", 1)
			return os.WriteFile(filepath.Join(e.WorkDir, "colophon.yaml"), []byte(text), 0o644)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code": scriptCode, "digests": scriptDigests, "replace": scriptReplace, "tmpfs": scriptTmpfs, "fill": scriptFill,
		},
	})
}

// code N COMMAND ARGS... runs a command and wants its exit code to be N.
func scriptCode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if errors := strings.Count(ts.ReadFile("stderr"), "error: "); want != 0 && want != 3 && errors != 1 {
		ts.Fatalf("%d error lines", errors)
	}
}

// digests OUT PATHS... writes name and digest of every file below the paths to
// OUT; a path that is missing counts as empty. Locks are not content.
func scriptDigests(ts *testscript.TestScript, _ bool, args []string) {
	var lines []string
	for _, root := range args[1:] {
		err := filepath.WalkDir(ts.MkAbs(root), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && (d.IsDir() || strings.HasSuffix(path, "lock")) {
				return nil
			}
			data, err := os.ReadFile(path)
			lines = append(lines, fmt.Sprintf("%s %x\n", path, sha256.Sum256(data)))
			return err
		})
		ts.Check(err)
	}
	sort.Strings(lines)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines, "")), 0o644))
}

// replace FILE OLD NEW replaces text that must be there.
func scriptReplace(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%q is not in %s", args[1], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o644))
}

// tmpfs DIR SIZE mounts a small disk until the script ends; it needs root.
func scriptTmpfs(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+args[1], "tmpfs", dir).CombinedOutput(); err != nil {
		ts.Fatalf("mount: %v (the tests need root)\n%s", err, out)
	}
	ts.Defer(func() { exec.Command("umount", "-l", dir).Run() })
}

// fill FILE writes zeros until the disk is full but for some KiB.
func scriptFill(ts *testscript.TestScript, _ bool, args []string) {
	keep, err := strconv.Atoi(args[1])
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	block := make([]byte, 4096)
	size := int64(0)
	for err == nil {
		var n int
		n, err = f.Write(block)
		size += int64(n)
	}
	ts.Check(f.Truncate(max(0, size-int64(keep)<<10)))
}
