package ledger

import (
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode"
	"unicode/utf8"
)

var (
	hexPattern         = regexp.MustCompile(`^[0-9a-f]{64}$`)
	fingerprintPattern = regexp.MustCompile(`^[0-9A-F]{40}$`)
	repositoryPattern  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
	// The name starts with a letter, digit or underscore, so that it is never
	// "." or ".." where it becomes a folder; an epoch of 0 is not written.
	nevraPattern = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9._+-]*)-(?:[1-9][0-9]*:)?([A-Za-z0-9._+~^]+-[A-Za-z0-9._+~^]+\.[A-Za-z0-9_]+)$`)
)

// These name other parts of the public tree.
var reservedRepositories = map[string]bool{"packages": true, "ledger": true, "keys": true}

const (
	maxInteger = 1<<53 - 1 // the last one that every JSON reader keeps exact
	maxSerial  = 999999    // six digits in a path
	maxText    = 1000      // bytes of a reason or a version
)

// A checker collects the violations of one entry.
type checker struct{ errs []error }

func (c *checker) check(ok bool, format string, args ...any) {
	if !ok {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

func (e Entry) check() error {
	c := &checker{}
	c.check(e.Version == EntryVersion, "version %d is not %d", e.Version, EntryVersion)
	c.check(e.Kind == KindPublish, "kind %q is not known", e.Kind)
	c.check(repositoryPattern.MatchString(e.Repository) && !reservedRepositories[e.Repository],
		"repository %q is not a valid name", e.Repository)
	c.check(e.Serial >= 1 && e.Serial <= maxSerial, "serial %d is outside 1 to %d", e.Serial, maxSerial)
	c.check((e.Previous == nil) == (e.Serial == 1), "previous state must be null for serial 1 and only there")
	c.fingerprint("signer", e.Signer)
	c.time(e.Time)
	c.text("tool name", e.Tool.Name)
	c.text("tool version", e.Tool.Version)
	before := 0
	if e.Previous != nil {
		c.state("previous", *e.Previous)
		before = e.Previous.Packages
	}
	c.state("next", e.Next)
	c.check(e.Next.Packages == before+len(e.Added)-len(e.Removed),
		"next: %d packages, but %d + %d added - %d removed", e.Next.Packages, before, len(e.Added), len(e.Removed))

	c.check(e.Added != nil, "added must not be null")
	c.check(e.Removed != nil, "removed must not be null")
	added := make(map[string]bool, len(e.Added))
	for i, p := range e.Added {
		c.pkg(p)
		added[p.NEVRA] = true
		c.check(i == 0 || e.Added[i-1].NEVRA < p.NEVRA, "added %q is out of order or repeated", p.NEVRA)
	}
	for i, r := range e.Removed {
		c.check(nevraPattern.MatchString(r.NEVRA), "removed %q is not a valid nevra", r.NEVRA)
		c.digest("removed "+r.NEVRA, r.SHA256)
		c.text("removed "+r.NEVRA+": reason", r.Reason)
		c.check(!added[r.NEVRA], "%q is both added and removed", r.NEVRA)
		c.check(i == 0 || e.Removed[i-1].NEVRA < r.NEVRA, "removed %q is out of order or repeated", r.NEVRA)
	}
	return errors.Join(c.errs...)
}

func (c *checker) pkg(p Package) {
	what := "added " + p.NEVRA
	path, err := PackagePath(p.NEVRA)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("added: %w", err))
	} else {
		c.check(p.Path == path, "%s: path %q is not %q", what, p.Path, path)
	}
	c.digest(what+": content id", p.ContentID)
	c.digest(what+": header", p.Header)
	c.file(what, p.SHA256, p.Size)
	c.file(what+": record", p.Record.SHA256, p.Record.Size)
	c.fingerprint(what+": signer", p.Signer)
	if p.Log == nil {
		c.text(what+": reason for no log", p.NoLog)
		return
	}
	c.check(p.NoLog == "", "%s: a log and a reason for none", what)
	c.file(what+": log", p.Log.SHA256, p.Log.Size)
	c.file(what+": open log", p.Log.OpenSHA256, p.Log.OpenSize)
}

func (c *checker) state(what string, s State) {
	c.check(s.Format >= 1 && s.Format <= maxInteger, "%s: format %d is not positive", what, s.Format)
	c.check(s.Packages >= 0 && s.Packages <= maxInteger, "%s: package count %d is negative", what, s.Packages)
	c.check(s.Revision >= 1 && s.Revision <= maxInteger, "%s: revision %d is not a time", what, s.Revision)
	c.file(what+": repomd", s.Repomd.SHA256, s.Repomd.Size)
	for _, x := range []struct {
		name string
		XML
	}{{"primary", s.Primary}, {"filelists", s.Filelists}, {"other", s.Other}} {
		c.file(what+": "+x.name, x.SHA256, x.Size)
		c.file(what+": open "+x.name, x.OpenSHA256, x.OpenSize)
	}
}

func (c *checker) file(what, sha256 string, size int64) {
	c.digest(what, sha256)
	c.check(size >= 1 && size <= maxInteger, "%s: size %d is not possible", what, size)
}

func (c *checker) digest(what, s string) {
	c.check(hexPattern.MatchString(s), "%s: %q is not a sha256 in lower-case hex", what, s)
}

func (c *checker) fingerprint(what, s string) {
	c.check(fingerprintPattern.MatchString(s), "%s: %q is not a fingerprint of 40 upper-case hex digits", what, s)
}

func (c *checker) time(t time.Time) {
	c.check(t.Location() == time.UTC && t.Nanosecond() == 0 && t.Year() >= 1970 && t.Year() <= 9999,
		"time %s is not in UTC and whole seconds", t.Format(time.RFC3339Nano))
}

// text wants something a person can read on a terminal without harm: control
// characters, line ends and direction marks are refused, which also leaves
// nothing for JSON to escape but quotes and backslashes.
func (c *checker) text(what, s string) {
	ok := s != "" && len(s) <= maxText && utf8.ValidString(s)
	for _, r := range s {
		ok = ok && unicode.IsPrint(r)
	}
	c.check(ok, "%s: %q is not one printable line of 1 to %d bytes", what, s, maxText)
}

// PackagePath returns the key of a package's file in the public tree,
// packages/<name>/<nvra>.rpm, for its NEVRA.
func PackagePath(nevra string) (string, error) {
	m := nevraPattern.FindStringSubmatch(nevra)
	if m == nil {
		return "", fmt.Errorf("%q is not a valid nevra", nevra)
	}
	return "packages/" + m[1] + "/" + m[1] + "-" + m[2] + ".rpm", nil
}
