package lint

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

// Mistakes of a header's layout that rpm itself reads over.
func TestHeaderForm(t *testing.T) {
	edit := func(h *rpm.Header, f func(raw []byte, entries, data int)) []byte {
		raw := h.Marshal(rpm.Region)
		f(raw, int(binary.BigEndian.Uint32(raw[8:])), 16+16*int(binary.BigEndian.Uint32(raw[8:])))
		return raw
	}
	last := func(v ...uint32) *rpm.Header {
		h := good()
		h.SetInt32(0x7000, v...)
		return h
	}
	over := &rpm.Header{}
	over.SetBin(rpm.Name, []byte("x"))
	text := good()
	text.SetString(0x7000, "the last text")
	for name, c := range map[string]struct {
		rule string
		raw  []byte
	}{
		"nothing but a region": {"C4", (&rpm.Header{}).Marshal(rpm.Region)},
		"no region":            {"C5", edit(good(), func(raw []byte, _, _ int) { binary.BigEndian.PutUint32(raw[16+8:], 4) })},
		"trailer":              {"C6", edit(good(), func(raw []byte, _, _ int) { raw[len(raw)-1] = 17 })},
		"value over trailer":   {"C8", edit(over, func(raw []byte, entries, data int) { raw[16+16*(entries-1)+15] = byte(len(raw) - data) })},
		"order of tags":        {"C7", edit(good(), func(raw []byte, _, _ int) { raw[16+16*2+3] ^= 1; raw[16+16*3+3] ^= 1 })},
		"padding":              {"C10", edit(good(), func(raw []byte, entries, data int) { raw[paddingOf(raw, entries, data)] = 1 })},
		"gap":                  {"C10", edit(last(1, 2), func(raw []byte, entries, _ int) { raw[16+16*(entries-1)+11] += 4; raw[16+16*(entries-1)+15] = 1 })},
		"text without end":     {"C11", edit(text, func(raw []byte, _, _ int) { raw[len(raw)-17] = 'x' })},
		"bytes of no tag":      {"C13", edit(last(1, 2), func(raw []byte, entries, _ int) { raw[16+16*(entries-1)+15] = 1 })},
	} {
		h, err := rpm.ParseHeader(c.raw)
		if err != nil {
			t.Errorf("%s: rpm would refuse it: %v", name, err)
			continue
		}
		wantRule(t, name, c.rule, Header(h, c.raw, Plain))
	}
}

// A number that is not aligned never gets past the reader, and would be found.
func TestAlignment(t *testing.T) {
	h := &rpm.Header{}
	h.SetString(rpm.Name, "abc")
	h.SetInt32(rpm.Epoch, 1)
	raw := h.Marshal(rpm.Region)
	raw[16+16*2+11]--
	if _, err := rpm.ParseHeader(raw); err == nil {
		t.Error("the reader takes it")
	}
	f := &findings{found: map[string]Result{}}
	form{raw, rpm.Region, "main header", f}.scan()
	if f.found["C9"].Status != Fail {
		t.Errorf("%+v", f.found)
	}
}

// paddingOf finds a byte before an aligned value.
func paddingOf(raw []byte, entries, data int) int {
	end := 0
	for i := 1; i < entries; i++ {
		e := raw[16+16*i:]
		offset := int(binary.BigEndian.Uint32(e[8:]))
		if offset > end && i > 1 {
			return data + end
		}
		kind, count := rpm.Type(binary.BigEndian.Uint32(e[4:])), int(binary.BigEndian.Uint32(e[12:]))
		size, _ := valueSize(raw[data+offset:], kind, count)
		end = offset + size
	}
	panic("no padding")
}

func TestSignatureHeader(t *testing.T) {
	file := written(t, good())
	for name, c := range map[string]struct {
		rules []string
		spoil func(p *rpm.Package)
	}{
		"good":                  {nil, func(*rpm.Package) {}},
		"locales":               {[]string{"C14"}, func(p *rpm.Package) { p.Signature.SetStrings(rpm.I18NTable, []string{"C"}) }},
		"translated text":       {[]string{"C14"}, func(p *rpm.Package) { p.Signature.SetI18N(2000, "x") }},
		"short digest":          {[]string{"C15", "C42"}, func(p *rpm.Package) { p.Signature.SetString(rpm.SigSHA256Header, "abc") }},
		"digest in upper case":  {[]string{"C16", "C42"}, upperDigest},
		"wrong SHA-1":           {[]string{"C42"}, func(p *rpm.Package) { p.Signature.SetString(rpm.SigSHA1Header, strings.Repeat("a", 40)) }},
		"size as text":          {[]string{"C15"}, func(p *rpm.Package) { p.Signature.SetString(rpm.SigSize, "1") }},
		"no SHA-256":            {[]string{"L8"}, func(p *rpm.Package) { remove(p.Signature, rpm.SigSHA256Header) }},
		"control character":     {[]string{"C12"}, func(p *rpm.Package) { p.Signature.SetString(2000, "a\x01") }},
		"unknown tag":           {nil, func(p *rpm.Package) { p.Signature.SetString(2000, "a") }},
		"reserved space":        {[]string{"C15"}, func(p *rpm.Package) { p.Signature.SetBin(rpm.SigReserved, []byte{1}) }},
		"two header signatures": {[]string{"C17"}, func(p *rpm.Package) { p.Signature.SetBin(rpm.SigRSAHeader, p.Signature.Bytes(rpm.SigDSAHeader)) }},
		"no OpenPGP":            {[]string{"C20"}, func(p *rpm.Package) { p.Signature.SetBin(rpm.SigDSAHeader, []byte("signature")) }},
		"bad whole signature":   {[]string{"C20"}, func(p *rpm.Package) { p.Signature.SetBin(rpm.SigPGP, []byte("signature")) }},
		"unsigned":              {[]string{"C41", "L8"}, func(p *rpm.Package) { remove(p.Signature, rpm.SigDSAHeader) }},
		"padding":               {[]string{"C19"}, func(p *rpm.Package) { p.Padding = []byte{0, 1} }},
	} {
		p := read(t, file)
		c.spoil(p)
		p.RawSignature = p.Signature.Marshal(rpm.SigRegion)
		wantFailed(t, name, Check(p, Template), c.rules...)
	}
}

func upperDigest(p *rpm.Package) {
	p.Signature.SetString(rpm.SigSHA256Header, strings.ToUpper(p.Signature.String(rpm.SigSHA256Header)))
}

// Who signed, and when, as far as the context says.
func TestSigner(t *testing.T) {
	h := good()
	file, k := signed(t, h)
	other, err := openpgp.Generate(zeros{}, "other", day)
	if err != nil {
		t.Fatal(err)
	}
	run := func(c Context) Result {
		p := read(t, file)
		return statusOf(Run(Subject{Header: p.Header, Raw: p.RawHeader, Package: p, Context: c}, Plain), "L7")
	}
	for name, c := range map[string]struct {
		context Context
		status  Status
		message string
	}{
		"no key":       {Context{}, Skip, "no key was given"},
		"its key":      {Context{Keys: openpgp.Keyring{other, k}, Now: day}, Pass, ""},
		"other key":    {Context{Keys: openpgp.Keyring{other}, Now: day}, Fail, "does not verify"},
		"no keys":      {Context{Keys: openpgp.Keyring{}, Now: day}, Fail, "does not verify"},
		"from tomorow": {Context{Keys: openpgp.Keyring{k}, Now: day.AddDate(0, 0, -1)}, Fail, "in the future"},
	} {
		if r := run(c.context); r.Status != c.status || !strings.Contains(r.Message, c.message) {
			t.Errorf("%s: %s, %s", name, r.Status, r.Message)
		}
	}
	p := read(t, file)
	remove(p.Signature, rpm.SigDSAHeader)
	unsigned := Run(Subject{Header: p.Header, Raw: p.RawHeader, Package: p, Context: Context{Keys: openpgp.Keyring{k}, Now: day}}, Plain)
	if r := statusOf(unsigned, "L7"); r.Status != Fail || r.Message != "header is not signed" {
		t.Errorf("unsigned: %+v", r)
	}
	// Built after it was signed.
	h.SetInt32(rpm.BuildTime, uint32(day.Unix())+1)
	wantFailed(t, "built later", Check(read(t, written(t, h)), Template), "L5")
	h.SetInt32(rpm.BuildTime, uint32(day.Unix()))
	wantFailed(t, "built then", Check(read(t, written(t, h)), Template))
}

// zeros makes a key that is the same in every run.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return copy(b, bytes.Repeat([]byte{7}, len(b))), nil }

func TestRepository(t *testing.T) {
	p := read(t, written(t, good()))
	newest := func(version string, size int64) *Release {
		return &Release{rpm.NEVRA{Name: "qubes-template-x", Version: version, Release: "1", Arch: "noarch"}, size}
	}
	for name, c := range map[string]struct {
		rule    string
		r       Repository
		size    int64
		status  Status
		message string
	}{
		"small listing":      {"L6", Repository{Listing: 1000}, 0, Pass, ""},
		"half listing":       {"L6", Repository{Listing: 1<<19 + 1}, 0, Warn, "would have 524289 bytes"},
		"full listing":       {"L6", Repository{Listing: 950_000}, 0, Fail, "would have 950000 bytes"},
		"first release":      {"L18", Repository{}, 0, Pass, ""},
		"newer":              {"L18", Repository{Newest: newest("4.2", 1)}, 0, Pass, ""},
		"the same":           {"L18", Repository{Newest: newest("4.3", 1)}, 0, Pass, ""},
		"older":              {"L18", Repository{Newest: newest("4.10", 1)}, 0, Fail, "4.3-1 is not newer than 4.10-1"},
		"older on purpose":   {"L18", Repository{Newest: newest("4.10", 1), Rollback: true}, 0, Pass, ""},
		"equal by rpm":       {"L18", Repository{Newest: newest("4.03", 1)}, 0, Fail, "is not newer"},
		"no bound":           {"L17", Repository{Newest: newest("4.2", 100)}, 900, Pass, ""},
		"grown little":       {"L17", Repository{Newest: newest("4.2", 100), MaxGrowth: 50}, 150, Pass, ""},
		"grown much":         {"L17", Repository{Newest: newest("4.2", 100), MaxGrowth: 50}, 151, Fail, "file has 151 bytes, 51 % more than 4.2-1"},
		"817 MB to 1985 MB":  {"L17", Repository{Newest: newest("4.2", 817e6), MaxGrowth: 50}, 1985e6, Fail, "143 % more"},
		"much smaller":       {"L17", Repository{Newest: newest("4.2", 200), MaxGrowth: 50}, 100, Warn, "was the build complete?"},
		"size not known":     {"L17", Repository{Newest: newest("4.2", 100), MaxGrowth: 50}, 0, Skip, "not known"},
		"no bound, no size":  {"L17", Repository{Newest: newest("4.2", 100)}, 0, Pass, ""},
		"absurdly grown":     {"L17", Repository{Newest: newest("4.2", 1), MaxGrowth: 50}, 1 << 62, Fail, "1000000000 % more"},
		"listing never made": {"L6", Repository{}, 0, Pass, ""},
	} {
		s := Subject{Header: p.Header, Raw: p.RawHeader, Package: p, Context: Context{Repository: &c.r}, Digests: rpm.Digests{Size: c.size}}
		if r := statusOf(Run(s, Template), c.rule); r.Status != c.status || !strings.Contains(r.Message, c.message) {
			t.Errorf("%s: %s, %s", name, r.Status, r.Message)
		}
	}
}

// The size of a record is that of what the client prints.
func TestRecordSize(t *testing.T) {
	h := good()
	record := "qubes-template-x|0|4.3|1|templates|1234567|2026-01-01 00:00|MIT|https://example.org|A template|Two\nlines|\n"
	if n := RecordSize(h, "templates", 1234567); n != int64(len(record)) {
		t.Errorf("%d bytes, want %d", n, len(record))
	}
}

func TestVMName(t *testing.T) {
	for name, want := range map[string]Status{"debian-12-minimal": Pass, "9front": Warn, "a.b": Warn, strings.Repeat("x", 32): Warn} {
		h := good()
		h.SetString(rpm.Name, "qubes-template-"+name)
		if r := statusOf(Run(Subject{Header: h, Raw: h.Marshal(rpm.Region)}, Template), "L19"); r.Status != want {
			t.Errorf("%s: %s", name, r.Status)
		}
	}
}
