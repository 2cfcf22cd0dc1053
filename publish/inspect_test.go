package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"colophon/mirror/disk"
	"colophon/pack"
	"colophon/pack/lint"
	"colophon/pack/rpm"
	"colophon/publish/sign"
)

func inspected(t *testing.T, o InspectOptions) *Inspection {
	t.Helper()
	if o.Now.IsZero() {
		o.Now = noon
	}
	x, err := Inspect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// publicKey writes the package key's public part to a file.
func publicKey(t *testing.T, o PackOptions) (path, fingerprint string) {
	t.Helper()
	keys, err := (sign.Folder{Path: o.Config.Resolve(o.Config.Keys.Folder)}).Load(o.Random, disk.Disk{})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(path, keys.PackageKey.Public(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, keys.PackageKey.Fingerprint()
}

// What is packed here passes every rule of every profile, and rpm says the same
// about it.
func TestInspect(t *testing.T) {
	s := newSite(t, keysFolder(t))
	o := s.packOptions(t)
	made := packed(t, o).Packages[0]
	key, fingerprint := publicKey(t, o)
	for _, profile := range []string{"", "template", "stock", "plain"} {
		x := inspected(t, InspectOptions{File: made.File, KeyFile: key, Profile: profile})
		if !x.OK() || x.Verified != (Verified{true, true, true, true}) {
			t.Errorf("%s:\n%s", profile, x)
		}
		for _, r := range x.Rules {
			if want := map[bool]lint.Status{false: lint.Pass, true: lint.Skip}[r.Needs == lint.NeedsRepository]; r.Status != want {
				t.Errorf("%s: rule %s: %s, %s", profile, r.ID, r.Status, r.Message)
			}
		}
	}
	x := inspected(t, InspectOptions{File: made.File, KeyFile: key})
	if x.NEVRA != made.NEVRA || x.Digests.File != made.SHA256 || x.Digests.ContentID != made.ContentID || x.Digests.Size != made.PackageBytes {
		t.Errorf("%+v, packed as %+v", x, made)
	}
	if s := x.Signature; s == nil || s.Signer != fingerprint || s.KeyID != fingerprint[24:] || s.Algorithm != "EdDSA" || s.Hash != "SHA-512" || s.Created != x.Fields.BuildTime {
		t.Errorf("signature %+v", s)
	}
	if im := x.Image; im == nil || im.Name != "root.img" || im.Size != made.ImageBytes || im.Data != made.DataBytes || im.Parts != 1 {
		t.Errorf("image %+v, packed as %+v", im, made)
	}
	f := x.Payload.Frames
	if f.Image != made.Frames || f.Image+f.Container != f.Count || f.ImageAverage*int64(f.Image) > made.DataBytes || f.ImageAverage == 0 {
		t.Errorf("frames %+v, packed as %+v", f, made)
	}
	want, err := exec.Command("rpm", "-qp", "--nosignature", "--qf",
		`[%{FILENAMES} %{FILESIZES} %{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEDIGESTS}\n]%{SUMMARY}|%{LICENSE}|%{URL}|%{BUILDTIME}|%{BUILDHOST}|%{SOURCERPM}|%{PAYLOADCOMPRESSOR}|%{PAYLOADFLAGS}|%{LONGARCHIVESIZE}`, made.File).Output()
	if err != nil {
		t.Fatalf("rpm is a peer of this test; ci/setup installs it: %v", err)
	}
	var got bytes.Buffer
	for _, f := range x.Files {
		fmt.Fprintf(&got, "%s %d %s %s %s\n", f.Name, f.Size, f.Mode, f.Owner, f.Digest)
	}
	fmt.Fprintf(&got, "%s|%s|%s|%d|%s|%s|%s|%s|%d", x.Fields.Summary, x.Fields.License, x.Fields.URL, x.Fields.BuildTime.Unix(),
		x.Fields.BuildHost, x.Fields.SourceRPM, x.Payload.Compressor, x.Payload.Level, x.Payload.Uncompressed)
	if got.String() != string(want) {
		t.Errorf("read\n%s\nrpm reads\n%s", &got, want)
	}
}

// What people see fits on a screen, and JSON holds all of it.
func TestInspectText(t *testing.T) {
	s := newSite(t, keysFolder(t))
	o := s.packOptions(t)
	made := packed(t, o).Packages[0]
	key, fingerprint := publicKey(t, o)
	text := inspected(t, InspectOptions{File: made.File, KeyFile: key}).String()
	for _, want := range []string{made.NEVRA, made.SHA256, made.ContentID, "verified by", fingerprint, "of the image", "root.img.part.00", " 0 failed, 0 with a warning, 3 skipped", "skip L6 L17 L18: no repository was given"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "\n"); n > 40 {
		t.Errorf("%d lines:\n%s", n, text)
	}
	for line := range strings.Lines(text) {
		if len(line) > 130 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	if text := inspected(t, InspectOptions{File: made.File}).String(); !strings.Contains(text, "not verified, no key was given") {
		t.Error(text)
	}
	b, err := json.Marshal(inspected(t, InspectOptions{File: made.File}))
	if err != nil {
		t.Fatal(err)
	}
	var back Inspection
	if err := json.Unmarshal(b, &back); err != nil || back.NEVRA != made.NEVRA || len(back.Rules) != len(lint.Rules()) || back.Rules[0].ID != "C1" || back.Rules[0].Status != lint.Pass {
		t.Errorf("%v: %s", err, b)
	}
}

// Damage is found and named, and never ends in a clean report.
func TestInspectDamage(t *testing.T) {
	s := newSite(t, keysFolder(t))
	o := s.packOptions(t)
	made := packed(t, o).Packages
	key, _ := publicKey(t, o)
	file, err := os.ReadFile(made[0].File)
	if err != nil {
		t.Fatal(err)
	}
	p, err := rpm.ReadHeaders(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(s.dir, "damaged.rpm")
	damaged := func(b []byte) *Inspection {
		s.write(t, "damaged.rpm", string(b))
		return inspected(t, InspectOptions{File: name, KeyFile: key})
	}
	flip := func(at int64) []byte {
		b := bytes.Clone(file)
		b[at] ^= 1
		return b
	}
	for what, c := range map[string]struct {
		data []byte
		want string
	}{
		"cut off":      {file[:len(file)-10], "file is cut off: 10 bytes are missing"},
		"longer":       {append(bytes.Clone(file), 'x'), "payload has the SHA-256"},
		"in payload":   {flip(p.HeaderEnd() + 200), "payload has the SHA-256"},
		"in header":    {flip(p.HeaderEnd() - 200), "SHA-256 of the main header is not that of the signature header"},
		"in signature": {flip(rpm.LeadSize + 16 + 16*6 + 40), "BAD"},
	} {
		x := damaged(c.data)
		if x.OK() || !strings.Contains(x.String(), c.want) {
			t.Errorf("%s: want %q in\n%s", what, c.want, x)
		}
	}
	var broken *BrokenError
	if err := damaged(file[:len(file)-10]).Err(); !errors.As(err, &broken) || !strings.Contains(err.Error(), "damaged.rpm fails 2 rules of profile template: C43, P2") || broken.Hint() == "" {
		t.Error(err)
	}
	// No bit of the file but those that nobody vouches for can be turned unseen.
	for at := p.HeaderStart(); at < int64(len(file)); at += 1 + int64(len(file))/200 {
		s.write(t, "damaged.rpm", string(flip(at)))
		if x, err := Inspect(t.Context(), InspectOptions{File: name, KeyFile: key, Now: noon}); err == nil && x.OK() {
			t.Errorf("byte %d can be turned:\n%s", at, x)
		}
	}
	// Another key, and an earlier clock.
	other, _ := publicKey(t, newSite(t, keysFolder(t)).packOptions(t))
	if x := inspected(t, InspectOptions{File: made[0].File, KeyFile: other}); x.OK() || x.Verified.Signature || !strings.Contains(x.String(), "BAD") {
		t.Errorf("another key:\n%s", x)
	}
	if x := inspected(t, InspectOptions{File: made[0].File, KeyFile: key, Now: noon.AddDate(-1, 0, 0)}); x.OK() || !strings.Contains(x.String(), "in the future") {
		t.Errorf("an earlier clock:\n%s", x)
	}
}

// What cannot be inspected at all, with the hint that goes with it.
func TestInspectErrors(t *testing.T) {
	s := newSite(t, keysFolder(t))
	made := packed(t, s.packOptions(t)).Packages[0]
	file, err := os.ReadFile(made.File)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "text", "certainly no package, but long enough to hold a lead: "+strings.Repeat("x", 100))
	s.write(t, "empty", "")
	s.write(t, "short", string(file[:2000]))
	for name, c := range map[string]struct {
		o     InspectOptions
		usage bool // exit code 2
		want  string
		hint  string
	}{
		"missing":         {InspectOptions{File: filepath.Join(s.dir, "none")}, true, "none: cannot be read: no such file", "check the path"},
		"folder":          {InspectOptions{File: s.dir}, true, "is not a file", "name an .rpm file"},
		"no package":      {InspectOptions{File: filepath.Join(s.dir, "text")}, false, "text: lead: has no rpm magic: not an rpm file", "name an .rpm file"},
		"empty":           {InspectOptions{File: filepath.Join(s.dir, "empty")}, false, "empty: lead: is cut off", "copy or download it again"},
		"short":           {InspectOptions{File: filepath.Join(s.dir, "short")}, false, "short: signature header: is cut off", "the file is not whole"},
		"missing key":     {InspectOptions{File: made.File, KeyFile: filepath.Join(s.dir, "none")}, true, "cannot be used as a key: no such file", "one OpenPGP key"},
		"no key":          {InspectOptions{File: made.File, KeyFile: made.File}, true, "cannot be used as a key", "one OpenPGP key"},
		"unknown profile": {InspectOptions{File: made.File, Profile: "strict"}, true, `profile "strict" is none of`, "-profile=template, stock or plain"},
	} {
		_, err := Inspect(t.Context(), c.o)
		var input *pack.InputError
		var hinter interface{ Hint() string }
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || errors.As(err, &input) != c.usage {
			t.Errorf("%s: %v", name, err)
		}
		if !errors.As(err, &hinter) || !strings.Contains(hinter.Hint(), c.hint) {
			t.Errorf("%s: no hint like %q", name, c.hint)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Inspect(ctx, InspectOptions{File: made.File}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Nothing in a package can write to the reader's terminal.
func TestInspectEscapes(t *testing.T) {
	for text, want := range map[string]string{
		"plain \"text\", é": "plain \"text\", é", "a\x1b[31mb": `a\x1b[31mb`, "two\nlines": `two\nlines`, "\xff": `\xff`,
		strings.Repeat("x", 300): strings.Repeat("x", 200) + "...",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q shows as %q", text, got)
		}
	}
	for mode, want := range map[uint16]string{
		0o100644: "-rw-r--r--", 0o042770: "drwxrws---", 0o104755: "-rwsr-xr-x", 0o101000: "---------T", 0o120777: "lrwxrwxrwx", 0o002001: "?-----S--x",
	} {
		if got := modeText(mode); got != want {
			t.Errorf("%o shows as %s, want %s", mode, got, want)
		}
	}
}
