package lint

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"

	"colophon/pack/rpm"
)

// Where templates lie, and the bounds of their parts: larger files break some
// readers of packages, and the client's extraction knows two digits.
const (
	folder   = "/var/lib/qubes/vm-templates/"
	maxPart  = 1 << 30
	maxParts = 100
)

// top is the template's folder.
func (s *Subject) top() string {
	return folder + strings.TrimPrefix(s.Header.String(rpm.Name), namePrefix)
}

func scanFiles(s *Subject, f *findings) {
	if s.fileErr != nil {
		f.fail("P2", "%v", s.fileErr)
		f.fail("L10", "%v", s.fileErr)
	}
	if len(s.files) == 0 {
		f.fail("L10", "package has no files")
	}
	top := s.top()
	for _, x := range s.files {
		switch {
		case path.Clean(x.Name) != x.Name || x.Name != top && !strings.HasPrefix(x.Name, top+"/"):
			f.fail("L10", "file %s lies outside %s", short(x.Name), top)
		case !x.Regular() && x.Mode&rpm.ModeType != rpm.ModeDir:
			f.fail("L10", "file %s is neither a plain file nor a folder", short(x.Name))
		}
	}
}

// scanOwners wants files that mean nothing if they are unpacked by accident.
func scanOwners(s *Subject, f *findings) {
	for _, x := range s.files {
		ours := x.User == "root" && x.Group == "root" && x.Mode&0o7022 == 0 && !x.Ghost()
		if !ours && !(f.profile >= Stock && stockFile(x, s.top())) {
			f.fail("P3", "file %s has mode %04o, owner %s:%s%s", short(x.Name), x.Mode&0o7777, x.User, x.Group, map[bool]string{true: ", a ghost"}[x.Ghost()])
		}
	}
}

func scanParts(s *Subject, f *findings) {
	top := s.top() + "/"
	parts, whole := 0, 0
	for _, x := range s.files {
		if x.Ghost() && f.profile >= Stock || !strings.Contains(x.Name, "root.img") {
			continue
		}
		if f.profile >= Stock && (x.Name == top+"root.img" || x.Name == top+"root.img.tar") {
			whole++
			continue
		}
		if want := fmt.Sprintf("%sroot.img.part.%02d", top, parts); x.Name != want {
			f.fail("L11", "image part %s stands where %q belongs", short(x.Name), want)
			return
		}
		if x.Size == 0 || x.Size > maxPart {
			f.fail("L11", "image part %q is empty or larger than 1 GiB", x.Name)
		}
		parts++
	}
	switch {
	case whole == 0 && (parts == 0 || parts > maxParts):
		f.fail("L11", "package has %d image parts; 1 to %d are needed", parts, maxParts)
	case whole > 1 || whole > 0 && parts > 0:
		f.fail("L11", "package has more than one image")
	}
}

// active are tags that make a package do something when it is installed or removed.
var active = []struct {
	what string
	tags []rpm.Tag
}{
	{"the script %pre", []rpm.Tag{rpm.PreIn, rpm.PreInProg, 5020}},
	{"the script %post", []rpm.Tag{rpm.PostIn, 1086, 5021}},
	{"the script %preun", []rpm.Tag{rpm.PreUn, 1087, 5022}},
	{"the script %postun", []rpm.Tag{rpm.PostUn, 1088, 5023}},
	{"the script %pretrans", []rpm.Tag{rpm.PreTrans, 1153, 5024}},
	{"the script %posttrans", []rpm.Tag{rpm.PostTrans, 1154, 5025}},
	{"the script %preuntrans", []rpm.Tag{rpm.PreUnTrans, 5105, 5108}},
	{"the script %postuntrans", []rpm.Tag{rpm.PostUnTrans, 5107, 5109}},
	{"the script %verify", []rpm.Tag{rpm.VerifyScript, 1091, 5026}},
	{"a trigger", []rpm.Tag{rpm.TriggerScripts, rpm.TriggerName, 1067, 1068, 1069, 1092, 5027}},
	{"a file trigger", []rpm.Tag{5066, 5067, 5068, rpm.FileTriggerName, 5070, 5071, 5072, 5084}},
	{"a transaction trigger", []rpm.Tag{5076, 5077, 5078, rpm.TransTriggerName, 5080, 5081, 5082, 5085}},
	{"file capabilities", []rpm.Tag{rpm.FileCaps}},
	{"a conflict", []rpm.Tag{rpm.ConflictName}},
	{"an obsolete package", []rpm.Tag{rpm.ObsoleteName}},
	{"an optional dependency", []rpm.Tag{rpm.RecommendName, rpm.SuggestName, rpm.SupplementName, rpm.EnhanceName, 1156, 1159, 5035}},
	{"a security policy", []rpm.Tag{1150, 5030}},
	{"folders to choose", []rpm.Tag{1098, 1099}},
}

func scanActive(s *Subject, f *findings) {
	h := s.Header
	stock := f.profile >= Stock
	for _, a := range active {
		for _, tag := range a.tags {
			if h.Has(tag) && !(stock && stockTag(h, tag)) {
				f.fail("L14", "package has %s (tag %d)", a.what, tag)
			}
		}
	}
	for _, name := range h.Strings(rpm.RequireName) {
		if !strings.HasPrefix(name, "rpmlib(") && !(stock && stockRequires(h, name)) {
			f.fail("L14", "package requires %s", short(name))
		}
	}
	for _, name := range h.Strings(rpm.ProvideName) {
		if name != h.String(rpm.Name) && !(stock && name == stockProvides) {
			f.fail("L14", "package provides %s", short(name))
		}
	}
}

func scanKind(s *Subject, f *findings) {
	if s.Header.String(rpm.SourceRPM) == "" || s.Header.Has(rpm.SourcePackage) {
		f.fail("L15", "header is that of a source package")
	}
	if s.Package != nil && binary.BigEndian.Uint16(s.Package.Lead[6:]) != 0 {
		f.fail("L15", "lead says source package")
	}
}
