// Bench measures what the project promises about speed, size and memory, each
// against a named peer in the same run. Run it by: go tool mage bench.
//
// Every measured step is a process of its own, for its peak memory; short ones
// run three times, and the median of time stands in the table. Two cores are
// enough; nothing else should run meanwhile.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// run is one measured process.
type run struct {
	Seconds float64 // wall
	Memory  int64   // peak resident, in bytes
	Size    int64   // of the package it made, in bytes
	Frames  int
	Reused  int
}

// row is one line of the table.
type row struct {
	what, goal string
	peer, ours run
	value      string // what the goal speaks of
}

func main() {
	if err := bench(); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\nhint: run ci/setup first, as root\n", err)
		os.Exit(1)
	}
}

func bench() error {
	if len(os.Args) > 2 && os.Args[1] == "pack" {
		return packOne(os.Args[2:])
	}
	dir, err := os.MkdirTemp("", "colophon-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(os.Stderr, "build two releases of the Debian example")
	var images [2]string
	for i := range images {
		out := filepath.Join(dir, fmt.Sprint("release", i+1))
		cmd := exec.Command("examples/debian-12-minimal/build", fmt.Sprint(i+1), out)
		cmd.Env = append(os.Environ(), "DEBIAN_CACHE="+cache(dir))
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build release %d: %w\n%s", i+1, err, text)
		}
		images[i] = filepath.Join(out, "root.img")
	}
	b := &benchmark{dir: dir, images: images}
	for _, step := range []func() error{b.memory, b.fast, b.best, b.sparse} {
		if err := step(); err != nil {
			return err
		}
	}
	b.print()
	return nil
}

// cache keeps the download of the Debian packages where the user says.
func cache(dir string) string {
	if c := os.Getenv("DEBIAN_CACHE"); c != "" {
		return c
	}
	return filepath.Join(dir, "cache")
}

// measure runs a command and reads what it used. A command of ours prints its
// own result as JSON.
func measure(cmd *exec.Cmd) (run, error) {
	var r run
	start := time.Now()
	out, err := cmd.Output()
	seconds := time.Since(start).Seconds()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		return r, fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	if json.Unmarshal(out, &r) != nil {
		r = run{}
	}
	r.Seconds = seconds
	r.Memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	return r, nil
}

// median measures some times and takes the run of median time.
func median(times int, command func() *exec.Cmd) (run, error) {
	var list []run
	for range times {
		r, err := measure(command())
		if err != nil {
			return r, err
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b run) int {
		if a.Seconds < b.Seconds {
			return -1
		}
		return 1
	})
	return list[len(list)/2], nil
}

type benchmark struct {
	dir    string
	images [2]string
	rows   []row
}

func (b *benchmark) add(r row) {
	b.rows = append(b.rows, r)
	fmt.Fprintf(os.Stderr, "%s: %s\n", r.what, r.value)
}

func (b *benchmark) print() {
	fmt.Println("| what | peer: s, MiB, package MB | ours: s, MiB, package MB | result | goal |")
	fmt.Println("|---|---|---|---|---|")
	cell := func(r run) string {
		if r.Seconds == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f, %d, %.1f", r.Seconds, r.Memory>>20, float64(r.Size)/1e6)
	}
	for _, r := range b.rows {
		fmt.Println("| " + strings.Join([]string{r.what, cell(r.peer), cell(r.ours), r.value, r.goal}, " | ") + " |")
	}
}
