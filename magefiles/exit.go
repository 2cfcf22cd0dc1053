//go:build mage

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"colophon/mirror"
	"colophon/pack"
	"colophon/publish"
	"colophon/publish/audit"
	"colophon/publish/sign"
	"colophon/publish/store"
)

// Exit codes. Mage itself uses 1 and 2 in the same sense.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitDiscrepancy = 3
	exitUnreachable = 4
	exitOvertaken   = 5
)

// exitCode is the one table from errors to exit codes.
func exitCode(err error) int {
	switch {
	case is[*pack.InputError](err), is[*sign.KeyError](err), is[*mirror.FormatError](err),
		is[*store.ForeignError](err), is[*store.ClaimedError](err):
		return exitUsage
	case errors.Is(err, errDiscrepancy):
		return exitDiscrepancy
	case is[*store.UnreachableError](err):
		return exitUnreachable
	case errors.Is(err, publish.ErrOvertaken):
		return exitOvertaken
	}
	return exitFailed
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// hint says what to do about an error: what its author says, or what is true of
// its cause wherever it comes from.
func hint(err error) string {
	var h interface{ Hint() string }
	switch {
	case errors.As(err, &h):
		return h.Hint()
	case errors.Is(err, publish.ErrOvertaken):
		return "bring this history up to date with what was published, then run the same command again"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some space and run the same command again"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EROFS):
		return "check the owner and mode of that folder"
	case errors.Is(err, context.Canceled):
		return "run the same command again to go on"
	}
	return "run the same command again; if it fails again, please report it"
}

// exit ends the program when there was an error. It is the last call of a
// target: everything deferred below it is done.
func exit(err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "error: %s\nhint: %s\n", oneLine(err), hint(err))
	os.Exit(exitCode(err))
}

// oneLine keeps a message to its promise.
func oneLine(err error) string {
	text := []byte(err.Error())
	for i, c := range text {
		if c == '\n' {
			text[i] = ';'
		}
	}
	return string(text)
}

var errDiscrepancy = errors.New("the tree is not what the ledger says")

// print writes a result to stdout and ends the program.
func print(result fmt.Stringer, asJSON *bool, err error) {
	if err != nil {
		exit(err)
	}
	if value(asJSON) {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		err = e.Encode(result)
	} else {
		_, err = fmt.Print(result)
	}
	exit(err)
	if r, ok := result.(*audit.Report); ok && len(r.Discrepancies) > 0 {
		os.Exit(exitDiscrepancy)
	}
}
