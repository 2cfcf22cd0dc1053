package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode"

	"colophon/logs/ledger"
)

// Finding is one line about one object.
type Finding struct {
	Key  string `json:"key"`
	Text string `json:"text"`
}

func (f Finding) String() string { return f.Key + ": " + f.Text }

// Report says what was looked at and what was found. A tree without
// discrepancies is as its ledger says.
type Report struct {
	Origin        string             `json:"origin"` // the ledger's name
	Size          int64              `json:"size"`   // its entries
	Root          string             `json:"root"`   // of its tree, in base64; empty where there is none
	Repositories  []RepositoryReport `json:"repositories"`
	Packages      int                `json:"packages"` // that the ledger ever named
	Objects       int                `json:"objects"`  // that were there
	Bytes         int64              `json:"bytes"`    // that were read
	Discrepancies []Finding          `json:"discrepancies"`
	Notices       []Finding          `json:"notices"`

	more int // findings that did not fit
}

// RepositoryReport is the last state of a repository.
type RepositoryReport struct {
	Name     string `json:"name"`
	Serial   int64  `json:"serial"`
	Packages int    `json:"packages"`
}

const (
	maxFindings = 10_000 // of each sort: a tree with nothing right in it must not fill the memory
	maxText     = 1000   // bytes of one finding
)

func (r *Report) clear() {
	r.Repositories, r.Discrepancies, r.Notices, r.more = []RepositoryReport{}, []Finding{}, []Finding{}, 0
}

func (r *Report) add(list *[]Finding, key, format string, args ...any) {
	f := Finding{clean(key), clean(fmt.Sprintf(format, args...))}
	if len(*list) < maxFindings {
		*list = append(*list, f)
	} else {
		r.more++
	}
}

// clean makes one printable line of text that an enemy may have written.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return ';'
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "..."
	}
	return s
}

func (a *auditor) wrong(key, format string, args ...any) {
	a.report.add(&a.report.Discrepancies, key, format, args...)
}

func (a *auditor) notice(key, format string, args ...any) {
	a.report.add(&a.report.Notices, key, format, args...)
}

// unfinished reports what an interrupted publish leaves, by the age of its entry.
func (a *auditor) unfinished(e ledger.Entry, key, format string, args ...any) {
	if a.within(e.Time) {
		a.notice(key, format, args...)
	} else {
		a.wrong(key, format, args...)
	}
}

// A problem is what is wrong with an object. As an error it ends the look at
// that object, and goes into the report; every other error ends the audit.
type problem struct {
	key, text string
	missing   bool
}

func (p *problem) Error() string { return p.key + ": " + p.text }

// Is makes a missing object look so to the readers of tiles.
func (p *problem) Is(target error) bool { return p.missing && target == fs.ErrNotExist }

func wrong(key, format string, args ...any) error {
	return &problem{key, fmt.Sprintf(format, args...), false}
}

func isMissing(err error) bool {
	p, ok := errors.AsType[*problem](err)
	return ok && p.missing
}

// isFatal says that a question could not be answered.
func isFatal(err error) bool {
	_, mine := errors.AsType[*problem](err)
	_, tile := errors.AsType[*ledger.Discrepancy](err)
	return err != nil && !mine && !tile
}

// judge puts a problem into the report and returns any other error.
func (a *auditor) judge(err error) error {
	if p, ok := errors.AsType[*problem](err); ok {
		a.wrong(p.key, "%s", p.text)
		return nil
	}
	if d, ok := errors.AsType[*ledger.Discrepancy](err); ok {
		a.wrong(d.Key, "%s", d.Problem)
		return nil
	}
	return err
}

// finish completes the report.
func (a *auditor) finish() *Report {
	r := a.report
	if r.more > 0 {
		r.Discrepancies = append(r.Discrepancies, Finding{"ledger", fmt.Sprintf("%d more findings are not shown", r.more)})
	}
	r.Bytes = a.bytes
	for _, read := range a.named {
		if read {
			r.Objects++
		}
	}
	if a.book == nil {
		return r
	}
	r.Size, r.Root, r.Packages = a.book.tree.Size, a.book.tree.Root.String(), a.book.packages
	for _, x := range a.repositories {
		r.Repositories = append(r.Repositories, RepositoryReport{x.name, x.last.Serial, x.last.Next.Packages})
	}
	return r
}
