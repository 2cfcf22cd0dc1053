package rpmmd

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Diff is what turns one state of a repository into another. Lists are sorted
// by NEVRA string.
type Diff struct {
	Added   []PackageInfo
	Removed []PackageInfo
	Changed []Change
}

// Change is a package whose NEVRA stands in both states with other content.
type Change struct {
	Old, New PackageInfo
	Fields   []Field
}

// Field is a value that differs. Values of lists have one entry a line.
type Field struct {
	Name     string
	Old, New string
}

// Empty reports whether both states were the same.
func (d Diff) Empty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

// Difference compares two states. Each holds a NEVRA at most once, as what
// ParsePrimary gives.
func Difference(old, new []PackageInfo) Diff {
	before, after := byNEVRA(old), byNEVRA(new)
	var d Diff
	for name, p := range after {
		q, ok := before[name]
		if !ok {
			d.Added = append(d.Added, p)
		} else if fields := CompareFields(q, p); len(fields) > 0 {
			d.Changed = append(d.Changed, Change{q, p, fields})
		}
	}
	for name, p := range before {
		if _, ok := after[name]; !ok {
			d.Removed = append(d.Removed, p)
		}
	}
	slices.SortFunc(d.Added, compareNEVRA)
	slices.SortFunc(d.Removed, compareNEVRA)
	slices.SortFunc(d.Changed, func(a, b Change) int { return compareNEVRA(a.Old, b.Old) })
	return d
}

// Apply gives the state that d leads to from old, in the order of metadata.
func (d Diff) Apply(old []PackageInfo) []PackageInfo {
	state := byNEVRA(old)
	for _, p := range d.Removed {
		delete(state, p.NEVRA.String())
	}
	for _, p := range d.Added {
		state[p.NEVRA.String()] = p
	}
	for _, c := range d.Changed {
		state[c.New.NEVRA.String()] = c.New
	}
	list := make([]PackageInfo, 0, len(state))
	for _, p := range state {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b PackageInfo) int { return compareHref(Href(a.NEVRA), Href(b.NEVRA)) })
	return list
}

func byNEVRA(list []PackageInfo) map[string]PackageInfo {
	m := make(map[string]PackageInfo, len(list))
	for _, p := range list {
		m[p.NEVRA.String()] = p
	}
	return m
}

func compareNEVRA(a, b PackageInfo) int { return cmp.Compare(a.NEVRA.String(), b.NEVRA.String()) }

// CompareFields gives the fields in which two packages differ, in the order of
// primary. They may be two releases of one package.
func CompareFields(old, new PackageInfo) []Field {
	a, b := old.fields(), new.fields()
	var list []Field
	for i, f := range a {
		if f.value != b[i].value {
			list = append(list, Field{f.name, f.value, b[i].value})
		}
	}
	return list
}

type field struct{ name, value string }

// fields is the whole package as text.
func (p *PackageInfo) fields() []field {
	number := func(v int64) string { return strconv.FormatInt(v, 10) }
	list := []field{
		{"name", p.NEVRA.Name},
		{"arch", p.NEVRA.Arch},
		{"epoch", number(int64(p.NEVRA.Epoch))},
		{"version", p.NEVRA.Version},
		{"release", p.NEVRA.Release},
		{"sha256", p.SHA256},
		{"summary", p.Summary},
		{"description", p.Description},
		{"packager", p.Packager},
		{"url", p.URL},
		{"build_time", number(p.BuildTime)},
		{"size", number(p.Size)},
		{"installed_size", number(p.InstalledSize)},
		{"archive_size", number(p.ArchiveSize)},
		{"license", p.License},
		{"vendor", p.Vendor},
		{"group", p.Group},
		{"build_host", p.BuildHost},
		{"source_rpm", p.SourceRPM},
		{"header_start", number(p.HeaderStart)},
		{"header_end", number(p.HeaderEnd)},
	}
	for _, r := range p.relations() {
		list = append(list, field{r.name, dependencyLines(r.list)})
	}
	var files strings.Builder
	for _, f := range p.Files {
		files.WriteString(strings.TrimSpace(f.Type+" "+strconv.Quote(f.Path)) + "\n")
	}
	return append(list, field{"files", files.String()})
}

func dependencyLines(list []Dependency) string {
	if list != nil && len(list) == 0 {
		return "(entries without names)\n"
	}
	var b strings.Builder
	for _, d := range list {
		b.WriteString(d.String() + "\n")
	}
	return b.String()
}

var comparisons = map[string]string{"LT": "<", "GT": ">", "EQ": "=", "LE": "<=", "GE": ">="}

// String is the dependency as a person writes it: name, comparison, version.
// Names and versions that are not plain ASCII without blanks are quoted.
func (d Dependency) String() string {
	s := quoteUnlessPlain(d.Name)
	if d.Flags != "" {
		evr := d.Version
		if d.Release != "" {
			evr += "-" + d.Release
		}
		if d.Epoch != "" && d.Epoch != "0" {
			evr = d.Epoch + ":" + evr
		}
		s += " " + cmp.Or(comparisons[d.Flags], quoteUnlessPlain(d.Flags)) + " " + quoteUnlessPlain(evr)
	}
	if d.Pre != "" {
		s += " (pre)"
	}
	return s
}

func quoteUnlessPlain(s string) string {
	if q := strconv.QuoteToASCII(s); q != `"`+s+`"` || strings.Contains(s, " ") || s == "" {
		return q
	}
	return s
}
