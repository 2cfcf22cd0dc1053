package rpmmd

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"colophon/pack/rpm"
)

// handmade is an rpm file whose headers hold what rpmbuild would not write.
// createrepo_c reads no further than them.
type handmade struct{ signature, header rpm.Header }

func newHandmade(name string) *handmade {
	m := &handmade{}
	m.signature.SetInt32(rpm.SigPayloadSize, 1234)
	h := &m.header
	h.SetStrings(rpm.I18NTable, []string{"C"})
	h.SetString(rpm.Name, name)
	h.SetString(rpm.Version, "1")
	h.SetString(rpm.Release, "1")
	h.SetString(rpm.Arch, "noarch")
	h.SetString(rpm.OS, "linux")
	h.SetString(rpm.SourceRPM, name+"-1-1.src.rpm")
	h.SetInt32(rpm.BuildTime, 1_500_000_000)
	h.SetInt32(rpm.Size, 99)
	return m
}

func (m *handmade) bytes() []byte {
	b := make([]byte, rpm.LeadSize)
	copy(b, "\xed\xab\xee\xdb\x03\x00")
	b[77], b[79] = 1, 5
	b = append(b, m.signature.Marshal(rpm.SigRegion)...)
	b = append(b, make([]byte, -len(b)&7)...)
	b = append(b, m.header.Marshal(rpm.Region)...)
	return append(b, "no payload"...)
}

// dependencies sets a list; each entry is a name, a sense and a version.
func (m *handmade) dependencies(name, flags, version rpm.Tag, list ...rawDependency) {
	var names, versions []string
	var senses []uint32
	for _, d := range list {
		names, senses, versions = append(names, d.name), append(senses, uint32(d.sense)), append(versions, d.version)
	}
	m.header.SetStrings(name, names)
	m.header.SetInt32(flags, senses...)
	m.header.SetStrings(version, versions)
}

func (m *handmade) requires(list ...rawDependency) {
	m.dependencies(rpm.RequireName, rpm.RequireFlags, rpm.RequireVersion, list...)
}

func (m *handmade) files(modes, flags uint64, paths ...string) {
	var base, dirs []string
	var index, flag []uint32
	var mode []uint16
	for i, p := range paths {
		cut := strings.LastIndex(p, "/") + 1
		base, dirs, index = append(base, p[cut:]), append(dirs, p[:cut]), append(index, uint32(i))
		mode, flag = append(mode, uint16(modes)), append(flag, uint32(flags))
	}
	m.header.SetStrings(rpm.BaseNames, base)
	m.header.SetStrings(rpm.DirNames, dirs)
	m.header.SetInt32(rpm.DirIndexes, index...)
	m.header.SetInt16(rpm.FileModes, mode...)
	m.header.SetInt32(rpm.FileFlags, flag...)
}

func (m *handmade) changelog(dates []uint32, author, text string) {
	m.header.SetInt32(rpm.ChangelogTime, dates...)
	m.header.SetStrings(rpm.ChangelogName, slices.Repeat([]string{author}, len(dates)))
	m.header.SetStrings(rpm.ChangelogText, slices.Repeat([]string{text}, len(dates)))
}

// TestHandmadePackages compares metadata of headers beyond what rpmbuild makes.
func TestHandmadePackages(t *testing.T) {
	cases := map[string]func(m *handmade){
		"bare": func(*handmade) {},
		"long": func(m *handmade) {
			m.header.SetInt64(rpm.LongSize, 5_000_000_000)
			m.signature.SetInt64(rpm.SigLongArchive, 6_000_000_000)
		},
		"translated": func(m *handmade) {
			m.header.SetStrings(rpm.I18NTable, []string{"C", "de"})
			m.header.SetI18N(rpm.Summary, "first", "zweite")
			m.header.SetI18N(rpm.Description, "", "nur deutsch")
		},
		"no-build-time": func(m *handmade) { m.header.SetInt32(rpm.BuildTime, 0) },
		"source-flag": func(m *handmade) {
			m.header.Entries = slices.DeleteFunc(m.header.Entries, func(e rpm.Entry) bool { return e.Tag == rpm.SourceRPM })
			m.header.SetInt32(rpm.SourcePackage, 1)
		},
		"text": func(m *handmade) {
			for _, tag := range []rpm.Tag{rpm.Summary, rpm.Description, rpm.Packager, rpm.URL, rpm.License, rpm.Vendor, rpm.Group, rpm.BuildHost, rpm.SourceRPM} {
				m.header.SetString(tag, " \t\r\n&<>\"'é😀\u0085\u007f\ufffd]]>&amp; \n")
			}
			m.header.SetInt32(rpm.Epoch, 1<<31-1)
		},
		"attributes": func(m *handmade) {
			m.requires(rawDependency{"&<>\"'\t\r\né😀\u0085\u007f\ufffd", "1:&<>\"\t\r\né-<é>", 8})
			m.changelog([]uint32{1}, "&<>\"'\t\r\né😀 \t  ", "\r\n ")
		},
		"files": func(m *handmade) {
			m.files(0o100644, 0, "/etc/a\nb", "/etc/", "/", "noslash", "bin/", "/x/sbin/é", "/usr/lib/sendmail", "/usr/lib/sendmail/x", "/etc", "")
		},
		"ghost-folder":  func(m *handmade) { m.files(0o040755, 64, "/etc/folder") },
		"versions":      func(m *handmade) { m.requires(versions()...) },
		"provide-first": provideFirst,
		"libc": func(m *handmade) {
			m.requires(libc("", "()", "()(64bit)", "(A)", "(GLIBC_2.4)", "(GLIBC_2.34)", "(GLIBC_2.4)")...)
		},
		"libc-equal":    func(m *handmade) { m.requires(libc("(GLIBC_2.04)(64bit)", "(GLIBC_2.4)", "(2.4.0)", "(", "(1")...) },
		"libc-open":     func(m *handmade) { m.requires(libc("", "(open", "()x")...) },
		"libc-text":     func(m *handmade) { m.requires(libc("(open9", "()(9)", "(A)(9)")...) },
		"libc-nameless": func(m *handmade) { m.requires(append(libc(""), rawDependency{name: "z"})...) },
		"nameless":      func(m *handmade) { m.requires(rawDependency{}, rawDependency{name: "", version: "1", sense: 8}) },
		"nameless-one":  func(m *handmade) { m.requires(rawDependency{}, rawDependency{name: "a"}) },
		"missing-ok": func(m *handmade) {
			m.requires(rawDependency{"may", "1", senseMissingOK | 8}, rawDependency{"must", "", 1 << 9}, rawDependency{"may", "1", 8})
			m.dependencies(rpm.RecommendName, rpm.RecommendFlags, rpm.RecommendVersion, rawDependency{name: "rec"})
			m.dependencies(oldSuggestName, oldSuggestFlags, oldSuggestVersion, rawDependency{name: "sug"}, rawDependency{"rec-old", "", senseStrong})
			m.dependencies(oldEnhanceName, oldEnhanceFlags, oldEnhanceVersion, rawDependency{name: "enh"}, rawDependency{"sup-old", "", senseStrong})
			m.dependencies(rpm.SuggestName, rpm.SuggestFlags, rpm.SuggestVersion, rawDependency{name: "sug-new"})
		},
		"dates-equal":    func(m *handmade) { m.changelog([]uint32{7, 7, 7, 7, 6, 6, 8, 8, 7, 7, 7, 7}, "a", "b") },
		"dates-chain":    func(m *handmade) { m.changelog([]uint32{9, 8, 7, 7, 7, 6}, "a", "b") },
		"dates-zero":     func(m *handmade) { m.changelog([]uint32{0, 0, 0}, "a   ", "") },
		"dates-late":     func(m *handmade) { m.changelog([]uint32{1 << 31, 1 << 31, 1<<32 - 1, 1<<32 - 1}, "a", "b") },
		"authors-blank":  func(m *handmade) { m.changelog([]uint32{5}, "   ", "b") },
		"dates-mismatch": func(m *handmade) { m.changelog([]uint32{5, 5, 4, 5, 5}, "a", "b") },
	}
	var files [][]byte
	for name, fill := range cases {
		m := newHandmade("made-" + name)
		fill(m)
		files = append(files, m.bytes())
	}
	compareWithCreaterepo(t, files)
}

func versions() (list []rawDependency) {
	for i, v := range []string{
		"", "1", "1-2", "1-2-3", "-1", "1-", "0:1", "3:1-1", ":1", ":", "x:1", "1x:1", "-1:2", "+1:2", " 1:2", "1 :2",
		"99999999999999999999:1", "1:2:3", "1-2:3", "-:1", "+:", "\t2:1",
	} {
		for _, sense := range []uint64{0, 2, 4, 6, 8, 10, 12, 14, 15, 1} {
			list = append(list, rawDependency{fmt.Sprintf("v%d", i), v, sense})
		}
	}
	return list
}

func libc(suffixes ...string) (list []rawDependency) {
	for _, s := range suffixes {
		list = append(list, rawDependency{name: "libc.so.6" + s})
	}
	return list
}

// provideFirst has requires that repeat provides, wholly or nearly.
func provideFirst(m *handmade) {
	list := []rawDependency{
		{"a", "1", 8}, {"b", "", 0}, {"cEQ", "1", 0}, {"bad", "x:1", 8}, {"libc.so.6(X)", "", 0}, {"rpmlib(x)", "", 0}, {"/etc/p", "", 0},
	}
	m.dependencies(rpm.ProvideName, rpm.ProvideFlags, rpm.ProvideVersion, list...)
	m.requires(append(list, rawDependency{"a", "1", 8 | 1<<9}, rawDependency{"a", "0:1", 8}, rawDependency{"c", "1", 8},
		rawDependency{"/etc/f", "", 0}, rawDependency{"/etc/f", "1", 8}, rawDependency{"/usr/f", "", 0}, rawDependency{"/bin/g", "", 0})...)
	m.files(0o100644, 0, "/etc/f", "/usr/f")
}

// TestRandomPackages compares metadata of headers made at random.
func TestRandomPackages(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	var files [][]byte
	for i := range 300 {
		files = append(files, randomPackage(random, fmt.Sprintf("random-%d", i)).bytes())
	}
	compareWithCreaterepo(t, files)
}

func randomPackage(random *rand.Rand, name string) *handmade {
	pick := func(list ...string) string { return list[random.Intn(len(list))] }
	text := func() string {
		var b strings.Builder
		for range random.Intn(12) {
			b.WriteString(pick("a", "B", "0", " ", "\t", "\n", "\r", "&", "<", ">", "\"", "'", "é", "日", "😀", ";", "]]>", "\x7f"))
		}
		return b.String()
	}
	m := newHandmade(name)
	h := &m.header
	for _, tag := range []rpm.Tag{rpm.Summary, rpm.Description, rpm.Packager, rpm.URL, rpm.License, rpm.Vendor, rpm.Group, rpm.BuildHost} {
		if random.Intn(4) > 0 {
			h.SetI18N(tag, text())
		}
	}
	if random.Intn(2) == 0 {
		h.SetInt32(rpm.Epoch, uint32(random.Intn(3)))
	}
	var paths []string
	for range random.Intn(6) {
		paths = append(paths, pick("/", "/etc/", "/usr/bin/", "/opt/", "/usr/lib/")+pick("sendmail", "x", "y")+text())
	}
	m.files(uint64(random.Intn(1<<16)), uint64(random.Intn(256)), paths...)
	list := func() (list []rawDependency) {
		for range random.Intn(12) {
			list = append(list, rawDependency{
				pick("a", "b", "é", "", "/etc/x", "/bin/x", "rpmlib(x)", "libc.so.6", "libc.so.6(A_2."+pick("1", "9", "10")+")", "libc.so.6()"),
				pick("", "", "1", "1-2", "2:1", ":1", "x:1", text()),
				uint64(random.Uint32()) & (15 | 1<<6 | 1<<9 | 1<<10 | 1<<5 | 1<<19),
			})
		}
		return list
	}
	m.requires(list()...)
	m.dependencies(rpm.ProvideName, rpm.ProvideFlags, rpm.ProvideVersion, list()...)
	m.dependencies(rpm.RecommendName, rpm.RecommendFlags, rpm.RecommendVersion, list()...)
	m.dependencies(rpm.ObsoleteName, rpm.ObsoleteFlags, rpm.ObsoleteVersion, list()...)
	var dates []uint32
	for range random.Intn(14) {
		dates = append(dates, 100+uint32(random.Intn(4)))
	}
	m.changelog(dates, "x"+text(), text())
	return m
}

// TestRejections shows what never gets into metadata.
func TestRejections(t *testing.T) {
	for name, c := range map[string]struct {
		fill func(m *handmade)
		want string
	}{
		"latin 1":         {func(m *handmade) { m.header.SetString(rpm.Summary, "caf\xe9") }, "summary is not valid UTF-8 at byte 3"},
		"surrogate":       {func(m *handmade) { m.header.SetString(rpm.Summary, "\xed\xa0\x80") }, "not valid UTF-8"},
		"control":         {func(m *handmade) { m.header.SetString(rpm.Description, "a\x01") }, "description holds the character U+0001"},
		"noncharacter":    {func(m *handmade) { m.header.SetString(rpm.URL, "\uffff") }, "url holds the character U+FFFF"},
		"file name":       {func(m *handmade) { m.files(0, 0, "/etc/\x1b") }, "file holds the character U+001B"},
		"changelog":       {func(m *handmade) { m.changelog([]uint32{1}, "a", "\x02") }, "changelog holds the character U+0002"},
		"author":          {func(m *handmade) { m.changelog([]uint32{1}, "\xff", "") }, "author is not valid UTF-8"},
		"dependency":      {func(m *handmade) { m.requires(rawDependency{name: "\x02"}) }, "name holds the character U+0002"},
		"unsafe name":     {func(m *handmade) { m.header.SetString(rpm.Name, "../up") }, "package name"},
		"slash":           {func(m *handmade) { m.header.SetString(rpm.Release, "1/2") }, "release"},
		"number as text":  {func(m *handmade) { m.header.SetInt32(rpm.Summary, 1) }, "tag 1004 is not one string"},
		"text as number":  {func(m *handmade) { m.header.SetString(rpm.BuildTime, "1") }, "tag 1006 is not one integer"},
		"two epochs":      {func(m *handmade) { m.header.SetInt32(rpm.Epoch, 1, 2) }, "tag 1003 is not one integer"},
		"large epoch":     {func(m *handmade) { m.header.SetInt32(rpm.Epoch, 1<<31) }, "epoch 2147483648 is larger"},
		"huge size":       {func(m *handmade) { m.header.SetInt64(rpm.LongSize, 1<<63) }, "tag 5009"},
		"text as list":    {func(m *handmade) { m.header.SetI18N(rpm.BaseNames, "a", "b") }, "tag 1117 is not a list of strings"},
		"archive as text": {func(m *handmade) { m.signature.SetString(rpm.SigPayloadSize, "1") }, "tag 1007 is not one integer"},
		"half a list":     {func(m *handmade) { m.header.SetStrings(rpm.RequireName, []string{"a"}) }, "dependency list differ in length: [1 0 0]"},
		"folder number": {func(m *handmade) {
			m.files(0, 0, "/a")
			m.header.SetInt32(rpm.DirIndexes, 1)
		}, "file 0 lies in folder 1 of 1"},
		"binary or source": {func(m *handmade) { m.header.SetInt32(rpm.SourcePackage, 1) }, "disagree"},
	} {
		m := newHandmade("bad")
		c.fill(m)
		_, err := NewFragment(input(t, m.bytes()))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
		_, err = Describe(input(t, m.bytes()))
		if other := name == "changelog" || name == "author"; (err == nil) != other {
			t.Errorf("%s: Describe gives error %v", name, err)
		}
	}
	in := input(t, newHandmade("good").bytes())
	for _, bad := range []Input{{in.Package, "x", in.Size}, {in.Package, strings.ToUpper(in.SHA256), in.Size}, {in.Package, in.SHA256, 0}} {
		if _, err := NewFragment(bad); err == nil {
			t.Errorf("digest %q and size %d were accepted", bad.SHA256, bad.Size)
		}
	}
	large := newHandmade("large")
	large.header.SetString(rpm.Description, string(bytes.Repeat([]byte("&"), maxPackage/4)))
	if _, err := NewFragment(input(t, large.bytes())); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a primary element that no parser would take: error %v", err)
	}
}
