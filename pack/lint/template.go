package lint

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"colophon/pack/rpm"
)

// Names and patterns of qvm-template and qvm-template-repo-query.
const (
	namePrefix = "qubes-template-"
	folder     = "/var/lib/qubes/vm-templates/"
	maxPart    = 1 << 30
	maxParts   = 100
)

var (
	templateName = regexp.MustCompile(`^[A-Za-z0-9._+][A-Za-z0-9._+-]*$`)
	versionPart  = regexp.MustCompile(`^[A-Za-z0-9._+~]+$`)
	licenseToken = regexp.MustCompile(`^[A-Za-z0-9._+()][A-Za-z0-9._+()-]*$`)
)

func checkName(s subject) error {
	name, ok := strings.CutPrefix(s.header.String(rpm.Name), namePrefix)
	if !ok || !templateName.MatchString(name) {
		return fmt.Errorf("name %q does not fit %s%s", s.header.String(rpm.Name), namePrefix, templateName)
	}
	return nil
}

func checkVersion(s subject) error {
	for _, v := range []string{s.header.String(rpm.Version), s.header.String(rpm.Release)} {
		if !versionPart.MatchString(v) {
			return fmt.Errorf("%q does not fit %s", v, versionPart)
		}
	}
	return nil
}

func checkLicense(s subject) error {
	if l := s.header.String(rpm.License); !licenseToken.MatchString(l) {
		return fmt.Errorf("license %q does not fit %s", l, licenseToken)
	}
	return nil
}

func checkTexts(s subject) error {
	for _, f := range []struct {
		tag   rpm.Tag
		name  string
		lines bool
	}{{rpm.Summary, "summary", false}, {rpm.Description, "description", true}, {rpm.URL, "URL", false}} {
		text := s.header.String(f.tag)
		if text == "" {
			return fmt.Errorf("%s is missing", f.name)
		}
		if strings.HasPrefix(text, "\n") {
			return fmt.Errorf("%s starts with an empty line", f.name)
		}
		for _, r := range text {
			if r == '|' || r > 126 || r < 32 && (r != '\n' || !f.lines) {
				return fmt.Errorf("%s holds %q", f.name, r)
			}
		}
	}
	return nil
}

func checkTimes(s subject) error {
	built, ok := s.header.Int(rpm.BuildTime)
	if !ok || built > 1<<31-1 {
		return errors.New("build time is missing or out of range")
	}
	return nil
}

const (
	modeType    = 0o170000
	modeRegular = 0o100000
	modeDir     = 0o040000
)

func checkFiles(s subject) error {
	h := s.header
	top := folder + strings.TrimPrefix(h.String(rpm.Name), namePrefix)
	names, modes := h.FileNames(), h.Ints(rpm.FileModes)
	if len(names) == 0 || len(modes) != len(names) {
		return errors.New("file list is missing or does not fit together")
	}
	seen := map[string]bool{}
	for i, name := range names {
		switch {
		case path.Clean(name) != name || name != top && !strings.HasPrefix(name, top+"/"):
			return fmt.Errorf("file %q lies outside %s", name, top)
		case seen[name]:
			return fmt.Errorf("file %q stands twice", name)
		case modes[i]&modeType != modeRegular && modes[i]&modeType != modeDir:
			return fmt.Errorf("file %q is neither a plain file nor a folder", name)
		}
		seen[name] = true
	}
	return nil
}

func checkParts(s subject) error {
	h := s.header
	top := folder + strings.TrimPrefix(h.String(rpm.Name), namePrefix) + "/"
	sizes := h.Ints(rpm.FileSizes)
	parts := 0
	for i, name := range h.FileNames() {
		if !strings.Contains(name, "root.img") {
			continue
		}
		if want := fmt.Sprintf("%sroot.img.part.%02d", top, parts); name != want {
			return fmt.Errorf("image part %q stands where %q belongs", name, want)
		}
		if i >= len(sizes) || sizes[i] == 0 || sizes[i] > maxPart {
			return fmt.Errorf("image part %q is empty or larger than 1 GiB", name)
		}
		parts++
	}
	if parts == 0 || parts > maxParts {
		return fmt.Errorf("package has %d image parts; 1 to %d are needed", parts, maxParts)
	}
	return nil
}

// active are tags that make a package do something when it is installed.
var active = []rpm.Tag{
	rpm.PreIn, rpm.PostIn, rpm.PreUn, rpm.PostUn, rpm.PreTrans, rpm.PostTrans, rpm.PreUnTrans, rpm.PostUnTrans,
	rpm.PreInProg, rpm.VerifyScript, rpm.TriggerScripts, rpm.TriggerName, rpm.FileTriggerName, rpm.TransTriggerName,
	rpm.FileCaps, rpm.ConflictName, rpm.ObsoleteName, rpm.RecommendName, rpm.SuggestName, rpm.SupplementName, rpm.EnhanceName,
}

func checkPassive(s subject) error {
	h := s.header
	for _, tag := range active {
		if h.Has(tag) {
			return fmt.Errorf("header holds tag %d (script, trigger, capability or dependency)", tag)
		}
	}
	for _, name := range h.Strings(rpm.RequireName) {
		if !strings.HasPrefix(name, "rpmlib(") {
			return fmt.Errorf("package requires %q", name)
		}
	}
	for _, name := range h.Strings(rpm.ProvideName) {
		if name != h.String(rpm.Name) {
			return fmt.Errorf("package provides %q", name)
		}
	}
	return nil
}
