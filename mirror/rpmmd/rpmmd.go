// Package rpmmd makes and reads repository metadata in the format rpm-md.
//
// Metadata of format 1 is a pure function of a set of packages, each known by
// its headers, the SHA-256 and the size of its file, and of a revision, a
// number of seconds since 1970. No clock, file time, locale or host takes part.
// The open primary, filelists and other are byte-identical to those of
// createrepo_c 0.17.3 (as Debian 12 builds it) for the same files with their
// build time as file time. Any change of the rules is a new format number.
//
//	href        "../../packages/<name>/<name>-<version>-<release>.<arch>.rpm",
//	            computed from the header; each href stands once
//	order       bytes of the file name, then bytes of the href
//	time        file and build are both the build time
//	text        UTF-8 without control characters but TAB, LF, CR, without
//	            U+FFFE and U+FFFF; anything else is an error
//	escaping    in text & < > and CR as "&#13;"; in attributes also ", TAB, LF,
//	            and every character above U+007F as "&#xHEX;", upper case
//	elements    text elements are written with both tags when empty, others as
//	            "<x/>"; two blanks per level below <package>; no LF at the end
//	requires    see filterRequires; changelogs: see changelogs
//	compressed  one gzip member: level 6 of klauspost/compress v1.20.3, time 0,
//	            no name, OS byte 255; file name "<sha256>-primary.xml.gz"
//	repomd.xml  primary, filelists, other in this order, each with checksum,
//	            open-checksum, location, timestamp, size, open-size; every
//	            timestamp is the revision; a final LF
//
// The compressed bytes are promised for that encoder only, because encoders
// change between versions. Who has another one checks the open bytes against
// open-checksum, and repomd.xml against the record it is made of.
//
// Parsers of outside bytes accept exactly what this package writes: they decode
// into values, encode those again and compare.
package rpmmd

import (
	"cmp"
	"encoding/hex"
	"path"

	"colophon/pack/rpm"
)

// Format is the number of the rules above.
const Format = 1

// Names of the three files of metadata, as repomd.xml calls them.
const (
	Primary   = "primary"
	Filelists = "filelists"
	Other     = "other"
)

// Limits on what is written and accepted.
const (
	maxRevision = 253402300799 // the last second of the year 9999
	maxPackages = 1 << 20
	maxPackage  = 16 << 20 // bytes of one package element of primary
	maxPointer  = 64 << 10 // bytes of repomd.xml and of a metalink
)

// Href is where a package lies, relative to a snapshot's folder.
func Href(n rpm.NEVRA) string { return "../../" + n.Path() }

// compareHref is the order of packages in metadata.
func compareHref(a, b string) int {
	if c := cmp.Compare(path.Base(a), path.Base(b)); c != 0 {
		return c
	}
	return cmp.Compare(a, b)
}

// isSHA256 accepts 64 lower-case hex digits.
func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && hex.EncodeToString(b) == s
}
