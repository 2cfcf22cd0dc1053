package disk

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// childVariable makes the test binary, started again by a test, play the part of another process.
const childVariable = "COLOPHON_DISK_TEST_CHILD"

var children = map[string]func(path string) int{"lock": childLock}

func TestMain(m *testing.M) {
	if part, path, ok := strings.Cut(os.Getenv(childVariable), ":"); ok {
		os.Exit(children[part](path))
	}
	os.Exit(m.Run())
}

func child(t *testing.T, part, path string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary)
	command.Env = append(os.Environ(), childVariable+"="+part+":"+path)
	command.Stderr = os.Stderr
	return command
}

// childLock holds the lock until its input ends.
func childLock(path string) int {
	if _, err := (Disk{}).Lock(path); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	os.Stdout.WriteString("locked\n")
	io.Copy(io.Discard, os.Stdin)
	return 0 // without Close: the kernel releases it
}

func TestLockOfAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history", "lock")
	other := child(t, "lock", path)
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Process.Kill()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	_, err = Disk{}.Lock(path)
	var locked *LockedError
	if !errors.As(err, &locked) || !errors.Is(err, ErrLocked) || locked.PID != other.Process.Pid {
		t.Fatalf("got %v, want the pid %d", err, other.Process.Pid)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (Disk{}).LockWait(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting: %v", err)
	}
	stdin.Close()
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	lock, err := Disk{}.LockWait(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || len(data) != 0 {
		t.Errorf("the lock file holds %q, %v", data, err)
	}
}

func TestLockExcludesGoroutines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "lock")
	var inside atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				lock, err := Disk{}.LockWait(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if inside.Add(1) != 1 {
					t.Error("two inside")
				}
				inside.Add(-1)
				lock.Close()
			}
		})
	}
	group.Wait()
}

func TestLockNotThroughALink(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "precious")
	if err := os.WriteFile(target, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := (Disk{}).Lock(filepath.Join(dir, "lock")); err == nil {
		t.Error("locked through a symbolic link")
	}
	if data, _ := os.ReadFile(target); string(data) != "x" {
		t.Errorf("the target holds %q", data)
	}
}
