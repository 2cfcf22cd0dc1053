//go:build linux

package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDiskFull writes to a tmpfs of 256 KiB, mounted in a mount namespace of a child process, so that nothing of it
// is left whatever happens. It needs root, or a kernel that lets users make namespaces.
func TestDiskFull(t *testing.T) {
	command := child(t, "full", t.TempDir())
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	output := new(strings.Builder)
	command.Stdout, command.Stderr = output, output
	if err := command.Run(); err != nil {
		t.Fatalf("this test mounts a small tmpfs and needs root or user namespaces for it: %v\n%s", err, output)
	}
}

func init() { children["full"] = childFull }

func childFull(dir string) int {
	if err := full(dir); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func full(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	path := filepath.Join(dir, "file")
	var d Disk
	if err := d.Replace(path, []byte("old"), 0); err != nil {
		return err
	}
	if free, err := d.Free(filepath.Join(dir, "new")); err != nil || free > 256<<10 {
		return fmt.Errorf("free is %d, %v", free, err)
	}
	big := strings.Repeat("x", 1<<20)
	for _, form := range []string{"bytes", "stream", "staged elsewhere"} {
		for _, target := range []string{path, filepath.Join(dir, "new", "folder", "file")} {
			err := write(form, d, Replacing, dir, target, big)
			if !errors.Is(err, syscall.ENOSPC) {
				return fmt.Errorf("%s: got %v, want ENOSPC", form, err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 {
				return fmt.Errorf("%s: left %v, %v", form, entries, err)
			}
			if data, err := os.ReadFile(path); err != nil || string(data) != "old" {
				return fmt.Errorf("%s: the old file holds %d bytes, %v", form, len(data), err)
			}
		}
	}
	return nil
}
