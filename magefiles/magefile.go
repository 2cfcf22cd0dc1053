//go:build mage

// Colophon publishes VM template packages, with a public record of everything it signs.
//
// The configuration is colophon.yaml, or the file that COLOPHON_CONFIG names.
// Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 the audit
// found a discrepancy, 4 unreachable, 5 somebody else published first.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"colophon/publish"
)

// Publish packs what is new, logs it, signs it and uploads it.
//
// It may be run again at any time: with nothing new it changes nothing, and a
// run that was cut off is finished. SOURCE_DATE_EPOCH replaces the date of all
// definitions.
func Publish(
	ctx context.Context,
	json *bool, // print the result as one JSON document
) {
	ctx, stop := onTerm(ctx)
	defer stop()
	o, err := options()
	if err != nil {
		exit(err)
	}
	result, err := publish.Run(ctx, o)
	print(result, json, err)
}

// Audit checks a public tree from the outside, with nothing but the ledger's key.
//
// ADDRESS is a folder or an http address. Each discrepancy is one line; exit
// code 3 says that there are any.
func Audit(
	ctx context.Context,
	address string,
	key *string, // required: file with the ledger's public key, such as .keys/ledger.vkey
	grace *time.Duration, // how long an unfinished publish is only noted, default 1h
	json *bool, // print the report as one JSON document
) {
	ctx, stop := onTerm(ctx)
	defer stop()
	report, err := publish.Audit(ctx, publish.AuditOptions{
		Address: address, KeyFile: value(key), Now: time.Now(), Grace: value(grace), Report: newReporter(),
	})
	print(report, json, err)
}

// Serve shows the public tree on this machine, as object storage would.
func Serve(
	ctx context.Context,
	from *string, // store (default)
	address *string, // host:port, default that of site.url
) {
	ctx, stop := onTerm(ctx)
	defer stop()
	c, err := config()
	if err != nil {
		exit(err)
	}
	exit(publish.Serve(ctx, publish.ServeOptions{
		Config: c, From: value(from), Address: value(address),
		Log:   slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Ready: func(a string) { fmt.Fprintf(os.Stderr, "serving http://%s, stop with ctrl-c\n", a) },
	}))
}

// Test installs what the tests need, and runs all checks and tests.
func Test(ctx context.Context) { exit(runTests(ctx)) }
