package pack

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goreleaser/nfpm/v2"

	"colophon/pack/lint"
	"colophon/pack/rpm"
)

// spec is a package as its header and payload need it: nfpm's Info, checked and
// made independent of the host.
type spec struct {
	file        string // where mistakes are to be corrected
	nevra       rpm.NEVRA
	at          time.Time
	texts       []text
	compression Compression
	relations   []relations
	scripts     []script
	entries     []entry
	image       string // path of the root image; "" in an ordinary package
	folder      string // of the image's parts
	partSize    int64  // at most
}

// text is a header string that the author wrote.
type text struct {
	tag   rpm.Tag
	name  string
	value string
	lines bool // more than one line is fine
	must  bool
}

// archNames are rpm's words for the architectures of Go, which nfpm takes too.
var archNames = map[string]string{
	"all": "noarch", "amd64": "x86_64", "386": "i386", "arm64": "aarch64", "arm5": "armv5tel", "arm6": "armv6hl",
	"arm7": "armv7hl", "mips64le": "mips64el", "mipsle": "mipsel", "loong64": "loongarch64",
}

// nevraOf names the package of an Info by nfpm's rules for rpm.
func nevraOf(info *nfpm.Info) (rpm.NEVRA, error) {
	n := rpm.NEVRA{Name: info.Name, Version: info.Version, Release: cmp.Or(info.Release, "1")}
	if info.Prerelease != "" {
		n.Version += "~" + strings.ReplaceAll(info.Prerelease, "-", "_")
	}
	if info.VersionMetadata != "" {
		n.Version += "+" + info.VersionMetadata
	}
	n.Arch = cmp.Or(info.RPM.Arch, archNames[info.Arch], info.Arch)
	if info.Epoch != "" {
		epoch, err := strconv.ParseUint(info.Epoch, 10, 31)
		if err != nil {
			return n, fmt.Errorf("epoch %q is not a number from 0 to 2147483647", info.Epoch)
		}
		n.Epoch = uint32(epoch)
	}
	return n, n.Check()
}

// newSpec checks everything but the image and reads the other contents. file is
// named in errors, which are *InputError. Contents of the folder root may not lead
// out of it by symbolic links; "" allows everything.
func newSpec(file, root string, info *nfpm.Info) (*spec, error) {
	s := &spec{file: file, at: info.MTime.UTC().Truncate(time.Second), partSize: maxPart}
	bad := func(err error, advice string) error { return &InputError{file, 0, err.Error(), advice} }
	var err error
	if s.nevra, err = nevraOf(info); err != nil {
		return nil, bad(err, "correct name, version, release, arch or epoch")
	}
	if err := refuseUnsupported(info); err != nil {
		return nil, bad(err, "remove it, or build this package with another tool")
	}
	if info.MTime.IsZero() {
		return nil, bad(errors.New("mtime is missing"), "add the build date, such as mtime: 2026-01-31T00:00:00Z, or set SOURCE_DATE_EPOCH")
	}
	if s.at.Unix() < 0 || s.at.Unix() > math.MaxInt32 {
		return nil, bad(errors.New("mtime does not fit into a package"), "use a date between 1970 and 2038")
	}
	summary, _, _ := strings.Cut(info.Description, "\n")
	s.texts = []text{
		{rpm.Summary, "summary", cmp.Or(info.RPM.Summary, summary), false, true},
		{rpm.Description, "description", info.Description, true, true},
		{rpm.Vendor, "vendor", info.Vendor, false, false},
		{rpm.License, "license", info.License, false, true},
		{rpm.Packager, "maintainer", cmp.Or(info.RPM.Packager, info.Maintainer), false, false},
		{rpm.Group, "group", cmp.Or(info.RPM.Group, "Unspecified"), false, true},
		{rpm.URL, "homepage", info.Homepage, false, false},
		{rpm.BuildHost, "buildhost", cmp.Or(info.RPM.BuildHost, buildHost), false, true},
	}
	for _, t := range s.texts {
		if err := t.check(); err != nil {
			return nil, bad(fmt.Errorf("%s %w", t.name, err), "correct that text")
		}
	}
	if s.compression, err = parseCompression(info.RPM.Compression); err != nil {
		return nil, bad(fmt.Errorf("rpm.compression %w", err), "write it like zstd:2 or libzstd:19")
	}
	if err := s.compression.check(func(key, reason, advice string) error {
		return &InputError{file, 0, key + " " + reason, advice}
	}); err != nil {
		return nil, err
	}
	if s.relations, err = relationsOf(info); err != nil {
		return nil, bad(err, "write a relation like name, or name >= 1.2-3")
	}
	if s.scripts, err = readScripts(info); err != nil {
		return nil, bad(err, "use scripts for /bin/sh of at most 1 MiB, or none")
	}
	return s, s.readContents(root, info)
}

// refuseUnsupported names the first thing that nfpm knows and we do not make.
func refuseUnsupported(info *nfpm.Info) error {
	for _, x := range []struct {
		name string
		set  bool
	}{
		{"changelog", info.Changelog != ""},
		{"rpm.prefixes", len(info.RPM.Prefixes) > 0},
		{"rpm.scripts.verify", info.RPM.Scripts.Verify != ""},
		{"rpm.signature.key_file (the publisher's key signs)", info.RPM.Signature.KeyFile != ""},
		{"platform " + info.Platform, info.Platform != "" && info.Platform != "linux"},
	} {
		if x.set {
			return fmt.Errorf("%s is not supported", x.name)
		}
	}
	return nil
}

func (t text) check() error {
	switch {
	case t.value == "" && t.must:
		return errors.New("is missing")
	case !utf8.ValidString(t.value):
		return errors.New("is not UTF-8")
	}
	for _, r := range t.value {
		if unicode.IsControl(r) && !(t.lines && (r == '\n' || r == '\t')) {
			return fmt.Errorf("holds the control character %q", r)
		}
	}
	return nil
}

// profile is the set of rules that the package must meet. What is called a
// template is held to be one, with an image or not.
func (s *spec) profile() lint.Profile {
	if strings.HasPrefix(s.nevra.Name, templatePrefix) {
		return lint.Template
	}
	return lint.Plain
}
