package rpmmd

import (
	"fmt"

	"colophon/pack/rpm"
)

// Input is one package of a repository.
type Input struct {
	Package *rpm.Package // its headers
	SHA256  string       // of the file, lower-case hex
	Size    int64        // of the file, bytes
}

// Fragment is the part of metadata that one package alone decides: its element
// in each of the three files. It depends on nothing else and may be kept under
// the package's digest, together with Format.
type Fragment struct {
	Href      string
	Primary   []byte
	Filelists []byte
	Other     []byte
}

// Describe reads what primary says about a package from its headers. It
// refuses what NewFragment refuses, but for filelists and other.
func Describe(in Input) (PackageInfo, error) {
	p, _, err := describe(in)
	if err != nil {
		return PackageInfo{}, err
	}
	if _, err := p.appendXML(nil); err != nil {
		return PackageInfo{}, p.wrap(err)
	}
	return p, nil
}

// NewFragment makes a package's elements. It refuses headers whose lists do not
// fit together, text that XML cannot hold, and names unsafe in a path.
func NewFragment(in Input) (Fragment, error) {
	p, h, err := describe(in)
	if err != nil {
		return Fragment{}, err
	}
	f := Fragment{Href: Href(p.NEVRA)}
	if f.Primary, err = p.appendXML(nil); err == nil {
		f.Filelists, err = p.filelists(h.files())
	}
	if err == nil {
		f.Other, err = p.other(h.changelogs())
	}
	if err == nil {
		err = h.err
	}
	if err != nil {
		return Fragment{}, p.wrap(err)
	}
	return f, nil
}

func describe(in Input) (PackageInfo, *header, error) {
	h := &header{Header: in.Package.Header}
	signature := &header{Header: in.Package.Signature}
	p := PackageInfo{
		SHA256:      in.SHA256,
		Size:        in.Size,
		HeaderStart: in.Package.HeaderStart(),
		HeaderEnd:   in.Package.HeaderEnd(),
		ArchiveSize: signature.first(rpm.SigLongArchive, rpm.SigPayloadSize),

		InstalledSize: h.first(rpm.LongSize, rpm.Size),
		BuildTime:     h.first(rpm.BuildTime, rpm.BuildTime),
		Summary:       h.text(rpm.Summary),
		Description:   h.text(rpm.Description),
		Packager:      h.text(rpm.Packager),
		URL:           h.text(rpm.URL),
		License:       h.text(rpm.License),
		Vendor:        h.text(rpm.Vendor),
		Group:         h.text(rpm.Group),
		BuildHost:     h.text(rpm.BuildHost),
		SourceRPM:     h.text(rpm.SourceRPM),
	}
	p.NEVRA = h.nevra()
	files := h.files()
	for _, f := range files {
		if isPrimary(f.Path) {
			p.Files = append(p.Files, f)
		}
	}
	h.relations(&p, files)
	err := h.err
	if err == nil {
		err = signature.err
	}
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return PackageInfo{}, nil, p.wrap(err)
	}
	return p, h, nil
}

// nevra refuses headers whose name depends on who reads them: rpm takes a
// package without SOURCERPM for a source package, createrepo_c one with
// SOURCEPACKAGE.
func (h *header) nevra() rpm.NEVRA {
	for _, tag := range []rpm.Tag{rpm.Name, rpm.Version, rpm.Release, rpm.Arch} {
		h.text(tag)
	}
	if e, ok := h.number(rpm.Epoch); ok && e > 1<<31-1 {
		h.fail("epoch %d is larger than %d", e, 1<<31-1)
	}
	if source, _ := h.number(rpm.SourcePackage); (source != 0) == h.Has(rpm.SourceRPM) {
		h.fail("tags %d and %d disagree on whether this is a source package", rpm.SourcePackage, rpm.SourceRPM)
	}
	return h.NEVRA()
}

func (p *PackageInfo) wrap(err error) error {
	return fmt.Errorf("describe package %q: %w", p.NEVRA, err)
}

// head starts the package element of filelists and other.
func (p *PackageInfo) head() *encoder {
	e := &encoder{}
	e.open("", "package")
	e.attr("pkgid", p.SHA256)
	e.attr("name", p.NEVRA.Name)
	e.attr("arch", p.NEVRA.Arch)
	e.raw(">\n")
	e.version(p.NEVRA)
	return e
}

func (p *PackageInfo) filelists(files []FileEntry) ([]byte, error) {
	e := p.head()
	for _, f := range files {
		e.file("  ", f)
	}
	e.raw("</package>\n")
	return e.b, e.err
}

// other lists the oldest entry first.
func (p *PackageInfo) other(log []changelog) ([]byte, error) {
	e := p.head()
	for i := len(log) - 1; i >= 0; i-- {
		e.open("  ", "changelog")
		e.attr("author", log[i].author)
		e.number("date", log[i].date)
		e.content("changelog", log[i].text)
	}
	e.raw("</package>\n")
	return e.b, e.err
}
