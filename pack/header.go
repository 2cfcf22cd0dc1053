package pack

import (
	"encoding/hex"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"colophon/pack/rpm"
)

// Fixed values of every package: nothing is read from the host.
const (
	ContainerFormat = 1 // version of the rules in the package comment
	buildHost       = "colophon"
)

// header makes the main header. digests are those of the files, "" for what is
// no regular file; payload is the digest of the compressed payload. All values
// have a fixed length, so the header's size is known before the digests are.
func (s *spec) header(list []entry, digests []string, payload string) *rpm.Header {
	h := &rpm.Header{}
	n := s.nevra
	h.SetStrings(rpm.I18NTable, []string{"C"})
	h.SetString(rpm.Name, n.Name)
	if n.Epoch > 0 {
		h.SetInt32(rpm.Epoch, n.Epoch)
	}
	h.SetString(rpm.Version, n.Version)
	h.SetString(rpm.Release, n.Release)
	for _, t := range s.texts {
		switch {
		case t.value == "":
		case t.tag == rpm.Summary || t.tag == rpm.Description || t.tag == rpm.Group:
			h.SetI18N(t.tag, t.value)
		default:
			h.SetString(t.tag, t.value)
		}
	}
	h.SetInt32(rpm.BuildTime, uint32(s.at.Unix()))
	h.SetString(rpm.OS, "linux")
	h.SetString(rpm.Arch, n.Arch)
	h.SetString(rpm.SourceRPM, strings.TrimSuffix(n.FileName(), n.Arch+".rpm")+"src.rpm")
	h.SetString(rpm.Encoding, "utf-8")
	h.SetString(rpm.Cookie, fmt.Sprintf("colophon container=%d codec=%s cut=%d frame=%d",
		ContainerFormat, s.compression.codec().ID(), cutFormat, s.compression.Frame))
	if len(list) > 0 {
		setFiles(h, list, digests)
	}
	for _, r := range s.relations {
		switch r.names {
		case rpm.ProvideName: // the package itself
			r.list = append([]relation{{n.Name, n.EVR(), rpm.SenseEqual}}, r.list...)
		case rpm.RequireName:
			r.list = append(slices.Clone(r.list), s.needed()...)
		}
		r.set(h)
	}
	for _, x := range s.scripts {
		x.set(h)
	}
	h.SetString(rpm.PayloadFormat, "cpio")
	h.SetString(rpm.PayloadCompressor, "zstd")
	h.SetString(rpm.PayloadFlags, fmt.Sprint(s.compression.Level))
	h.SetStrings(rpm.PayloadDigest, []string{payload})
	h.SetInt32(rpm.PayloadDigestAlgo, rpm.DigestSHA256)
	return h
}

// needed are the requirements that follow from what the package is: the shell of
// its scripts, and the features of rpm that reading it takes.
func (s *spec) needed() []relation {
	var list []relation
	for _, x := range s.scripts {
		list = append(list, relation{shell, "", x.sense | senseInterpreter})
	}
	for _, r := range [][2]string{
		{"CompressedFileNames", "3.0.4-1"}, {"FileDigests", "4.6.0-1"},
		{"PayloadFilesHavePrefix", "4.0-1"}, {"PayloadIsZstd", "5.4.18-1"},
	} {
		list = append(list, relation{"rpmlib(" + r[0] + ")", r[1], rpm.SenseRpmlib | rpm.SenseLess | rpm.SenseEqual})
	}
	return list
}

func setFiles(h *rpm.Header, list []entry, digests []string) {
	n := len(list)
	var total int64
	var (
		sizes, mtimes, inodes, dirIndexes, flags []uint32
		modes                                    []uint16
		base, dirs, links, owners, groups        []string
	)
	index := map[string]uint32{} // of dirs
	for _, e := range list {
		total += e.cpio.Size
		sizes = append(sizes, uint32(e.cpio.Size))
		mtimes = append(mtimes, e.cpio.MTime)
		inodes = append(inodes, e.cpio.Inode)
		modes = append(modes, uint16(e.cpio.Mode))
		flags = append(flags, e.flags)
		links = append(links, e.link)
		owners, groups = append(owners, e.owner), append(groups, e.group)
		dir, name := path.Split(e.cpio.Name)
		if _, ok := index[dir]; !ok {
			index[dir] = uint32(len(dirs))
			dirs = append(dirs, dir)
		}
		base = append(base, name)
		dirIndexes = append(dirIndexes, index[dir])
	}
	if total <= math.MaxUint32 {
		h.SetInt32(rpm.Size, uint32(total))
	} else {
		h.SetInt64(rpm.LongSize, uint64(total))
	}
	h.SetInt32(rpm.FileSizes, sizes...)
	h.SetInt16(rpm.FileModes, modes...)
	h.SetInt16(rpm.FileRDevs, make([]uint16, n)...)
	h.SetInt32(rpm.FileMTimes, mtimes...)
	h.SetStrings(rpm.FileDigests, digests)
	h.SetStrings(rpm.FileLinkTos, links)
	h.SetInt32(rpm.FileFlags, flags...)
	h.SetStrings(rpm.FileUserName, owners)
	h.SetStrings(rpm.FileGroupName, groups)
	h.SetInt32(rpm.FileVerifyFlags, repeated(uint32(math.MaxUint32), n)...)
	h.SetInt32(rpm.FileDevices, repeated(uint32(1), n)...)
	h.SetInt32(rpm.FileInodes, inodes...)
	h.SetStrings(rpm.FileLangs, make([]string, n))
	h.SetInt32(rpm.DirIndexes, dirIndexes...)
	h.SetStrings(rpm.BaseNames, base)
	h.SetStrings(rpm.DirNames, dirs)
	h.SetInt32(rpm.FileDigestAlgo, rpm.DigestSHA256)
}

func repeated[T any](v T, n int) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = v
	}
	return list
}

// blankDigest stands for digests that are not known yet.
var blankDigest = hex.EncodeToString(make([]byte, 32))
