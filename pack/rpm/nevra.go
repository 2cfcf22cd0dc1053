package rpm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// NEVRA names a package: name, epoch, version, release, architecture.
type NEVRA struct {
	Name    string
	Epoch   uint32 // 0 and absent mean the same
	Version string
	Release string
	Arch    string
}

// Characters that are safe in file names, URLs and every client's parser.
var (
	nameRE = regexp.MustCompile(`^[A-Za-z0-9._+][A-Za-z0-9._+~^-]*$`)
	partRE = regexp.MustCompile(`^[A-Za-z0-9._+~^]+$`)
	archRE = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
)

// maxNEVRA keeps file names with their suffixes within 255 bytes.
const maxNEVRA = 220

// Check refuses names that are unsafe as file or object names.
func (n NEVRA) Check() error {
	switch {
	case !nameRE.MatchString(n.Name):
		return fmt.Errorf("package name %q holds characters outside [A-Za-z0-9._+~^-]", n.Name)
	case !partRE.MatchString(n.Version):
		return fmt.Errorf("version %q holds characters outside [A-Za-z0-9._+~^]", n.Version)
	case !partRE.MatchString(n.Release):
		return fmt.Errorf("release %q holds characters outside [A-Za-z0-9._+~^]", n.Release)
	case !archRE.MatchString(n.Arch):
		return fmt.Errorf("architecture %q holds characters outside [A-Za-z0-9_]", n.Arch)
	case len(n.String()) > maxNEVRA:
		return fmt.Errorf("package name %q is longer than %d bytes", n.String(), maxNEVRA)
	}
	return nil
}

// String is name-[epoch:]version-release.arch, without a zero epoch.
func (n NEVRA) String() string { return n.Name + "-" + n.EVR() + "." + n.Arch }

// EVR is [epoch:]version-release, without a zero epoch.
func (n NEVRA) EVR() string {
	if n.Epoch == 0 {
		return n.Version + "-" + n.Release
	}
	return fmt.Sprintf("%d:%s-%s", n.Epoch, n.Version, n.Release)
}

// FileName is the file name by convention: name-version-release.arch.rpm.
func (n NEVRA) FileName() string {
	return n.Name + "-" + n.Version + "-" + n.Release + "." + n.Arch + ".rpm"
}

// Path is the package's place in the public tree.
func (n NEVRA) Path() string { return "packages/" + n.Name + "/" + n.FileName() }

// ParseNEVRA reads what String writes.
func ParseNEVRA(s string) (NEVRA, error) {
	var n NEVRA
	rest, arch, ok := cutLast(s, ".")
	if ok {
		n.Arch = arch
		if rest, n.Release, ok = cutLast(rest, "-"); ok {
			n.Name, n.Version, ok = cutLast(rest, "-")
		}
	}
	if !ok {
		return NEVRA{}, fmt.Errorf("%q is not name-[epoch:]version-release.arch", s)
	}
	if epoch, version, has := strings.Cut(n.Version, ":"); has {
		e, err := strconv.ParseUint(epoch, 10, 31)
		if err != nil {
			return NEVRA{}, fmt.Errorf("%q has a malformed epoch", s)
		}
		n.Epoch, n.Version = uint32(e), version
	}
	if err := n.Check(); err != nil {
		return NEVRA{}, err
	}
	if n.String() != s {
		return NEVRA{}, fmt.Errorf("%q is not in canonical form %q", s, n.String())
	}
	return n, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
