// Package lint holds the rules that a package must meet before it is written,
// signed or listed. One bad string can blind the listing of a whole repository,
// and a package that rpm accepts can still be refused by the client's
// canonicaliser, so the rules are those of the strictest known reader of each
// field.
//
// Rules C.. are about the container and come from the canonicaliser of Qubes OS
// (rpmcanon 0.2.9); rules L.. are about templates and come from qvm-template and
// its repository query.
package lint

import (
	"errors"
	"fmt"

	"colophon/pack/rpm"
)

// Profile chooses the rules.
type Profile int

// Profiles.
const (
	// Template is for packages made here: container rules and template rules.
	Template Profile = iota
	// Plain is for ordinary packages: container rules only.
	Plain
)

// subject is what a rule looks at.
type subject struct {
	header *rpm.Header
	raw    []byte       // the main header's bytes
	pkg    *rpm.Package // nil before the package is written
}

// Rule is one requirement.
type Rule struct {
	ID    string
	Title string
	plain bool // holds for ordinary packages too
	check func(subject) error
}

// Result is what one rule found.
type Result struct {
	Rule Rule
	Err  error // nil when the rule is met
}

// Check applies all rules of a profile to a package's headers.
func Check(p *rpm.Package, profile Profile) []Result {
	return check(subject{p.Header, p.RawHeader, p}, profile)
}

func check(s subject, profile Profile) []Result {
	var list []Result
	for _, r := range rules {
		if profile == Template || r.plain {
			list = append(list, Result{r, r.check(s)})
		}
	}
	return list
}

// Package returns all broken rules as one error, a line each.
func Package(p *rpm.Package, profile Profile) error { return join(Check(p, profile)) }

// Header applies the rules that can be checked before a package is written,
// when only its main header exists.
func Header(h *rpm.Header, raw []byte, profile Profile) error {
	return join(check(subject{h, raw, nil}, profile))
}

func join(list []Result) error {
	var all []error
	for _, r := range list {
		if r.Err != nil {
			all = append(all, fmt.Errorf("rule %s: %w", r.Rule.ID, r.Err))
		}
	}
	return errors.Join(all...)
}

// rules in the order of their ids.
var rules = []Rule{
	{"C1", "lead is that of a binary package, with a clean name", true, checkLead},
	{"C4", "signature header is in canonical form", true, checkSignatureForm},
	{"C5", "main header is in canonical form", true, checkHeaderForm},
	{"C15", "signature header holds known tags of the right type", true, checkSignatureTags},
	{"C21", "main header holds tags in range and of the right type", true, checkHeaderTags},
	{"C25", "name, version, release, os, arch and source package are there", true, checkRequired},
	{"C27", "payload digest is there", true, checkPayloadDigest},
	{"C41", "header is signed, and nothing else", true, checkSigned},
	{"L1", "name is qubes-template- and a name that listings accept", false, checkName},
	{"L2", "version and release can be parsed by listings", false, checkVersion},
	{"L3", "license is one token", false, checkLicense},
	{"L4", "summary, description and URL do not break listings", false, checkTexts},
	{"L5", "build time is there and fits 31 bits", false, checkTimes},
	{"L10", "files lie in the template's folder, and are plain", false, checkFiles},
	{"L11", "image parts are root.img.part.00, .01, ... of at most 1 GiB", false, checkParts},
	{"L14", "no scripts, triggers, capabilities or dependencies", false, checkPassive},
}
