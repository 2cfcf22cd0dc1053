package publish

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"colophon/pack/lint"
	"colophon/publish/site"
)

// maxListed is how many files the summary shows: those of every template that
// is made here, with a large image or many side files cut short.
const maxListed = 12

// String is the summary for people, about one screen. Values come from a file
// that may be hostile: what is not printable is shown escaped.
func (x *Inspection) String() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	line("package", "%s", printable(x.NEVRA))
	for _, about := range []string{x.Fields.Summary, x.Fields.License, x.Fields.URL} {
		if about != "" {
			line("", "%s", printable(about))
		}
	}
	line("built", "%s", x.built())
	if packed, ok := strings.CutPrefix(x.Fields.Cookie, "colophon "); ok {
		line("packed", "%s", printable(packed))
	}
	line("file", "%s  %s, %d bytes", printable(x.File), site.Size(x.Digests.Size), x.Digests.Size)
	line("  sha256", "%s", x.Digests.File)
	line("  content", "%s", x.Digests.ContentID)
	line("  header", "%s  %s", x.Digests.Header, matches(x.Verified.Header))
	line("  payload", "%s  %s", x.Digests.Payload, matches(x.Verified.Payload))
	line("signature", "%s", x.signature())
	line("payload", "%s", x.payload())
	if im := x.Image; im != nil {
		line("image", "%s, %s: %s of data, %s, in %s", printable(im.Name), site.Size(im.Size), site.Size(im.Data), count(im.Holes, "hole"), count(im.Parts, "part"))
	}
	line("files", "%d listed, contents %s", len(x.Files), matches(x.Verified.Files))
	for i, f := range x.Files {
		if i == maxListed {
			line("", "and %d more", len(x.Files)-i)
			break
		}
		name := f.Name
		if f.Link != "" {
			name += " -> " + f.Link
		}
		if f.Ghost {
			name += " (not in the payload)"
		}
		fmt.Fprintf(&b, "  %s %-11s %10d %s\n", f.Mode, printable(f.Owner), f.Size, printable(name))
	}
	x.rules(&b)
	return b.String()
}

func (x *Inspection) built() string {
	text := "at an unknown time"
	if !x.Fields.BuildTime.IsZero() {
		text = stamp(x.Fields.BuildTime)
	}
	for _, f := range [][2]string{{" on ", x.Fields.BuildHost}, {" from ", x.Fields.SourceRPM}} {
		if f[1] != "" {
			text += f[0] + printable(f[1])
		}
	}
	return text
}

func (x *Inspection) signature() string {
	s := x.Signature
	if s == nil {
		return "none"
	}
	text := fmt.Sprintf("%s, %s, %s, key %s: ", s.Algorithm, s.Hash, stamp(s.Created), s.KeyID)
	switch {
	case x.Verified.Signature:
		return text + "verified by\n           " + s.Signer
	case s.Problem != "":
		return text + "BAD\n           " + printable(s.Problem)
	}
	return text + "not verified, no key was given"
}

func (x *Inspection) payload() string {
	p := x.Payload
	compressor := printable(p.Compressor)
	if compressor == "" {
		compressor = "not compressed"
	}
	text := fmt.Sprintf("%s, %s, %s uncompressed", compressor, site.Size(p.Size), site.Size(p.Uncompressed))
	switch f := p.Frames; {
	case f.Image > 0:
		text += fmt.Sprintf(", %s: %d of the image (average %s), %d of the container", count(f.Count, "frame"), f.Image, site.Size(f.ImageAverage), f.Container)
	case f.Count > 0:
		text += ", " + count(f.Count, "frame")
	}
	return text
}

// rules counts what passed, and names everything else.
func (x *Inspection) rules(b *strings.Builder) {
	n := map[lint.Status]int{}
	skipped := map[string][]string{}
	var reasons []string
	for _, r := range x.Rules {
		n[r.Status]++
		if r.Status == lint.Skip {
			if skipped[r.Message] == nil {
				reasons = append(reasons, r.Message)
			}
			skipped[r.Message] = append(skipped[r.Message], r.ID)
		}
	}
	fmt.Fprintf(b, "%-10s %s of profile %s: %d passed, %d failed, %d with a warning, %d skipped\n",
		"rules", count(len(x.Rules), "rule"), x.Profile, n[lint.Pass], n[lint.Fail], n[lint.Warn], n[lint.Skip])
	for _, status := range []lint.Status{lint.Fail, lint.Warn} {
		for _, r := range x.Rules {
			if r.Status == status {
				fmt.Fprintf(b, "  %s %-4s %s\n            %s\n", status, r.ID, r.Title, printable(r.Message))
			}
		}
	}
	for _, reason := range reasons {
		fmt.Fprintf(b, "  skip %s: %s\n", strings.Join(skipped[reason], " "), reason)
	}
}

func matches(ok bool) string {
	if ok {
		return "ok"
	}
	return "BAD"
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

// printable escapes what a terminal would act on, and cuts what is too long to read.
func printable(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "..."
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strings.Trim(strconv.Quote(s), `"`)
	}
	return s
}

// modeText is a file's mode as ls shows it.
func modeText(mode uint16) string {
	kind := map[uint16]byte{0o100000: '-', 0o040000: 'd', 0o120000: 'l', 0o020000: 'c', 0o060000: 'b', 0o010000: 'p', 0o140000: 's'}[mode&0o170000]
	if kind == 0 {
		kind = '?'
	}
	text := []byte{kind}
	for i := 8; i >= 0; i-- {
		c := "rwx"[(8-i)%3]
		if mode>>i&1 == 0 {
			c = '-'
		}
		text = append(text, c)
	}
	for i, special := range []struct {
		bit      uint16
		set, not byte
	}{{0o4000, 's', 'S'}, {0o2000, 's', 'S'}, {0o1000, 't', 'T'}} {
		if mode&special.bit != 0 {
			at := 3 * (i + 1)
			if text[at] == 'x' {
				text[at] = special.set
			} else {
				text[at] = special.not
			}
		}
	}
	return string(text)
}
