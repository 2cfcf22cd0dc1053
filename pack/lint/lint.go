// Package lint holds the rules that a package must meet before it is written,
// signed or listed. One bad string can blind the listing of a whole repository,
// and a package that rpm accepts can still be refused by the client's
// canonicaliser, so the rules are those of the strictest known reader of each
// field.
//
// Rules C.. are about the container and come from the canonicaliser of Qubes OS
// (rpmcanon 0.2.9); rules L.. are about templates and come from qvm-template and
// its repository query; rules P.. are this program's own. Numbers that are
// missing are no questions about one package: C18 says that unknown signature
// tags are ignored, C30 to C40 are about signature packets and stand behind C20,
// L9 and L16 are about metadata and names that were published before.
//
// A rule is failed, passed with a warning, or skipped where what it looks at is
// not there: a package that is not written yet has no lead, and a header alone
// has no payload.
//
// The profiles are ordered: what passes Template passes Stock, and what passes
// Stock passes Plain.
package lint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

// Profile chooses the rules.
type Profile int

// Profiles.
const (
	// Template is for packages made here: container rules and template rules.
	Template Profile = iota
	// Stock is for templates that rpmbuild made by the specification of Qubes
	// OS: the same, and its script that refuses installation by rpm, with the
	// dependencies, owners, ghosts and alternative image files beside it.
	Stock
	// Plain is for ordinary packages: container rules only.
	Plain
)

var profileNames = []string{"template", "stock", "plain"}

// String is the profile's name in configuration files and on the command line.
func (p Profile) String() string { return profileNames[p] }

// ParseProfile reads what String writes.
func ParseProfile(name string) (Profile, error) {
	if i := slices.Index(profileNames, name); i >= 0 {
		return Profile(i), nil
	}
	return 0, fmt.Errorf("profile %q is none of template, stock and plain", name)
}

// Status is how a package stands to a rule.
type Status string

// Statuses.
const (
	Pass Status = "pass"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Rule is one requirement.
type Rule struct {
	ID    string  `json:"id"`
	Title string  `json:"title"`
	Last  Profile `json:"-"` // the rule holds in this profile and those before it
	Needs Needs   `json:"-"` // what it looks at
}

// In reports whether the rule holds in a profile.
func (r Rule) In(p Profile) bool { return p <= r.Last }

// Needs is what a rule looks at beside the main header.
type Needs int

// What rules look at.
const (
	NeedsHeader     Needs = iota // the main header alone
	NeedsPackage                 // lead and signature header
	NeedsPayload                 // the whole file, read
	NeedsKeys                    // the keys that may sign
	NeedsRepository              // what is listed already
)

// Result is what one rule found.
type Result struct {
	Rule
	Status  Status `json:"status"`
	Message string `json:"message,omitempty"` // what is wrong, or why it was skipped
}

// Context is what rules need to know beside the package. The zero value knows
// nothing, and skips the rules that ask.
type Context struct {
	Keys       openpgp.Keyring // that may sign; nil skips L7
	Now        time.Time       // signatures of a later time are refused
	Repository *Repository     // nil skips L6, L17 and L18
}

// Repository is what rules need to know about the repository that the package
// is to be listed in.
type Repository struct {
	Listing   int64    // RecordSize of everything listed, this package included
	Newest    *Release // of the same name, the newest that is listed; nil when it is the first
	MaxGrowth int      // percent that a file may be larger than Newest's; 0 sets no bound
	Rollback  bool     // an older release is listed on purpose
}

// Release is a listed package.
type Release struct {
	NEVRA rpm.NEVRA
	Size  int64 // bytes of the file
}

// Subject is what rules look at. Header and Raw are required.
type Subject struct {
	Header  *rpm.Header
	Raw     []byte       // the main header's bytes
	Package *rpm.Package // nil before the package is written
	Digests rpm.Digests  // of the whole file, when its payload was read
	Payload *Payload     // nil when it was not
	Context Context

	message func() io.Reader // main header and payload, once more; nil when there is no file
	files   []rpm.File       // the header's list; nil with fileErr
	fileErr error
}

// Check applies all rules of a profile that look at a package's headers.
func Check(p *rpm.Package, profile Profile) []Result {
	return Run(Subject{Header: p.Header, Raw: p.RawHeader, Package: p}, profile)
}

// Run applies all rules of a profile, in the order of the rules.
func Run(s Subject, profile Profile) []Result {
	s.files, s.fileErr = s.Header.Files()
	f := &findings{profile: profile, found: map[string]Result{}}
	for _, scan := range scanners {
		scan(&s, f)
	}
	var list []Result
	for _, r := range rules {
		if !r.In(profile) {
			continue
		}
		x, ok := f.found[r.ID]
		x.Rule = r
		if why := s.lacks(r.Needs); !ok && why != "" {
			x.Status, x.Message = Skip, why
		} else if !ok {
			x.Status = Pass
		}
		list = append(list, x)
	}
	return list
}

// lacks says why a rule cannot be judged, "" when it can.
func (s *Subject) lacks(n Needs) string {
	switch {
	case n == NeedsPackage && s.Package == nil:
		return "package is not written yet"
	case n == NeedsPayload && s.Payload == nil:
		return "payload was not read"
	case n == NeedsKeys && (s.Package == nil || s.Context.Keys == nil):
		return "no key was given"
	case n == NeedsRepository && s.Context.Repository == nil:
		return "no repository was given"
	}
	return ""
}

// findings collects what scanners find, by the ids of rules. The first failure
// of a rule counts, or else its first warning.
type findings struct {
	profile Profile
	found   map[string]Result
}

func (f *findings) fail(id, format string, args ...any) { f.add(id, Fail, format, args) }
func (f *findings) warn(id, format string, args ...any) { f.add(id, Warn, format, args) }
func (f *findings) skip(id, format string, args ...any) { f.add(id, Skip, format, args) }

var weight = map[Status]int{Pass: 0, Skip: 1, Warn: 2, Fail: 3}

func (f *findings) add(id string, status Status, format string, args []any) {
	if old, ok := f.found[id]; ok && weight[old.Status] >= weight[status] {
		return
	}
	f.found[id] = Result{Status: status, Message: fmt.Sprintf(format, args...)}
}

// Package returns all failed rules as one error, a line each.
func Package(p *rpm.Package, profile Profile) error { return Join(Check(p, profile)) }

// Header applies the rules that can be checked before a package is written,
// when only its main header exists.
func Header(h *rpm.Header, raw []byte, profile Profile) error {
	return Join(Run(Subject{Header: h, Raw: raw}, profile))
}

// Join makes one error of all results that failed, a line each; nil when none did.
func Join(list []Result) error {
	var all []error
	for _, r := range list {
		if r.Status == Fail {
			all = append(all, fmt.Errorf("rule %s: %s", r.ID, r.Message))
		}
	}
	return errors.Join(all...)
}

// Report is all that is to be said about a file.
type Report struct {
	Package *rpm.Package
	Digests rpm.Digests // as computed, also where they are not those of the headers
	Payload *Payload
	Results []Result
}

// File reads a package once, from lead to end, and applies every rule of a
// profile; once more where it carries a signature over header and payload. Only
// a file that cannot be read, or whose headers cannot, is an error; of those
// about the bytes the type is *rpm.FormatError.
func File(ctx context.Context, file io.ReaderAt, size int64, profile Profile, c Context) (*Report, error) {
	section := func(at int64) *io.SectionReader { return io.NewSectionReader(file, at, size-at) }
	r := &Report{}
	p, d, err := rpm.ReadWith(stoppable{ctx, section(0)}, func(p *rpm.Package, in io.Reader) (err error) {
		r.Payload, err = readPayload(p, in)
		return err
	})
	var format *rpm.FormatError
	if err != nil && (p == nil || !errors.As(err, &format)) {
		return nil, err
	}
	if err := rpm.MeasureFrames(r.Payload.Frames, section(p.HeaderEnd())); err != nil {
		return nil, err
	}
	r.Package, r.Digests = p, d
	s := Subject{Header: p.Header, Raw: p.RawHeader, Package: p, Digests: d, Payload: r.Payload, Context: c}
	s.message = func() io.Reader { return stoppable{ctx, section(p.HeaderStart())} }
	r.Results = Run(s, profile)
	return r, ctx.Err()
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(b)
}
