package pack

import (
	"encoding/hex"
	"fmt"
	"math"
	"path"
	"strings"
	"time"

	"colophon/pack/rpm"
)

// Fixed values of every package: nothing is read from the host.
const (
	ContainerFormat = 1 // version of the rules in the package comment
	buildHost       = "colophon"
	folder          = "/var/lib/qubes/vm-templates/"
	dirMode         = 0o040755
	fileMode        = 0o100644
)

// entries lists the package's files in the order of their paths, which is the
// order of the header and of the payload.
func entries(name string, parts []part, side []SideFile, mtime time.Time) []entry {
	top := folder + name
	list := []entry{{cpio: rpm.CpioEntry{Name: top, Mode: dirMode, Links: 2}}}
	add := func(base string, size int64, p *part, data []byte) {
		list = append(list, entry{rpm.CpioEntry{Name: top + "/" + base, Mode: fileMode, Links: 1, Size: size}, p, data})
	}
	before, after := side, []SideFile(nil)
	for i, f := range side { // sorted; the parts stand together among them
		if f.Name > "root.img" {
			before, after = side[:i], side[i:]
			break
		}
	}
	for _, f := range before {
		add(f.Name, int64(len(f.Data)), nil, f.Data)
	}
	for i := range parts {
		add(parts[i].name, parts[i].size, &parts[i], nil)
	}
	for _, f := range after {
		add(f.Name, int64(len(f.Data)), nil, f.Data)
	}
	for i := range list {
		list[i].cpio.Inode = uint32(i + 1)
		list[i].cpio.MTime = uint32(mtime.Unix())
	}
	return list
}

// header makes the main header. digests are those of the files, "" for the
// folder; payload is the digest of the compressed payload. All values have a
// fixed length, so the header's size is known before the digests are.
func header(d *Definition, at time.Time, list []entry, digests []string, payload string) *rpm.Header {
	h := &rpm.Header{}
	n := d.NEVRA()
	h.SetStrings(rpm.I18NTable, []string{"C"})
	h.SetString(rpm.Name, n.Name)
	h.SetString(rpm.Version, n.Version)
	h.SetString(rpm.Release, n.Release)
	h.SetI18N(rpm.Summary, d.Summary)
	h.SetI18N(rpm.Description, d.Description)
	h.SetInt32(rpm.BuildTime, uint32(at.Unix()))
	h.SetString(rpm.BuildHost, buildHost)
	h.SetString(rpm.License, d.License)
	h.SetI18N(rpm.Group, "Unspecified")
	h.SetString(rpm.URL, d.URL)
	h.SetString(rpm.OS, "linux")
	h.SetString(rpm.Arch, n.Arch)
	h.SetString(rpm.SourceRPM, strings.TrimSuffix(n.FileName(), n.Arch+".rpm")+"src.rpm")
	h.SetString(rpm.Encoding, "utf-8")
	h.SetString(rpm.Cookie, fmt.Sprintf("colophon container=%d codec=%s cut=%d frame=%d",
		ContainerFormat, d.Compression.codec().ID(), cutFormat, d.Compression.Frame))
	setFiles(h, list, digests)

	h.SetStrings(rpm.ProvideName, []string{n.Name})
	h.SetInt32(rpm.ProvideFlags, rpm.SenseEqual)
	h.SetStrings(rpm.ProvideVersion, []string{n.EVR()})
	var names, versions []string
	var flags []uint32
	for _, r := range [][2]string{
		{"CompressedFileNames", "3.0.4-1"}, {"FileDigests", "4.6.0-1"},
		{"PayloadFilesHavePrefix", "4.0-1"}, {"PayloadIsZstd", "5.4.18-1"},
	} {
		names = append(names, "rpmlib("+r[0]+")")
		versions = append(versions, r[1])
		flags = append(flags, rpm.SenseRpmlib|rpm.SenseLess|rpm.SenseEqual)
	}
	h.SetStrings(rpm.RequireName, names)
	h.SetStrings(rpm.RequireVersion, versions)
	h.SetInt32(rpm.RequireFlags, flags...)

	h.SetString(rpm.PayloadFormat, "cpio")
	h.SetString(rpm.PayloadCompressor, "zstd")
	h.SetString(rpm.PayloadFlags, fmt.Sprint(d.Compression.Level))
	h.SetStrings(rpm.PayloadDigest, []string{payload})
	h.SetInt32(rpm.PayloadDigestAlgo, rpm.DigestSHA256)
	return h
}

func setFiles(h *rpm.Header, list []entry, digests []string) {
	n := len(list)
	var total int64
	var (
		sizes, mtimes, inodes, dirIndexes []uint32
		modes                             []uint16
		base, dirs                        []string
	)
	for _, e := range list {
		total += e.cpio.Size
		sizes = append(sizes, uint32(e.cpio.Size))
		mtimes = append(mtimes, e.cpio.MTime)
		inodes = append(inodes, e.cpio.Inode)
		modes = append(modes, uint16(e.cpio.Mode))
		dir, name := path.Split(e.cpio.Name)
		if len(dirs) == 0 || dirs[len(dirs)-1] != dir {
			dirs = append(dirs, dir)
		}
		base = append(base, name)
		dirIndexes = append(dirIndexes, uint32(len(dirs)-1))
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
	h.SetStrings(rpm.FileLinkTos, make([]string, n))
	h.SetInt32(rpm.FileFlags, make([]uint32, n)...)
	h.SetStrings(rpm.FileUserName, repeated("root", n))
	h.SetStrings(rpm.FileGroupName, repeated("root", n))
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
