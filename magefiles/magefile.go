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

// Pack makes the packages of the configured templates in a folder, and publishes nothing.
//
// It prints for each package: file, name, digests, sizes, frames and seconds.
// SOURCE_DATE_EPOCH replaces the date of all definitions.
func Pack(
	ctx context.Context,
	template *string, // name of the only one to pack
	nfpm *string, // an nfpm.yaml to pack instead
	out *string, // folder, default build
	json *bool, // print the result as one JSON document
) {
	ctx, stop := onTerm(ctx)
	defer stop()
	o, err := packOptions(value(template), value(nfpm), value(out))
	if err != nil {
		exit(err)
	}
	result, err := publish.Pack(ctx, o)
	print(result, json, err)
}

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

// Inspect shows what is in a package file, and by which rules it fails.
//
// The package is read and verified as a whole. Exit code 1 says that a rule fails.
func Inspect(
	ctx context.Context,
	file string,
	key *string, // OpenPGP key that should have signed it, such as keys/*.asc of a public tree
	profile *string, // template (default), stock or plain
	json *bool, // print everything as one JSON document
) {
	ctx, stop := onTerm(ctx)
	defer stop()
	found, err := publish.Inspect(ctx, publish.InspectOptions{
		File: file, KeyFile: value(key), Profile: value(profile), Now: time.Now(),
	})
	print(found, json, err)
	exit(found.Err())
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
func Test(ctx context.Context) { exit(runTests(ctx, checks)) }

// Bench measures speed, size and memory against named peers, side by side, and prints a table.
//
// It takes about half an hour on two cores, needs what ci/setup installs, and
// should run alone. DEBIAN_CACHE names a folder to keep the Debian packages in.
func Bench(ctx context.Context) { exit(command(ctx, "go run ./ci/bench")) }

// TestLong runs the tests that take too long for every change.
func TestLong(ctx context.Context) { exit(runTests(ctx, longChecks)) }
