//go:build mage

package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"
)

// reporter shows steps on stderr: one line that is rewritten on a terminal,
// plain lines elsewhere.
type reporter struct {
	terminal bool
	started  time.Time // of the progress being shown
	text     string
	shown    time.Time
}

func newReporter() *reporter {
	return &reporter{terminal: term.IsTerminal(int(os.Stderr.Fd()))}
}

// How often progress is shown.
const (
	terminalEvery = 100 * time.Millisecond
	plainEvery    = 10 * time.Second
)

// Step implements publish.Reporter.
func (r *reporter) Step(text string) {
	r.clear()
	fmt.Fprintln(os.Stderr, text)
}

// Progress implements publish.Reporter.
func (r *reporter) Progress(text string, done, total int64) {
	now := time.Now()
	if r.text != text {
		r.text, r.started, r.shown = text, now, now
	}
	every := plainEvery
	if r.terminal {
		every = terminalEvery
	}
	if now.Sub(r.shown) < every {
		return
	}
	r.shown = now
	rate := float64(done) / now.Sub(r.started).Seconds() / 1e6
	line := fmt.Sprintf("%s  %3d %% of %.0f MB, %.0f MB/s", text, done*100/max(total, 1), float64(total)/1e6, rate)
	if r.terminal {
		fmt.Fprintf(os.Stderr, "\r\033[K%s", line)
	} else {
		fmt.Fprintln(os.Stderr, line)
	}
	if done >= total {
		r.clear()
	}
}

func (r *reporter) clear() {
	if r.terminal {
		fmt.Fprint(os.Stderr, "\r\033[K")
	}
}
