package lint

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"colophon/pack/rpm"
)

// What the specification of Qubes OS (qubes-builderv2, plugins/template) adds to
// a template: a %pre that refuses installation by rpm, what an older way of
// installation needed, and files owned by a group of the system that it is for.
const stockProvides = "qubes-template"

// stockNeeds are the packages that it requires beside the script's shell.
var stockNeeds = []string{"xdg-utils", "tar"}

// refusing lines are all that its script may hold: messages, with nothing in
// them that a shell would expand, and an exit.
var (
	refusingMessage = regexp.MustCompile(`^echo +("[^"$` + "`" + `\\!]*"|'[^']*')( *>&2)?$`)
	refusingExit    = regexp.MustCompile(`^exit +[1-9][0-9]?$`)
)

// refuses reports whether a script does nothing but say something and fail.
func refuses(script string) bool {
	exits := false
	for line := range strings.SplitSeq(script, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case exits:
			return false
		case refusingExit.MatchString(line):
			exits = true
		case !refusingMessage.MatchString(line):
			return false
		}
	}
	return exits
}

// stockTag reports whether a tag is there as in a stock template.
func stockTag(h *rpm.Header, tag rpm.Tag) bool {
	switch tag {
	case rpm.PreIn, rpm.PreInProg:
		return refuses(h.String(rpm.PreIn)) && slices.Equal(h.Strings(rpm.PreInProg), []string{"/bin/sh"})
	case rpm.ObsoleteName: // later builds of itself
		n := h.NEVRA()
		return slices.Equal(h.Strings(rpm.ObsoleteName), []string{n.Name}) &&
			slices.Equal(h.Ints(rpm.ObsoleteFlags), []uint64{rpm.SenseGreater}) &&
			slices.Equal(h.Strings(rpm.ObsoleteVersion), []string{n.Version + "-" + n.Release})
	}
	return false
}

func stockRequires(h *rpm.Header, name string) bool {
	return slices.Contains(stockNeeds, name) || name == "/bin/sh" && h.Has(rpm.PreIn)
}

// stockModes are its modes by the names of files, "" for the folder itself.
var stockModes = []struct {
	pattern string
	mode    uint16
	ghost   bool
}{
	{"", rpm.ModeDir | 0o2770, false},
	{"root.img", rpm.ModeRegular | 0o660, true},
	{"volatile.img", rpm.ModeRegular | 0o660, true},
	{"private.img", rpm.ModeRegular | 0o660, true},
	{"root.img", rpm.ModeRegular | 0o660, false},
	{"root.img.tar", rpm.ModeRegular | 0o660, false},
	{"root.img.part.[0-9][0-9]", rpm.ModeRegular | 0o660, false},
	{"clean-volatile.img.tar", rpm.ModeRegular | 0o660, false},
	{"apps", rpm.ModeDir | 0o775, false},
	{"apps.templates", rpm.ModeDir | 0o775, false},
	{"apps.tempicons", rpm.ModeDir | 0o775, false},
	{"*whitelisted-appmenus.list", rpm.ModeRegular | 0o664, false},
	{"template.conf", rpm.ModeRegular | 0o664, false},
}

// stockFile reports whether a file is one of a stock template, and as it is there.
func stockFile(x rpm.File, top string) bool {
	name := strings.TrimPrefix(strings.TrimPrefix(x.Name, top), "/")
	for _, m := range stockModes {
		if ok, _ := path.Match(m.pattern, name); ok && x.Mode == m.mode && x.Ghost() == m.ghost {
			return x.User == "root" && x.Group == "qubes"
		}
	}
	return false
}
