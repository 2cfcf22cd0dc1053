package rpmmd

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"colophon/pack/rpm"
)

// ParsePrimary reads an open primary.xml. It accepts exactly what Build writes
// for the packages that it gives back, in their order: one element at a time is
// decoded, encoded again and compared, so neither entities nor unknown elements
// nor another place of the package get through. Memory grows only with what was
// accepted, up to 16 MiB for one package; bound r for a limit on the whole.
func ParsePrimary(r io.Reader) ([]PackageInfo, error) {
	list, err := parsePrimary(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("read primary: %w", err)
	}
	return list, nil
}

func parsePrimary(r *bufio.Reader) ([]PackageInfo, error) {
	doc := documents[0]
	count, err := readCount(r, doc)
	if err != nil {
		return nil, err
	}
	var list []PackageInfo
	var raw, again []byte
	for i := range count {
		if raw, err = readElement(r, raw[:0]); err != nil {
			return nil, fmt.Errorf("package %d: %w", i+1, err)
		}
		p, err := decodePackage(raw)
		if err == nil {
			again, err = p.appendXML(again[:0])
		}
		if err == nil && !bytes.Equal(raw, again) {
			err = errNotCanonical
		}
		if err == nil && i > 0 && compareHref(Href(list[i-1].NEVRA), Href(p.NEVRA)) >= 0 {
			err = errors.New("stands twice or out of order")
		}
		if err != nil {
			return nil, fmt.Errorf("package %d: %w", i+1, err)
		}
		list = append(list, p)
	}
	rest, err := io.ReadAll(io.LimitReader(r, int64(len(doc.end))+1))
	if err == nil && string(rest) != doc.end {
		err = fmt.Errorf("does not end behind its %d packages", count)
	}
	return list, err
}

// readCount reads the lines before the first package.
func readCount(r *bufio.Reader, doc document) (int, error) {
	start := make([]byte, len(doc.start))
	if _, err := io.ReadFull(r, start); err != nil {
		return 0, cutOff(err)
	}
	line, err := r.ReadSlice('\n') // at most the reader's buffer
	if err != nil {
		return 0, cutOff(err)
	}
	digits, _ := strings.CutPrefix(string(line), `"`)
	digits, _ = strings.CutSuffix(digits, "\">\n")
	count, err := strconv.Atoi(digits)
	if err != nil || string(start)+string(line) != doc.header(count) {
		return 0, errNotCanonical
	}
	if count < 0 || count > maxPackages {
		return 0, fmt.Errorf("has %d packages; at most %d are allowed", count, maxPackages)
	}
	return count, nil
}

// readElement appends one package's element to b. Text cannot hold the end tag,
// because "<" is escaped.
func readElement(r *bufio.Reader, b []byte) ([]byte, error) {
	for !bytes.HasSuffix(b, []byte("\n</package>\n")) {
		part, err := r.ReadSlice('\n')
		b = append(b, part...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return b, cutOff(err)
		}
		if len(b) > maxPackage {
			return b, fmt.Errorf("has more than %d bytes", maxPackage)
		}
	}
	return b, nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, bufio.ErrBufferFull) {
		return errors.New("is cut off")
	}
	return err
}

func decodePackage(raw []byte) (PackageInfo, error) {
	type list *struct {
		Entries []Dependency `xml:"entry"`
	}
	var x struct {
		Name    string `xml:"name"`
		Arch    string `xml:"arch"`
		Version struct {
			Epoch   uint32 `xml:"epoch,attr"`
			Version string `xml:"ver,attr"`
			Release string `xml:"rel,attr"`
		} `xml:"version"`
		Checksum    string `xml:"checksum"`
		Summary     string `xml:"summary"`
		Description string `xml:"description"`
		Packager    string `xml:"packager"`
		URL         string `xml:"url"`
		Time        struct {
			Build int64 `xml:"build,attr"`
		} `xml:"time"`
		Size struct {
			Package   int64 `xml:"package,attr"`
			Installed int64 `xml:"installed,attr"`
			Archive   int64 `xml:"archive,attr"`
		} `xml:"size"`
		Format struct {
			License     string `xml:"license"`
			Vendor      string `xml:"vendor"`
			Group       string `xml:"group"`
			BuildHost   string `xml:"buildhost"`
			SourceRPM   string `xml:"sourcerpm"`
			HeaderRange struct {
				Start int64 `xml:"start,attr"`
				End   int64 `xml:"end,attr"`
			} `xml:"header-range"`
			Provides    list        `xml:"provides"`
			Requires    list        `xml:"requires"`
			Conflicts   list        `xml:"conflicts"`
			Obsoletes   list        `xml:"obsoletes"`
			Suggests    list        `xml:"suggests"`
			Enhances    list        `xml:"enhances"`
			Recommends  list        `xml:"recommends"`
			Supplements list        `xml:"supplements"`
			Files       []FileEntry `xml:"file"`
		} `xml:"format"`
	}
	if err := xml.Unmarshal(raw, &x); err != nil {
		return PackageInfo{}, err
	}
	entries := func(l list) []Dependency {
		if l == nil {
			return nil
		}
		return append([]Dependency{}, l.Entries...)
	}
	f := x.Format
	return PackageInfo{
		NEVRA:  rpm.NEVRA{Name: x.Name, Epoch: x.Version.Epoch, Version: x.Version.Version, Release: x.Version.Release, Arch: x.Arch},
		SHA256: x.Checksum, Size: x.Size.Package, InstalledSize: x.Size.Installed, ArchiveSize: x.Size.Archive,
		BuildTime: x.Time.Build, HeaderStart: f.HeaderRange.Start, HeaderEnd: f.HeaderRange.End,
		Summary: x.Summary, Description: x.Description, Packager: x.Packager, URL: x.URL,
		License: f.License, Vendor: f.Vendor, Group: f.Group, BuildHost: f.BuildHost, SourceRPM: f.SourceRPM,
		Provides: entries(f.Provides), Requires: entries(f.Requires), Conflicts: entries(f.Conflicts),
		Obsoletes: entries(f.Obsoletes), Suggests: entries(f.Suggests), Enhances: entries(f.Enhances),
		Recommends: entries(f.Recommends), Supplements: entries(f.Supplements), Files: f.Files,
	}, nil
}
