package rpmmd

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// encoder writes XML as libxml2 2.9 does for createrepo_c. The first string
// that XML cannot hold is kept as err; what is written after it is worthless.
type encoder struct {
	b   []byte
	err error
}

func (e *encoder) raw(s string) { e.b = append(e.b, s...) }

// open starts a tag: everything but its end.
func (e *encoder) open(indent, name string) {
	e.raw(indent)
	e.raw("<")
	e.raw(name)
}

// close ends a tag that open started, which holds nothing.
func (e *encoder) close() { e.raw("/>\n") }

// content ends a tag that open started, which holds text.
func (e *encoder) content(name, text string) {
	e.raw(">")
	e.escape(name, text, false)
	e.raw("</")
	e.raw(name)
	e.raw(">\n")
}

// text is a whole element that holds text.
func (e *encoder) text(indent, name, text string) {
	e.open(indent, name)
	e.content(name, text)
}

func (e *encoder) attr(name, value string) {
	e.raw(" ")
	e.raw(name)
	e.raw(`="`)
	e.escape(name, value, true)
	e.raw(`"`)
}

func (e *encoder) number(name string, value int64) {
	e.raw(" ")
	e.raw(name)
	e.raw(`="`)
	e.b = strconv.AppendInt(e.b, value, 10)
	e.raw(`"`)
}

// escape appends s. what names it in errors.
func (e *encoder) escape(what, s string, attribute bool) {
	for i, r := range s {
		switch {
		case r == '&':
			e.raw("&amp;")
		case r == '<':
			e.raw("&lt;")
		case r == '>':
			e.raw("&gt;")
		case r == '\r':
			e.raw("&#13;")
		case attribute && r == '"':
			e.raw("&quot;")
		case attribute && (r == '\n' || r == '\t'):
			e.b = fmt.Appendf(e.b, "&#%d;", r)
		case r < ' ' && r != '\n' && r != '\t', r == 0xfffe, r == 0xffff:
			e.fail("%s holds the character %U, which XML cannot", what, r)
		case r == utf8.RuneError && !utf8.ValidString(s[i:min(len(s), i+3)]):
			e.fail("%s is not valid UTF-8 at byte %d", what, i)
		case attribute && r >= utf8.RuneSelf:
			e.b = fmt.Appendf(e.b, "&#x%X;", r)
		default:
			e.b = utf8.AppendRune(e.b, r)
		}
	}
}

func (e *encoder) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}
