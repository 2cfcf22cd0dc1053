package rpmmd

import (
	"errors"
	"fmt"

	"colophon/pack/rpm"
)

// PackageInfo is what primary says about one package. Sizes are bytes, times
// seconds since 1970, header offsets count from the start of the file. The
// location is not a field: it is Href(NEVRA).
type PackageInfo struct {
	NEVRA         rpm.NEVRA
	SHA256        string // of the file, lower-case hex; joins the three files
	Size          int64
	InstalledSize int64
	ArchiveSize   int64 // of the uncompressed payload
	BuildTime     int64
	HeaderStart   int64
	HeaderEnd     int64

	Summary     string
	Description string
	Packager    string
	URL         string
	License     string
	Vendor      string
	Group       string
	BuildHost   string
	SourceRPM   string

	// Nil when there are none. A list that is not nil and empty is written as
	// an empty element: what createrepo_c makes of entries without names.
	Provides, Requires, Conflicts, Obsoletes    []Dependency
	Suggests, Enhances, Recommends, Supplements []Dependency
	Files                                       []FileEntry // those that primary lists
}

// Dependency is one entry of a dependency list. Flags is "LT", "GT", "EQ",
// "LE", "GE" or "", and without it there is no version.
type Dependency struct {
	Name    string `xml:"name,attr"`
	Flags   string `xml:"flags,attr"`
	Epoch   string `xml:"epoch,attr"`
	Version string `xml:"ver,attr"`
	Release string `xml:"rel,attr"`
	Pre     string `xml:"pre,attr"` // "1" when needed while scripts run, else ""
}

// FileEntry is a file of a package. Type is "dir", "ghost" or "".
type FileEntry struct {
	Path string `xml:",chardata"`
	Type string `xml:"type,attr"`
}

// relations lists the dependencies in the order of primary.
func (p *PackageInfo) relations() []relation {
	return []relation{
		{"provides", p.Provides}, {"requires", p.Requires}, {"conflicts", p.Conflicts}, {"obsoletes", p.Obsoletes},
		{"suggests", p.Suggests}, {"enhances", p.Enhances}, {"recommends", p.Recommends}, {"supplements", p.Supplements},
	}
}

type relation struct {
	name string
	list []Dependency
}

// check refuses values that have a form in XML but no sense.
func (p *PackageInfo) check() error {
	if err := p.NEVRA.Check(); err != nil {
		return err
	}
	if !isSHA256(p.SHA256) {
		return fmt.Errorf("digest %q is not a SHA-256 in lower-case hex", p.SHA256)
	}
	if p.Size <= 0 {
		return errors.New("size is not positive")
	}
	if min(p.InstalledSize, p.ArchiveSize, p.BuildTime, p.HeaderStart) < 0 || p.HeaderStart > p.HeaderEnd || p.HeaderEnd > p.Size {
		return errors.New("sizes, build time or header range are out of range")
	}
	return nil
}

// appendXML appends the package element of primary.
func (p *PackageInfo) appendXML(b []byte) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	start := len(b)
	e := &encoder{b: b}
	e.raw("<package type=\"rpm\">\n")
	e.text("  ", "name", p.NEVRA.Name)
	e.text("  ", "arch", p.NEVRA.Arch)
	e.version(p.NEVRA)
	e.open("  ", "checksum")
	e.raw(` type="sha256" pkgid="YES"`)
	e.content("checksum", p.SHA256)
	e.text("  ", "summary", p.Summary)
	e.text("  ", "description", p.Description)
	e.text("  ", "packager", p.Packager)
	e.text("  ", "url", p.URL)
	e.open("  ", "time")
	e.number("file", p.BuildTime)
	e.number("build", p.BuildTime)
	e.close()
	e.open("  ", "size")
	e.number("package", p.Size)
	e.number("installed", p.InstalledSize)
	e.number("archive", p.ArchiveSize)
	e.close()
	e.open("  ", "location")
	e.attr("href", Href(p.NEVRA))
	e.close()
	e.raw("  <format>\n")
	e.text("    ", "rpm:license", p.License)
	e.text("    ", "rpm:vendor", p.Vendor)
	e.text("    ", "rpm:group", p.Group)
	e.text("    ", "rpm:buildhost", p.BuildHost)
	e.text("    ", "rpm:sourcerpm", p.SourceRPM)
	e.open("    ", "rpm:header-range")
	e.number("start", p.HeaderStart)
	e.number("end", p.HeaderEnd)
	e.close()
	for _, r := range p.relations() {
		e.relation(r)
	}
	for _, f := range p.Files {
		e.file("    ", f)
	}
	e.raw("  </format>\n</package>\n")
	if size := len(e.b) - start; size > maxPackage {
		e.fail("entry in primary has %d bytes; at most %d are allowed", size, maxPackage)
	}
	return e.b, e.err
}

func (e *encoder) version(n rpm.NEVRA) {
	e.open("  ", "version")
	e.number("epoch", int64(n.Epoch))
	e.attr("ver", n.Version)
	e.attr("rel", n.Release)
	e.close()
}

func (e *encoder) relation(r relation) {
	if r.list == nil {
		return
	}
	e.open("    ", "rpm:"+r.name)
	if len(r.list) == 0 {
		e.close()
		return
	}
	e.raw(">\n")
	for _, d := range r.list {
		e.open("      ", "rpm:entry")
		e.attr("name", d.Name)
		for _, a := range [][2]string{{"flags", d.Flags}, {"epoch", d.Epoch}, {"ver", d.Version}, {"rel", d.Release}, {"pre", d.Pre}} {
			if a[1] != "" {
				e.attr(a[0], a[1])
			}
		}
		e.close()
	}
	e.raw("    </rpm:")
	e.raw(r.name)
	e.raw(">\n")
}

func (e *encoder) file(indent string, f FileEntry) {
	e.open(indent, "file")
	if f.Type != "" {
		e.attr("type", f.Type)
	}
	e.content("file", f.Path)
}
