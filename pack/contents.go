package pack

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"

	"colophon/pack/rpm"
)

// Fixed values of template packages.
const (
	templatePrefix = "qubes-template-"
	folder         = "/var/lib/qubes/vm-templates/"
	imageName      = "root.img"
)

// Modes of files as the package has them.
const (
	dirMode  = 0o040755
	fileMode = 0o100644
	linkMode = 0o120777
	execMode = 0o100755
	typeMask = 0o170000
)

// entry is one file of the package.
type entry struct {
	cpio         rpm.CpioEntry
	owner, group string
	flags        uint32 // rpm's RPMFILE_ bits
	link         string // target of a symbolic link
	ghost        bool   // owned, but not in the payload
	data         []byte // content of a file, or a link's target, or
	part         *part  // a part of the image
}

// flagsOf are the bits of nfpm's content types (rpmfiles.h).
var flagsOf = map[string]uint32{
	files.TypeConfig: 1, files.TypeConfigNoReplace: 1 | 1<<4, files.TypeConfigMissingOK: 1 | 1<<3,
	files.TypeRPMDoc: 1 << 1, files.TypeRPMGhost: 1 << 6, files.TypeRPMLicence: 1 << 7, files.TypeRPMLicense: 1 << 7,
	files.TypeRPMReadme: 1 << 8,
}

const (
	// maxContents bounds the files of a package besides the image, in bytes
	// together: they are held in memory.
	maxContents = 64 << 20
	// unset marks modes that the author did not give, so that nfpm does not
	// take the host's.
	unset = fs.ModeIrregular
)

// readContents turns nfpm's contents into entries, sorted by path. The host has
// no say: modes that are not given are 0755 for what its owner may execute and
// for folders, 0644 for the rest, and times are the package's.
func (s *spec) readContents(root string, info *nfpm.Info) error {
	bad := func(name string, err error, advice string) error {
		return &InputError{s.file, 0, fmt.Sprintf("content %q %s", name, reason(err)), advice}
	}
	list, err := files.PrepareForPackager(withoutModes(info.Contents), info.Umask, "rpm", info.DisableGlobbing, s.at)
	if err != nil {
		return &InputError{s.file, 0, err.Error(), "correct the contents"}
	}
	template, isTemplate := strings.CutPrefix(s.nevra.Name, templatePrefix)
	room := int64(maxContents)
	for _, c := range list {
		if c.Type == files.TypeImplicitDir {
			continue
		}
		name := strings.TrimSuffix(c.Destination, "/")
		if err := checkPath(name); err != nil {
			return bad(name, err, "use another path")
		}
		if isTemplate && c.Type == files.TypeFile && name == folder+template+"/"+imageName {
			s.image, s.folder = filepath.FromSlash(c.Source), path.Dir(name)
			continue
		}
		e, err := newEntry(c, name)
		e.cpio.MTime = uint32(s.at.Unix())
		if err == nil && e.cpio.Mode&typeMask == fileMode&typeMask && !e.ghost {
			err = e.read(root, c, room)
		}
		if err != nil {
			return bad(name, err, "check contents")
		}
		room -= int64(len(e.data))
		s.entries = append(s.entries, e)
	}
	return nil
}

// withoutModes copies the contents, which nfpm will change, and marks the modes
// that it would otherwise read from the host.
func withoutModes(list files.Contents) files.Contents {
	var out files.Contents
	for _, c := range list {
		copied, info := *c, files.ContentFileInfo{}
		if c.FileInfo != nil {
			info = *c.FileInfo
		}
		if info.Mode == 0 {
			info.Mode = unset
		}
		info.Size = 0
		copied.FileInfo = &info
		out = append(out, &copied)
	}
	return out
}

var accountRE = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$`)

// newEntry makes an entry without content.
func newEntry(c *files.Content, name string) (entry, error) {
	e := entry{
		cpio:  rpm.CpioEntry{Name: name, Mode: fileMode, Links: 1},
		owner: c.FileInfo.Owner, group: c.FileInfo.Group,
		flags: flagsOf[c.Type], ghost: c.Type == files.TypeRPMGhost,
	}
	if !accountRE.MatchString(e.owner) || !accountRE.MatchString(e.group) {
		return e, fmt.Errorf("has the owner %q and the group %q", e.owner, e.group)
	}
	switch c.Type {
	case files.TypeSymlink:
		if e.link = c.Source; checkPath(e.link) != nil {
			return e, fmt.Errorf("is a link to %q", e.link)
		}
		e.cpio.Mode, e.data = linkMode, []byte(e.link)
		e.cpio.Size = int64(len(e.data))
		return e, nil
	case files.TypeDir:
		e.cpio.Mode, e.cpio.Links = dirMode, 2
	}
	if c.Mode()&unset == 0 {
		e.cpio.Mode = e.cpio.Mode&typeMask | uint32(c.Mode())&0o7777
	}
	return e, nil
}

// read takes the content of a regular file, of at most room bytes.
func (e *entry) read(root string, c *files.Content, room int64) error {
	source := filepath.FromSlash(c.Source)
	if root != "" {
		var err error
		if source, err = resolveInside(root, source); err != nil {
			return err
		}
	}
	data, mode, err := readRegularMode(source, room)
	if err != nil {
		return err
	}
	if c.Mode()&unset != 0 && mode&0o100 != 0 {
		e.cpio.Mode = execMode
	}
	e.data, e.cpio.Size = data, int64(len(data))
	if e.cpio.MTime = uint32(c.ModTime().Unix()); c.ModTime().Unix() < 0 || c.ModTime().Unix() > math.MaxInt32 {
		return errors.New("has a time that does not fit into a package")
	}
	return nil
}

// checkPath holds a path of the package to what every tool can read.
func checkPath(p string) error {
	switch {
	case p == "":
		return errors.New("has no path")
	case len(p) > 1024:
		return errors.New("has a path of more than 1024 bytes")
	case !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		return errors.New("has a path with control characters, or not in UTF-8")
	}
	return nil
}

// SideFile is a small file beside the image.
type SideFile struct {
	Name string
	Data []byte
}

// SHA256 is the file's digest, hex.
func (f SideFile) SHA256() string {
	sum := sha256.Sum256(f.Data)
	return hex.EncodeToString(sum[:])
}

// sideFiles are the regular files beside the image, sorted by name.
func (s *spec) sideFiles() []SideFile {
	var list []SideFile
	for _, e := range s.entries {
		if s.image != "" && path.Dir(e.cpio.Name) == s.folder && e.digest() != "" {
			list = append(list, SideFile{path.Base(e.cpio.Name), e.data})
		}
	}
	return list
}

// digest of a file's content, hex; "" for what is no regular file and for ghosts.
func (e entry) digest() string {
	if e.cpio.Mode&typeMask != fileMode&typeMask || e.ghost || e.part != nil {
		return ""
	}
	return SideFile{Data: e.data}.SHA256()
}

// archive lists all entries with the parts of the image, in the order of their
// paths, which is the order of the header and of the payload.
func (s *spec) archive(parts []part) []entry {
	list := slices.Clone(s.entries)
	for i := range parts {
		list = append(list, entry{
			cpio: rpm.CpioEntry{
				Name: s.folder + "/" + parts[i].name, Mode: fileMode, Links: 1,
				Size: parts[i].size, MTime: uint32(s.at.Unix()),
			},
			owner: "root", group: "root", part: &parts[i],
		})
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.cpio.Name, b.cpio.Name) })
	for i := range list {
		list[i].cpio.Inode = uint32(i + 1)
	}
	return list
}
