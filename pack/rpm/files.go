package rpm

import (
	"fmt"
	"strings"
)

// File is one entry of a main header's file list.
type File struct {
	Name   string // full path
	Size   int64  // bytes
	Mode   uint16 // type and permissions, as in stat
	MTime  uint32 // seconds since 1970
	Digest string // of the content, by FileDigestAlgo; "" where there is none
	Link   string // target of a symbolic link
	Flags  uint32 // rpm's file flags
	User   string
	Group  string
	Inode  uint32 // with Device: equal numbers are hard links of each other
	Device uint32
}

// Types of files in Mode.
const (
	ModeType    = 0o170000
	ModeRegular = 0o100000
	ModeDir     = 0o040000
	ModeLink    = 0o120000
)

// flagGhost marks a file that the header lists and the payload lacks (rpmfiles.h).
const flagGhost = 1 << 6

// Ghost reports whether the payload lacks the file.
func (f File) Ghost() bool { return f.Flags&flagGhost != 0 }

// Regular reports whether the file has content.
func (f File) Regular() bool { return f.Mode&ModeType == ModeRegular }

// Bounds of file lists. A few kilobytes of header can name gigabytes of paths,
// because names share their folders. rpm takes names of up to 4096 bytes.
const (
	maxFiles = 1 << 20
	maxName  = 4096
	maxNames = 64 << 20 // bytes of all names together
)

// FileNames returns the full paths of the files that a main header lists. Nil
// when the three lists that make them up do not fit together, or are beyond
// bounds.
func (h *Header) FileNames() []string {
	for _, tag := range []Tag{BaseNames, DirNames, DirIndexes} {
		if e, _ := h.Get(tag); e.Count > maxFiles {
			return nil
		}
	}
	base, dirs, index := h.Strings(BaseNames), h.Strings(DirNames), h.Ints(DirIndexes)
	if len(base) != len(index) {
		return nil
	}
	total := 0
	for i, b := range base {
		if index[i] >= uint64(len(dirs)) {
			return nil
		}
		n := len(dirs[index[i]]) + len(b)
		if total += n; n > maxName || total > maxNames {
			return nil
		}
	}
	list := make([]string, len(base))
	for i, b := range base {
		list[i] = dirs[index[i]] + b
	}
	return list
}

// Files returns the file list of a main header; nil when it lists none. The
// lists behind it must have one length each, and no name may stand twice.
// Errors are of type *FormatError.
func (h *Header) Files() ([]File, error) {
	bad := func(format string, args ...any) ([]File, error) {
		return nil, &FormatError{"main header", fmt.Sprintf(format, args...)}
	}
	if !h.Has(BaseNames) && !h.Has(DirIndexes) {
		if h.Has(OldFileNames) {
			return bad("has a file list of rpm 3")
		}
		return nil, nil
	}
	names := h.FileNames()
	if names == nil {
		return bad("has names, folders and folder numbers of files that do not fit together, or too many of them")
	}
	list := make([]File, len(names))
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		if strings.IndexByte(name, '/') < 0 && h.Has(SourceRPM) || name == "" {
			return bad("lists the file %s, which is no path", quote(name))
		}
		if seen[name] {
			return bad("lists the file %s twice", quote(name))
		}
		seen[name] = true
		list[i].Name = name
	}
	sizes := FileSizes
	if h.Has(LongFileSizes) {
		sizes = LongFileSizes
	}
	for _, l := range []struct {
		tag   Tag
		needs bool
		set   func(f *File, v uint64) bool
	}{
		{sizes, true, func(f *File, v uint64) bool { f.Size = int64(v); return f.Size >= 0 }},
		{FileModes, true, func(f *File, v uint64) bool { f.Mode = uint16(v); return v < 1<<16 }},
		{FileMTimes, false, func(f *File, v uint64) bool { f.MTime = uint32(v); return v < 1<<32 }},
		{FileFlags, false, func(f *File, v uint64) bool { f.Flags = uint32(v); return v < 1<<32 }},
		{FileInodes, false, func(f *File, v uint64) bool { f.Inode = uint32(v); return v < 1<<32 }},
		{FileDevices, false, func(f *File, v uint64) bool { f.Device = uint32(v); return v < 1<<32 }},
	} {
		e, has := h.Get(l.tag)
		if !has && !l.needs {
			continue
		}
		if int(e.Count) != len(list) || e.Type.size() == 0 || e.Type == Bin {
			return bad("lists %d files, but %d numbers in tag %d", len(list), e.Count, l.tag)
		}
		for i, v := range h.Ints(l.tag) {
			if !l.set(&list[i], v) {
				return bad("lists the file %s with the value %d in tag %d", quote(list[i].Name), v, l.tag)
			}
		}
	}
	for _, l := range []struct {
		tag   Tag
		needs bool
		set   func(f *File, s string)
	}{
		{FileDigests, true, func(f *File, s string) { f.Digest = s }},
		{FileLinkTos, false, func(f *File, s string) { f.Link = s }},
		{FileUserName, true, func(f *File, s string) { f.User = s }},
		{FileGroupName, true, func(f *File, s string) { f.Group = s }},
	} {
		e, has := h.Get(l.tag)
		if !has && !l.needs {
			continue
		}
		if int(e.Count) != len(list) || e.Type.size() > 0 {
			return bad("lists %d files, but %d strings in tag %d", len(list), e.Count, l.tag)
		}
		for i, s := range h.Strings(l.tag) {
			l.set(&list[i], s)
		}
	}
	return list, nil
}

// quote shows a name of hostile length and content in a message.
func quote(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%q...", s[:80])
	}
	return fmt.Sprintf("%q", s)
}
