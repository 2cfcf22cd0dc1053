package rpmmd

import (
	"strings"

	"colophon/pack/rpm"
)

// Tags of weak dependencies as SUSE wrote them before rpm 4.12, and the flags
// that go with them. createrepo_c still maps them (build option LegacyWeakdeps).
const (
	oldSuggestName     rpm.Tag = 1156
	oldSuggestVersion  rpm.Tag = 1157
	oldSuggestFlags    rpm.Tag = 1158
	oldEnhanceName     rpm.Tag = 1159
	oldEnhanceVersion  rpm.Tag = 1160
	oldEnhanceFlags    rpm.Tag = 1161
	senseMissingOK             = 1 << 19
	senseStrong                = 1 << 27
	senseBeforeScripts         = 1<<6 | 1<<9 | 1<<10 // PREREQ, SCRIPT_PRE, SCRIPT_POST
)

// rawDependency is one as it stands in the header.
type rawDependency struct {
	name, version string
	sense         uint64
}

func (h *header) dependencies(name, flags, version rpm.Tag) []rawDependency {
	names, senses, versions := h.texts(name), h.numbers(flags), h.texts(version)
	h.same("a dependency list", len(names), len(senses), len(versions))
	if h.err != nil {
		return nil
	}
	list := make([]rawDependency, len(names))
	for i := range names {
		list[i] = rawDependency{names[i], versions[i], senses[i]}
	}
	return list
}

// relations fills all dependency lists.
func (h *header) relations(p *PackageInfo, files []FileEntry) {
	provides := h.dependencies(rpm.ProvideName, rpm.ProvideFlags, rpm.ProvideVersion)
	requires := h.dependencies(rpm.RequireName, rpm.RequireFlags, rpm.RequireVersion)
	p.Requires, p.Recommends = filterRequires(requires, provides, files)
	for _, d := range h.dependencies(rpm.RecommendName, rpm.RecommendFlags, rpm.RecommendVersion) {
		add(&p.Recommends, d)
	}
	for _, x := range []struct {
		list                 *[]Dependency
		name, flags, version rpm.Tag
	}{
		{&p.Provides, rpm.ProvideName, rpm.ProvideFlags, rpm.ProvideVersion},
		{&p.Conflicts, rpm.ConflictName, rpm.ConflictFlags, rpm.ConflictVersion},
		{&p.Obsoletes, rpm.ObsoleteName, rpm.ObsoleteFlags, rpm.ObsoleteVersion},
		{&p.Suggests, rpm.SuggestName, rpm.SuggestFlags, rpm.SuggestVersion},
		{&p.Enhances, rpm.EnhanceName, rpm.EnhanceFlags, rpm.EnhanceVersion},
		{&p.Supplements, rpm.SupplementName, rpm.SupplementFlags, rpm.SupplementVersion},
	} {
		for _, d := range h.dependencies(x.name, x.flags, x.version) {
			add(x.list, d)
		}
	}
	for _, d := range h.dependencies(oldSuggestName, oldSuggestFlags, oldSuggestVersion) {
		add(either(d.sense&senseStrong != 0, &p.Recommends, &p.Suggests), d)
	}
	for _, d := range h.dependencies(oldEnhanceName, oldEnhanceFlags, oldEnhanceVersion) {
		add(either(d.sense&senseStrong != 0, &p.Supplements, &p.Enhances), d)
	}
}

func either(first bool, a, b *[]Dependency) *[]Dependency {
	if first {
		return a
	}
	return b
}

// add appends d as primary writes it. One without a name makes the list exist
// and adds nothing; one with a malformed epoch is dropped.
func add(list *[]Dependency, raw rawDependency) {
	d, ok := raw.dependency()
	if !ok {
		return
	}
	if *list == nil {
		*list = []Dependency{}
	}
	if d.Name != "" {
		*list = append(*list, d)
	}
}

// filterRequires leaves out what clients need not know: rpmlib() entries,
// primary files of the package itself, exact repetitions of its own provides,
// and entries equal to the last one of that name that was kept. Of the names
// that start with libc.so.6 one stays, at the end: that with the highest first
// version in parentheses. Entries marked as not needed become recommends.
func filterRequires(requires, provides []rawDependency, files []FileEntry) (kept, recommends []Dependency) {
	own := map[string]bool{}
	for _, f := range files {
		own[f.Path] = true
	}
	provided := map[string]bool{}
	for _, d := range provides {
		if _, ok := d.dependency(); ok {
			provided[d.name+d.flags()+d.version] = true
		}
	}
	type variant struct {
		flags, version string
		pre            bool
	}
	seen := map[string]variant{}
	var libc *rawDependency
	for _, d := range requires {
		v := variant{d.flags(), d.version, d.sense&senseBeforeScripts != 0}
		if strings.HasPrefix(d.name, "rpmlib(") ||
			strings.HasPrefix(d.name, "/") && own[d.name] && isPrimary(d.name) ||
			provided[d.name+v.flags+v.version] {
			continue
		}
		if before, ok := seen[d.name]; ok && before == v {
			continue
		}
		if _, ok := d.dependency(); !ok {
			continue
		}
		switch {
		case d.sense&senseMissingOK != 0:
			add(&recommends, d)
		case strings.HasPrefix(d.name, "libc.so.6"):
			if libc == nil || higherLibc(d.name, libc.name) {
				libc = &d
			}
		default:
			addRequire(&kept, d)
			seen[d.name] = v
		}
	}
	if libc != nil {
		addRequire(&kept, *libc)
	}
	return kept, recommends
}

func addRequire(list *[]Dependency, d rawDependency) {
	n := len(*list)
	add(list, d)
	if len(*list) > n && d.sense&senseBeforeScripts != 0 {
		(*list)[n].Pre = "1"
	}
}

// isPrimary says which files primary lists, and so which ones clients know
// without loading filelists.
func isPrimary(path string) bool {
	return strings.HasPrefix(path, "/etc/") || path == "/usr/lib/sendmail" || strings.Contains(path, "bin/")
}

// higherLibc compares names like "libc.so.6(GLIBC_2.34)(64bit)" by the text
// from the first digit behind the first "(" to the first ")". A name is lower
// the earlier such a text breaks off.
func higherLibc(name, than string) bool {
	rankA, a := libcVersion(name)
	rankB, b := libcVersion(than)
	if rankA != rankB {
		return rankA > rankB
	}
	return rpm.CompareVersions(a, b) > 0
}

func libcVersion(name string) (rank int, version string) {
	_, s, open := strings.Cut(name, "(")
	s, _, closed := strings.Cut(s, ")")
	digit := strings.IndexAny(s, "0123456789")
	switch {
	case !open:
		return 0, ""
	case !closed:
		return 1, ""
	case s == "":
		return 2, ""
	case digit < 0:
		return 3, ""
	}
	return 4, s[digit:]
}

// flags is the comparison as primary writes it; "" when there is none.
func (d rawDependency) flags() string {
	switch d.sense & 15 {
	case rpm.SenseLess:
		return "LT"
	case rpm.SenseGreater:
		return "GT"
	case rpm.SenseEqual:
		return "EQ"
	case rpm.SenseLess | rpm.SenseEqual:
		return "LE"
	case rpm.SenseGreater | rpm.SenseEqual:
		return "GE"
	}
	return ""
}

// dependency splits [epoch:]version[-release]. It reports false for an epoch
// that is not a number: createrepo_c leaves such a dependency out.
func (d rawDependency) dependency() (Dependency, bool) {
	out := Dependency{Name: d.name, Flags: d.flags()}
	epoch, version, found := strings.Cut(d.version, ":")
	if !found {
		epoch, version = "", d.version
	}
	if !isNumber(epoch) {
		return out, false
	}
	if out.Flags == "" || d.version == "" {
		return out, true
	}
	if out.Epoch = epoch; epoch == "" {
		out.Epoch = "0"
	}
	out.Version, out.Release, _ = strings.Cut(version, "-")
	return out, true
}

// isNumber accepts what C's strtol reads to the end, and "".
func isNumber(s string) bool {
	if s == "" {
		return true
	}
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	return s != "" && strings.Trim(s, "0123456789") == ""
}
