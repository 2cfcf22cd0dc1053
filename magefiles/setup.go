//go:build mage

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"colophon/pack"
	"colophon/publish"
)

// version of the program; see CHANGELOG.md.
const version = "0.1.0"

// config loads the configuration file.
func config() (*publish.Config, error) {
	path := os.Getenv("COLOPHON_CONFIG")
	if path == "" {
		path = "colophon.yaml"
	}
	return publish.LoadConfig(path)
}

// options takes clock, randomness and environment, here and nowhere else.
func options() (publish.Options, error) {
	c, err := config()
	if err != nil {
		return publish.Options{}, err
	}
	date, err := sourceDate(os.Getenv("SOURCE_DATE_EPOCH"))
	return publish.Options{
		Config: c, Now: time.Now, Random: rand.Reader, Date: date, Version: version, Report: newReporter(),
	}, err
}

// packOptions are those of options, for packing alone.
func packOptions(template, nfpm, out string) (publish.PackOptions, error) {
	o, err := options()
	return publish.PackOptions{
		Config: o.Config, Template: template, NFPM: nfpm, Out: cmp.Or(out, "build"),
		Now: o.Now, Random: o.Random, Date: o.Date, Report: o.Report,
	}, err
}

// sourceDate reads SOURCE_DATE_EPOCH (reproducible-builds.org): seconds since 1970.
func sourceDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<31-1 {
		return time.Time{}, &pack.InputError{File: "SOURCE_DATE_EPOCH", Reason: fmt.Sprintf("%q is not a number of seconds since 1970 that a package can hold", s), Advice: "unset it to use the definitions' dates"}
	}
	return time.Unix(n, 0).UTC(), nil
}

// onTerm makes SIGTERM end a target as ctrl-c does, with cleanup.
func onTerm(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGTERM)
}

// value is an optional flag's value, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
