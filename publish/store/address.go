package store

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"colophon/mirror/disk"
)

// Address is a parsed address line: SCHEME:REST, or a folder.
type Address struct {
	Scheme string // "file", "s3", "http" or "https"
	Path   string // of a folder, where Scheme is "file"; absolute or relative to the place the line stands in
	Line   string // as it was given
}

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// ParseAddress reads the line of an address:
//
//	file:PATH                       a folder; PATH is taken as it is, nothing is decoded; file:///PATH is the same
//	PATH                            a folder, where the line does not look like SCHEME:REST; "./a:b" helps
//	http://HOST/..., https://HOST/  a public tree on the web
//	s3://BUCKET/PREFIX?OPTION=...   a bucket
//
// It looks no further than the scheme for the last two.
func ParseAddress(line string) (Address, error) {
	a, err := parseAddress(line)
	if err != nil {
		return Address{}, &hinted{
			fmt.Errorf("address %q: %w", line, err),
			"write file:FOLDER; to read, also http:// and https:// addresses",
		}
	}
	return a, nil
}

func parseAddress(line string) (Address, error) {
	for _, c := range line {
		if c < ' ' || c == 0x7f || c == '\ufffd' {
			return Address{}, fmt.Errorf("it has a control character or is not UTF-8")
		}
	}
	prefix := scheme.FindString(line)
	rest := line[len(prefix):]
	name := strings.ToLower(strings.TrimSuffix(prefix, ":"))
	switch name {
	case "", "file":
		if authority, ok := strings.CutPrefix(rest, "//"); ok && name == "file" {
			if !strings.HasPrefix(authority, "/") {
				return Address{}, fmt.Errorf("it names another machine")
			}
			rest = authority
		}
		if rest == "" {
			return Address{}, fmt.Errorf("it has no path")
		}
		return Address{"file", filepath.Clean(rest), line}, nil
	case "http", "https", "s3":
		if !strings.HasPrefix(rest, "//") || len(rest) == 2 {
			return Address{}, fmt.Errorf("%s: must be followed by // and a name", name)
		}
		return Address{name, "", line}, nil
	}
	return Address{}, fmt.Errorf("unknown scheme %q", name)
}

// Options of Open and OpenReader. The zero value works.
type Options struct {
	Base string      // the folder that relative paths start from; empty for the working folder
	Disk disk.Disk   // through which a folder is written
	HTTP HTTPOptions // for readers on the web
}

// Open gives the Store at an address line. It writes nothing; see Claim.
func Open(line string, options Options) (Store, error) {
	address, err := ParseAddress(line)
	if err != nil {
		return nil, err
	}
	if address.Scheme != "file" {
		return nil, &hinted{
			fmt.Errorf("address %q: cannot write to %s: addresses", line, address.Scheme),
			"write file:FOLDER as the store",
		}
	}
	return NewFile(options.path(address), options.Disk)
}

// OpenReader gives a Reader of the public tree at an address line. A folder must exist.
func OpenReader(line string, options Options) (Reader, error) {
	address, err := ParseAddress(line)
	if err != nil {
		return nil, err
	}
	switch address.Scheme {
	case "file":
		if _, err := Tree(options.path(address)); err != nil {
			return nil, err
		}
		return NewFile(options.path(address), options.Disk)
	case "http", "https":
		return NewHTTP(line, options.HTTP)
	}
	return nil, &hinted{
		fmt.Errorf("address %q: cannot read from %s: addresses", line, address.Scheme),
		"name the http:// or https:// address under which the tree is public, or a folder",
	}
}

func (o Options) path(a Address) string {
	if filepath.IsAbs(a.Path) {
		return a.Path
	}
	return filepath.Join(o.Base, a.Path)
}
