//go:build mage

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"colophon/mirror"
	"colophon/mirror/disk"
	"colophon/pack"
	"colophon/publish"
	"colophon/publish/sign"
	"colophon/publish/store"
)

func TestExitCodes(t *testing.T) {
	for want, list := range map[int][]error{
		exitFailed:      {errors.New("x"), context.Canceled, syscall.ENOSPC, &disk.LockedError{}, &publish.SpaceError{}, &publish.ForkError{}, &publish.VerifyError{}},
		exitUsage:       {&pack.InputError{}, &sign.KeyError{}, &mirror.FormatError{}, &store.ForeignError{}, &store.ClaimedError{}},
		exitDiscrepancy: {errDiscrepancy},
		exitUnreachable: {&store.UnreachableError{Err: errors.New("x")}},
		exitOvertaken:   {publish.ErrOvertaken},
	} {
		for _, err := range list {
			if _, isVerify := err.(*publish.VerifyError); isVerify {
				continue // has no message without findings
			}
			wrapped := fmt.Errorf("step: %w", errors.Join(err, errors.New("and cleanup")))
			if got := exitCode(wrapped); got != want {
				t.Errorf("%T: exit code %d, want %d", err, got, want)
			}
			if oneLine(wrapped) == "" || strings.Contains(oneLine(wrapped), "\n") {
				t.Errorf("%T: message %q", err, oneLine(wrapped))
			}
		}
	}
	if hint(fmt.Errorf("write: %w", syscall.ENOSPC)) != "free some space and run the same command again" || hint(errors.New("x")) == "" {
		t.Error("hints are missing")
	}
}

func TestSourceDate(t *testing.T) {
	if got, err := sourceDate("1700000000"); err != nil || !got.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := sourceDate(""); err != nil || !got.IsZero() {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"x", "-1", "1.5", "99999999999"} {
		if _, err := sourceDate(s); exitCode(err) != exitUsage {
			t.Errorf("%q: %v", s, err)
		}
	}
}
