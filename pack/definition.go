package pack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"
	"go.yaml.in/yaml/v3"

	"colophon/pack/rpm"
)

// Definition is a template.yaml: what goes into a template's package and what
// is said about it. Paths are relative to the file.
type Definition struct {
	Name        string      `yaml:"name"` // N gives the package qubes-template-N
	Version     string      `yaml:"version"`
	Release     string      `yaml:"release"`
	Date        Date        `yaml:"date"` // build time and signature time
	Summary     string      `yaml:"summary"`
	Description string      `yaml:"description"`
	License     string      `yaml:"license"` // one token
	URL         string      `yaml:"url"`
	Image       string      `yaml:"image"`
	Files       []string    `yaml:"files"`
	Compression Compression `yaml:"compression"`
	Log         LogSource   `yaml:"log"`
	Repository  string      `yaml:"repository"`

	path   string
	digest string
}

// Date is an RFC 3339 time or a day (then midnight UTC), in whole seconds.
type Date struct{ time.Time }

// UnmarshalYAML reads a scalar.
func (d *Date) UnmarshalYAML(n *yaml.Node) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, n.Value); err == nil {
			d.Time = t.UTC().Truncate(time.Second)
			return nil
		}
	}
	return fmt.Errorf("line %d: date %q is neither 2006-01-02 nor 2006-01-02T15:04:05Z", n.Line, n.Value)
}

// Bytes is a size: a number of bytes, or a whole number with KiB, MiB or GiB.
type Bytes int64

// UnmarshalYAML reads a scalar.
func (b *Bytes) UnmarshalYAML(n *yaml.Node) error {
	number, unit := n.Value, int64(1)
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if s, ok := strings.CutSuffix(n.Value, suffix); ok {
			number, unit = strings.TrimSpace(s), factor
		}
	}
	v, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return fmt.Errorf("line %d: size %q is not a number of bytes, KiB, MiB or GiB", n.Line, n.Value)
	}
	*b = Bytes(int64(v) * unit)
	return nil
}

// LogSource is a build log, or the reason why there is none.
type LogSource struct {
	Path string
	None string
}

// UnmarshalYAML reads a path, or a mapping with the one key none.
func (l *LogSource) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		l.Path = n.Value
		return nil
	}
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[0].Value != "none" {
		return fmt.Errorf("line %d: log is a path or {none: REASON}", n.Line)
	}
	if l.None = strings.TrimSpace(n.Content[1].Value); l.None == "" {
		return fmt.Errorf("line %d: none needs a reason", n.Line)
	}
	return nil
}

// Patterns of the clients that list templates (docs/formats.md, lint rules).
var (
	templateName = regexp.MustCompile(`^[A-Za-z0-9._+][A-Za-z0-9._+-]*$`)
	versionPart  = regexp.MustCompile(`^[A-Za-z0-9._+~]+$`)
	licenseToken = regexp.MustCompile(`^[A-Za-z0-9._+()][A-Za-z0-9._+()-]*$`)
	sideFile     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

const (
	maxSideFile = 1 << 20 // also of a script
	minFrame    = 64 << 10
	maxFrame    = 4 << 20
)

// LoadDefinition reads and checks a template.yaml. All its mistakes are
// *InputError. The image is not opened yet.
func LoadDefinition(file string) (*Definition, error) {
	d := &Definition{path: file}
	data, err := DecodeYAML(file, d)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	d.digest = hex.EncodeToString(sum[:])
	d.Description = strings.TrimRight(d.Description, "\n")
	d.Summary = strings.TrimRight(d.Summary, "\n")
	d.Compression.setDefaults()
	return d, d.check()
}

func (d *Definition) check() error {
	bad := func(key, reason, advice string) error {
		return &InputError{d.path, 0, key + " " + reason, advice}
	}
	for _, f := range []struct {
		key, value string
		re         *regexp.Regexp
	}{
		{"name", d.Name, templateName}, {"version", d.Version, versionPart},
		{"release", d.Release, versionPart}, {"license", d.License, licenseToken},
	} {
		if f.value == "" {
			return bad(f.key, "is missing", "add the key "+f.key)
		}
		if !f.re.MatchString(f.value) {
			return bad(f.key, fmt.Sprintf("%q cannot be parsed by template clients", f.value), "use only "+f.re.String())
		}
	}
	for _, f := range [][2]string{{"summary", d.Summary}, {"description", d.Description}, {"url", d.URL}} {
		if err := checkText(f[1], f[0] == "description"); err != nil {
			return bad(f[0], err.Error(), "one such string would blind the listing of the whole repository")
		}
	}
	if d.Date.IsZero() {
		return bad("date", "is missing", "add the build date, such as date: 2026-01-31")
	}
	if d.Date.Unix() < 0 || d.Date.Unix() > 1<<31-1 {
		return bad("date", "does not fit into a package", "use a date between 1970 and 2038")
	}
	if d.Image == "" {
		return bad("image", "is missing", "add the path of the root image")
	}
	if d.Repository == "" {
		return bad("repository", "is missing", "name one of the repositories of colophon.yaml")
	}
	if d.Log == (LogSource{}) {
		return bad("log", "is missing", "name the build log, or say why there is none: log: {none: REASON}")
	}
	if d.Log.None != "" && checkText(d.Log.None, false) != nil {
		return bad("log", "none needs a reason in one line of plain ASCII", "shorten the reason")
	}
	for i, f := range d.Files {
		name := path.Base(f)
		if !sideFile.MatchString(name) || strings.HasPrefix(name, "root.img") {
			return bad("files", fmt.Sprintf("%q cannot stand beside the image", name), "use only "+sideFile.String()+", and not root.img")
		}
		if slices.ContainsFunc(d.Files[:i], func(g string) bool { return path.Base(g) == name }) {
			return bad("files", fmt.Sprintf("%q stands twice", name), "all files are installed in one folder")
		}
	}
	if err := d.NEVRA().Check(); err != nil {
		return bad("name", err.Error(), "shorten it")
	}
	return d.Compression.check(bad)
}

// checkText holds a string to what template listings survive: printable ASCII
// without the field separator.
func checkText(s string, lines bool) error {
	if s == "" {
		return errors.New("is missing")
	}
	for _, r := range s {
		if r > 126 || r < 32 && (r != '\n' || !lines) {
			return errors.New("holds a character outside printable ASCII")
		}
		if r == '|' {
			return errors.New("holds a vertical bar, the field separator of template listings")
		}
	}
	if strings.HasPrefix(s, "\n") {
		return errors.New("starts with an empty line")
	}
	return nil
}

// NEVRA is the name of the package.
func (d *Definition) NEVRA() rpm.NEVRA {
	return rpm.NEVRA{Name: templatePrefix + d.Name, Version: d.Version, Release: d.Release, Arch: "noarch"}
}

// Digest is the SHA-256 of template.yaml, hex.
func (d *Definition) Digest() string { return d.digest }

// Resolve makes a path of the definition usable from here.
func (d *Definition) Resolve(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(d.path), p)
}

// OpenLog opens the build log.
func (d *Definition) OpenLog() (*os.File, error) {
	f, err := os.Open(d.Resolve(d.Log.Path))
	if err != nil {
		return nil, &InputError{d.Resolve(d.Log.Path), 0, "build log cannot be read: " + reason(err), "check log: in " + d.path}
	}
	return f, nil
}

// File is the path of the template.yaml.
func (d *Definition) File() string { return d.path }

// Info is the definition in nfpm's words: metadata, a folder, the side files and
// the image as contents. A time at that is not zero replaces the date. All files
// are looked at, and only the image's content may still be wrong.
func (d *Definition) Info(at time.Time) (*nfpm.Info, error) {
	if at.IsZero() {
		at = d.Date.Time
	}
	top := folder + d.Name
	contents := files.Contents{{Destination: top, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o755}}}
	add := func(source, name string) {
		contents = append(contents, &files.Content{
			Source: source, Destination: top + "/" + name, FileInfo: &files.ContentFileInfo{Mode: 0o644},
		})
	}
	image, err := filepath.EvalSymlinks(d.Resolve(d.Image))
	if err == nil {
		var f *os.File
		if f, _, err = openRegular(image); err == nil {
			f.Close()
		}
	}
	if err != nil {
		return nil, &InputError{d.Resolve(d.Image), 0, "image cannot be read: " + reason(err), "check image: in " + d.path}
	}
	add(image, imageName)
	for _, name := range d.Files {
		source, err := resolveInside(filepath.Dir(d.path), d.Resolve(name))
		if err == nil {
			_, err = readRegular(source, maxSideFile)
		}
		if err != nil {
			return nil, &InputError{d.Resolve(name), 0, "cannot be read: " + reason(err), "check files: in " + d.path}
		}
		add(source, path.Base(name))
	}
	n := d.NEVRA()
	return &nfpm.Info{
		Name: n.Name, Version: n.Version, VersionSchema: "none", Release: n.Release, Arch: "all", Platform: "linux",
		Description: d.Description, Homepage: d.URL, License: d.License, MTime: at, DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Contents: contents,
			RPM:      nfpm.RPM{Summary: d.Summary, Compression: d.Compression.word()},
		},
	}, nil
}
