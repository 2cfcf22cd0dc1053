package rpmmd

import (
	"fmt"
	"math"

	"colophon/pack/rpm"
)

// header reads a main or signature header. The first value of a wrong form is
// kept as err.
type header struct {
	*rpm.Header
	err error
}

func (h *header) fail(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf(format, args...)
	}
}

// text is a tag with one string, in locale C, "" when it is absent.
func (h *header) text(tag rpm.Tag) string {
	e, ok := h.Get(tag)
	if ok && e.Type != rpm.String && e.Type != rpm.I18NString && !(e.Type == rpm.StringArray && e.Count == 1) {
		h.fail("tag %d is not one string", tag)
	}
	return h.String(tag)
}

// number is a tag with one integer, and whether it is there.
func (h *header) number(tag rpm.Tag) (int64, bool) {
	if !h.Has(tag) {
		return 0, false
	}
	v := h.Ints(tag)
	if len(v) != 1 || v[0] > math.MaxInt64 {
		h.fail("tag %d is not one integer below 2^63", tag)
		return 0, true
	}
	return int64(v[0]), true
}

// first is the number of the first of two tags that is there, else 0.
func (h *header) first(tag, other rpm.Tag) int64 {
	if v, ok := h.number(tag); ok {
		return v
	}
	v, _ := h.number(other)
	return v
}

func (h *header) texts(tag rpm.Tag) []string {
	if e, ok := h.Get(tag); ok && e.Type != rpm.StringArray && e.Type != rpm.String {
		h.fail("tag %d is not a list of strings", tag)
	}
	return h.Strings(tag)
}

func (h *header) numbers(tag rpm.Tag) []uint64 {
	v := h.Ints(tag)
	if h.Has(tag) && v == nil {
		h.fail("tag %d is not a list of integers", tag)
	}
	return v
}

// same refuses lists that belong together and differ in length.
func (h *header) same(what string, lengths ...int) {
	for _, n := range lengths[1:] {
		if n != lengths[0] {
			h.fail("the lists that make up %s differ in length: %d", what, lengths)
		}
	}
}

// files is the whole file list. A directory is one even when it is a ghost.
func (h *header) files() []FileEntry {
	const directory, kind, ghost = 0o040000, 0o170000, 1 << 6 // stat.h; RPMFILE_GHOST
	base, dirs, index := h.texts(rpm.BaseNames), h.texts(rpm.DirNames), h.numbers(rpm.DirIndexes)
	modes, flags := h.numbers(rpm.FileModes), h.numbers(rpm.FileFlags)
	h.same("the file list", len(base), len(index), len(modes), len(flags))
	if h.err != nil {
		return nil
	}
	list := make([]FileEntry, 0, len(base))
	for i, name := range base {
		if index[i] >= uint64(len(dirs)) {
			h.fail("file %d lies in folder %d of %d", i, index[i], len(dirs))
			return nil
		}
		f := FileEntry{Path: dirs[index[i]] + name}
		if modes[i]&kind == directory {
			f.Type = "dir"
		} else if flags[i]&ghost != 0 {
			f.Type = "ghost"
		}
		list = append(list, f)
	}
	return list
}

// changelog is one entry of other.
type changelog struct {
	author, text string
	date         int64
}

// maxChangelogs is how many of the newest entries stand in other.
const maxChangelogs = 10

// changelogs are the first entries of the header, which are the newest, in
// reverse. createrepo_c makes dates unique, because old clients sort by them:
// while an entry has the same date as the one before it in the header, the
// dates of the entries before it that follow each other by one second are
// raised by one. Blanks at the end of an author are cut, but not the first byte.
func (h *header) changelogs() []changelog {
	dates, authors, texts := h.numbers(rpm.ChangelogTime), h.texts(rpm.ChangelogName), h.texts(rpm.ChangelogText)
	h.same("the changelog", len(dates), len(authors), len(texts))
	if h.err != nil {
		return nil
	}
	var list []changelog // newest first
	last := int64(0)
	for i := range min(len(dates), maxChangelogs) {
		date, author := int64(dates[i]), authors[i]
		for len(author) > 1 && author[len(author)-1] == ' ' {
			author = author[:len(author)-1]
		}
		if date == last {
			// A C int there, so dates after January 2038 stay equal.
			for j, next := i-1, int64(int32(date)); j >= 0 && list[j].date == next; j, next = j-1, next+1 {
				list[j].date++
			}
		}
		last = date
		list = append(list, changelog{author, texts[i], date})
	}
	return list
}
