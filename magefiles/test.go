//go:build mage

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// checks are what must pass before a change lands, in the order of their cost.
var checks = []string{
	"ci/setup",
	"gofmt -l .",
	"go mod tidy -diff",
	"go vet ./...",
	"go vet -tags mage ./...",
	"go vet -tags long ./ci",
	"go tool -modfile=ci/tools/go.mod staticcheck ./...",
	"go tool -modfile=ci/tools/go.mod staticcheck -tags mage ./magefiles",
	"go test -tags mage ./magefiles",
	"go test -race -timeout 30m ./...",
}

// longChecks are those of testLong.
var longChecks = []string{
	"ci/setup",
	"go test -tags long -run Long -timeout 60m -v ./ci",
}

// runTests runs checks in order and stops at the first that fails.
func runTests(ctx context.Context, checks []string) error {
	for _, line := range checks {
		fmt.Fprintln(os.Stderr, "+", line)
		if err := command(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// command runs one line. It fails by its exit status, gofmt by saying anything.
func command(ctx context.Context, line string) error {
	words := strings.Fields(line)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if words[0] == "gofmt" {
		cmd.Stdout = &said
	}
	err := cmd.Run()
	if err == nil && said.Len() > 0 {
		err = errors.New("not formatted: " + strings.Join(strings.Fields(said.String()), " "))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return nil
}
