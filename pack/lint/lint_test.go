package lint

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// good is a header that meets all rules.
func good() *rpm.Header {
	h := &rpm.Header{}
	h.SetStrings(rpm.I18NTable, []string{"C"})
	h.SetString(rpm.Name, "qubes-template-x")
	h.SetString(rpm.Version, "4.3")
	h.SetString(rpm.Release, "1")
	h.SetI18N(rpm.Summary, "A template")
	h.SetI18N(rpm.Description, "Two\nlines")
	h.SetInt32(rpm.BuildTime, 1)
	h.SetString(rpm.License, "MIT")
	h.SetString(rpm.URL, "https://example.org")
	h.SetString(rpm.OS, "linux")
	h.SetString(rpm.Arch, "noarch")
	h.SetString(rpm.SourceRPM, "x.src.rpm")
	h.SetInt32(rpm.FileSizes, 0, 100, 5)
	h.SetInt16(rpm.FileModes, 0o040755, 0o100644, 0o100644)
	h.SetInt32(rpm.DirIndexes, 0, 1, 1)
	h.SetStrings(rpm.BaseNames, []string{"x", "root.img.part.00", "template.conf"})
	h.SetStrings(rpm.DirNames, []string{folder, folder + "x/"})
	h.SetStrings(rpm.FileDigests, []string{"", strings.Repeat("b", 64), strings.Repeat("c", 64)})
	h.SetStrings(rpm.FileUserName, []string{"root", "root", "root"})
	h.SetStrings(rpm.FileGroupName, []string{"root", "root", "root"})
	h.SetStrings(rpm.ProvideName, []string{"qubes-template-x"})
	h.SetStrings(rpm.RequireName, []string{"rpmlib(PayloadIsZstd)"})
	h.SetStrings(rpm.PayloadDigest, []string{strings.Repeat("a", 64)})
	h.SetInt32(rpm.PayloadDigestAlgo, rpm.DigestSHA256)
	return h
}

// written is the package of a header as it would lie in a file.
func written(t *testing.T, h *rpm.Header) []byte {
	t.Helper()
	file, _ := signed(t, h)
	return file
}

func signed(t *testing.T, h *rpm.Header) ([]byte, *openpgp.Key) {
	t.Helper()
	k, err := openpgp.Generate(rand.Reader, "test", day)
	if err != nil {
		t.Fatal(err)
	}
	raw := h.Marshal(rpm.Region)
	signature, err := k.Sign(raw, day)
	if err != nil {
		t.Fatal(err)
	}
	front, err := rpm.Front(h.NEVRA(), raw, signature, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return front, k
}

func read(t testing.TB, file []byte) *rpm.Package {
	t.Helper()
	p, err := rpm.ReadHeaders(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGoodPackage(t *testing.T) {
	p := read(t, written(t, good()))
	if err := Package(p, Template); err != nil {
		t.Error(err)
	}
	if err := Header(p.Header, p.RawHeader, Template); err != nil {
		t.Error(err)
	}
	for _, profile := range []Profile{Template, Stock, Plain} {
		for _, r := range Check(p, profile) {
			want := Pass
			if r.Needs > NeedsPackage {
				want = Skip
			}
			if r.Status != want {
				t.Errorf("%s: rule %s: %s, %s", profile, r.ID, r.Status, r.Message)
			}
		}
	}
	if all, some := len(Check(p, Template)), len(Check(p, Plain)); all != len(Rules()) || some == 0 || some >= all {
		t.Errorf("%d of %d rules were checked, %d in plain", all, len(Rules()), some)
	}
}

// Ids are the documents': in order, each once, and every scanner knows its rules.
func TestRuleTable(t *testing.T) {
	for i, r := range rules {
		if i > 0 && (r.ID[0] < rules[i-1].ID[0] || r.ID[0] == rules[i-1].ID[0] && number(r.ID) <= number(rules[i-1].ID)) {
			t.Errorf("rule %s stands behind %s", r.ID, rules[i-1].ID)
		}
		if r.Title == "" || strings.HasSuffix(r.Title, ".") {
			t.Errorf("rule %s: title %q", r.ID, r.Title)
		}
	}
	for _, name := range profileNames {
		if p, err := ParseProfile(name); err != nil || p.String() != name {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	if _, err := ParseProfile("strict"); err == nil {
		t.Error("profile strict is known")
	}
}

func number(id string) int {
	n, err := strconv.Atoi(id[1:])
	if err != nil {
		panic(err)
	}
	return n
}

// One mistake each, and the rule that finds it.
func TestRules(t *testing.T) {
	for name, c := range map[string]struct {
		rule  string
		spoil func(h *rpm.Header)
	}{
		"table of locales as string": {"C22", func(h *rpm.Header) { h.SetString(rpm.I18NTable, "C") }},
		"more texts than locales":    {"C24", func(h *rpm.Header) { h.SetI18N(rpm.Summary, "a", "b") }},
		"wrong type":                 {"C23", func(h *rpm.Header) { h.SetInt32(rpm.License, 1) }},
		"tag out of range":           {"C21", func(h *rpm.Header) { h.SetString(0x8000, "x") }},
		"no source package":          {"C29", func(h *rpm.Header) { remove(h, rpm.SourceRPM) }},
		"negative epoch":             {"C26", func(h *rpm.Header) { h.SetInt32(rpm.Epoch, 1<<31) }},
		"two epochs":                 {"C26", func(h *rpm.Header) { h.SetInt32(rpm.Epoch, 1, 2) }},
		"no os":                      {"C25", func(h *rpm.Header) { remove(h, rpm.OS) }},
		"slash in the name":          {"P1", func(h *rpm.Header) { h.SetString(rpm.Name, "qubes-template-x/y") }},
		"long name":                  {"P1", func(h *rpm.Header) { h.SetString(rpm.Name, "qubes-template-"+strings.Repeat("x", 300)) }},
		"two payload digests":        {"C27", func(h *rpm.Header) { h.SetStrings(rpm.PayloadDigest, []string{strings.Repeat("a", 64), "b"}) }},
		"odd digest":                 {"C28", func(h *rpm.Header) { h.SetStrings(rpm.PayloadDigestAlt, []string{"A"}) }},
		"source package by a tag":    {"L15", func(h *rpm.Header) { h.SetInt32(rpm.SourcePackage, 1) }},
		"signature tag":              {"C21", func(h *rpm.Header) { h.SetString(269, "x") }},
		"long description":           {"L6", func(h *rpm.Header) { h.SetI18N(rpm.Description, strings.Repeat("x", 20000)) }},
		"setuid":                     {"P3", func(h *rpm.Header) { h.SetInt16(rpm.FileModes, 0o040755, 0o104755, 0o100644) }},
		"writable by all":            {"P3", func(h *rpm.Header) { h.SetInt16(rpm.FileModes, 0o040755, 0o100666, 0o100644) }},
		"ghost":                      {"P3", func(h *rpm.Header) { h.SetInt32(rpm.FileFlags, 0, 0, 64) }},
		"other owner":                {"P3", func(h *rpm.Header) { h.SetStrings(rpm.FileUserName, []string{"root", "root", "user"}) }},
		"one mode too few":           {"P2", func(h *rpm.Header) { h.SetInt16(rpm.FileModes, 0o040755, 0o100644) }},
		"sizes as text":              {"L10", func(h *rpm.Header) { h.SetStrings(rpm.FileSizes, []string{"1", "2", "3"}) }},
		"no files":                   {"L10", func(h *rpm.Header) { remove(h, rpm.BaseNames); remove(h, rpm.DirNames); remove(h, rpm.DirIndexes) }},
		"provides its stock name":    {"L14", func(h *rpm.Header) { h.SetStrings(rpm.ProvideName, []string{"qubes-template"}) }},
		"script's program":           {"L14", func(h *rpm.Header) { h.SetStrings(1086, []string{"/bin/sh"}) }},
		"refusing script":            {"L14", func(h *rpm.Header) { h.SetString(rpm.PreIn, "exit 1") }},
		"no payload digest":          {"C27", func(h *rpm.Header) { remove(h, rpm.PayloadDigest) }},
		"upper-case payload digest":  {"C27", func(h *rpm.Header) { h.SetStrings(rpm.PayloadDigest, []string{strings.Repeat("A", 64)}) }},
		"SHA-1 payload digest":       {"C27", func(h *rpm.Header) { h.SetInt32(rpm.PayloadDigestAlgo, 2) }},
		"not UTF-8":                  {"C12", func(h *rpm.Header) { h.SetString(rpm.Group, "\xff") }},
		"other name":                 {"L1", func(h *rpm.Header) { h.SetString(rpm.Name, "x") }},
		"caret in version":           {"L2", func(h *rpm.Header) { h.SetString(rpm.Version, "1^2") }},
		"license with blanks":        {"L3", func(h *rpm.Header) { h.SetString(rpm.License, "GPL or MIT") }},
		"bar in summary":             {"L4", func(h *rpm.Header) { h.SetI18N(rpm.Summary, "a|b") }},
		"two-line summary":           {"L4", func(h *rpm.Header) { h.SetI18N(rpm.Summary, "a\nb") }},
		"non-ASCII summary":          {"L4", func(h *rpm.Header) { h.SetI18N(rpm.Summary, "é") }},
		"empty description":          {"L4", func(h *rpm.Header) { h.SetI18N(rpm.Description, "") }},
		"description after a gap":    {"L4", func(h *rpm.Header) { h.SetI18N(rpm.Description, "\nx") }},
		"no URL":                     {"L4", func(h *rpm.Header) { remove(h, rpm.URL) }},
		"no build time":              {"L5", func(h *rpm.Header) { remove(h, rpm.BuildTime) }},
		"file elsewhere":             {"L10", func(h *rpm.Header) { h.SetStrings(rpm.DirNames, []string{folder, "/etc/"}) }},
		"climbing file":              {"L10", func(h *rpm.Header) { h.SetStrings(rpm.DirNames, []string{folder, folder + "x/../y/"}) }},
		"symlink":                    {"L10", func(h *rpm.Header) { h.SetInt16(rpm.FileModes, 0o040755, 0o100644, 0o120777) }},
		"file twice": {"L10", func(h *rpm.Header) {
			h.SetStrings(rpm.BaseNames, []string{"x", "root.img.part.00", "root.img.part.00"})
		}},
		"three digits": {"L11", func(h *rpm.Header) { h.SetStrings(rpm.BaseNames, []string{"x", "root.img.part.000", "template.conf"}) }},
		"gap in parts": {"L11", func(h *rpm.Header) {
			h.SetStrings(rpm.BaseNames, []string{"x", "root.img.part.00", "root.img.part.02"})
		}},
		"no parts":              {"L11", func(h *rpm.Header) { h.SetStrings(rpm.BaseNames, []string{"x", "a", "b"}) }},
		"large part":            {"L11", func(h *rpm.Header) { h.SetInt32(rpm.FileSizes, 0, 1<<30+1, 5) }},
		"script":                {"L14", func(h *rpm.Header) { h.SetString(rpm.PostIn, "rm -rf /") }},
		"trigger":               {"L14", func(h *rpm.Header) { h.SetStrings(rpm.FileTriggerName, []string{"/"}) }},
		"capability":            {"L14", func(h *rpm.Header) { h.SetStrings(rpm.FileCaps, []string{"cap_sys_admin=ep"}) }},
		"dependency":            {"L14", func(h *rpm.Header) { h.SetStrings(rpm.RequireName, []string{"bash"}) }},
		"provides another name": {"L14", func(h *rpm.Header) { h.SetStrings(rpm.ProvideName, []string{"bash"}) }},
		"obsoletes":             {"L14", func(h *rpm.Header) { h.SetStrings(rpm.ObsoleteName, []string{"bash"}) }},
	} {
		h := good()
		c.spoil(h)
		raw := h.Marshal(rpm.Region)
		wantRule(t, name, c.rule, Header(h, raw, Template))
	}
}

func remove(h *rpm.Header, tag rpm.Tag) {
	for i, e := range h.Entries {
		if e.Tag == tag {
			h.Entries = append(h.Entries[:i], h.Entries[i+1:]...)
			return
		}
	}
}

// wantFailed wants exactly these rules to fail.
func wantFailed(t *testing.T, name string, list []Result, want ...string) {
	t.Helper()
	var failed []string
	for _, r := range list {
		if r.Status == Fail {
			failed = append(failed, r.ID)
		}
	}
	if !slices.Equal(failed, want) {
		t.Errorf("%s: failed %v, want %v\n%v", name, failed, want, Join(list))
	}
}

// statusOf is what one rule found.
func statusOf(list []Result, id string) Result {
	for _, r := range list {
		if r.ID == id {
			return r
		}
	}
	return Result{}
}

func wantRule(t *testing.T, name, rule string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "rule "+rule+": ") {
		t.Errorf("%s: got %v, want rule %s", name, err, rule)
	}
}

// Mistakes of form that only bytes can have.
func TestForm(t *testing.T) {
	base := written(t, good())
	p := read(t, base)
	start := int(p.HeaderStart())
	entries := int(binary.BigEndian.Uint32(p.RawHeader[8:]))
	for name, c := range map[string]struct {
		rule string
		at   int
		to   []byte
	}{
		"source package":       {"L15", 7, []byte{1}},
		"odd kind":             {"C1", 7, []byte{2}},
		"minor version":        {"C1", 5, []byte{1}},
		"byte behind the name": {"C2", 74, []byte{1}},
		"odd name":             {"C2", 10, []byte{'/'}},
		"signature type":       {"C3", 79, []byte{0}},
		"reserved bytes":       {"C3", 95, []byte{1}},
		"reserved space":       {"C15", rpm.LeadSize + rpm.SignatureSize - 20, []byte{1}},
		"region trailer":       {"C6", start + len(p.RawHeader) - 1, []byte{17}},
		"tags out of order":    {"C7", start + 16 + 16*2, []byte{0, 0, 0x7f, 0}},
		"overlapping data":     {"C10", start + 16 + 16*(entries-1) + 8, []byte{0, 0, 0, 0}},
	} {
		bad := bytes.Clone(base)
		copy(bad[c.at:], c.to)
		p, err := rpm.ReadHeaders(bytes.NewReader(bad))
		if err != nil {
			t.Errorf("%s: cannot be read: %v", name, err)
			continue
		}
		wantRule(t, name, c.rule, Package(p, Template))
	}
	unsigned := read(t, base)
	remove(unsigned.Signature, rpm.SigDSAHeader)
	wantRule(t, "unsigned", "C41", Package(unsigned, Template))
}

// rpmbuild's packages meet the container rules, and break the template rules.
func TestPackageOfRpmbuild(t *testing.T) {
	dir := t.TempDir()
	spec := "Name: plain\nVersion: 1\nRelease: 1\nSummary: s\nLicense: MIT and BSD\nBuildArch: noarch\n%description\nd\n%install\nmkdir -p %{buildroot}/etc\necho x > %{buildroot}/etc/plain\n%files\n/etc/plain\n"
	if err := os.WriteFile(filepath.Join(dir, "plain.spec"), []byte(spec), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("rpmbuild", "--quiet", "-bb", "--define", "_topdir "+dir, filepath.Join(dir, "plain.spec")).CombinedOutput()
	if err != nil {
		t.Fatalf("rpmbuild is a peer of this test; ci/setup installs it: %v\n%s", err, out)
	}
	file, err := os.ReadFile(filepath.Join(dir, "RPMS/noarch/plain-1-1.noarch.rpm"))
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := rpm.Read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	wantFailed(t, "rpmbuild's package", Check(p, Plain), "C41", "L8") // nobody signed it
	wantRule(t, "ordinary package", "L1", Package(p, Template))
	wantRule(t, "ordinary package", "L10", Package(p, Template))
}

func Example() {
	h := &rpm.Header{}
	h.SetString(rpm.Name, "qubes-template-x")
	h.SetI18N(rpm.Summary, "a|b")
	err := Header(h, h.Marshal(rpm.Region), Template)
	for _, line := range strings.Split(err.Error(), "\n") {
		if strings.Contains(line, "L3") {
			fmt.Println(line)
		}
	}
	// Output: rule L3: license "" does not fit ^[A-Za-z0-9._+()][A-Za-z0-9._+()-]*$
}
