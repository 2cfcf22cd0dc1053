// Package rpm is the RPM version 4 file format: a header codec, a reader that
// is safe on hostile bytes, the signature header, and names.
//
// A file is
//
//	lead (96 bytes) | signature header | zero padding to 8 | main header | payload
//
// with all integers big-endian. A header is the 8 bytes 8e ad e8 01 00 00 00 00,
// the number of index entries il and the length of the data area dl (32 bits
// each), il index entries of 16 bytes (tag, type, offset, count) and dl bytes of
// data. Entry 0 is the region: tag 62 in a signature header, 63 in a main
// header, type BIN, count 16, offset dl-16; the last 16 data bytes are its
// trailer, an index entry with offset -16*il. The other entries stand in
// ascending order of tag, and their data in the same order, each aligned to the
// size of its type with as few zero bytes as possible.
//
// Three digests name a package:
//
//	file digest    SHA-256 of the whole file: changes when it is signed again
//	header digest  SHA-256 of the main header, from its magic on
//	content id     SHA-256 of main header and payload: survives signing,
//	               re-signing and the client's canonicaliser
//
// The payload is a cpio archive of the files that the header lists (archive.go),
// compressed as a whole: gzip, bzip2, xz, lzma, zstd or not at all. It may be
// many zstd frames; FrameScanner finds them.
//
// Limits while reading are those of rpm >= 4.14: at most 65,535 entries, 64 MiB
// of signature header and 256 MiB of main header, tags and types in range, data
// aligned and inside the area, no tag twice; names of members of at most 4,095
// bytes, a zstd window of 128 MiB, an xz dictionary of 96 MiB. Memory is
// allocated only as bytes arrive, but for such a window. Sources: rpm's format
// documentation, lib/header.c, lib/cpio.c and rpmio/rpmio.c; the stricter rules of
// clients are in package lint.
package rpm

// Tag names a header entry. The values are rpm's (rpmtag.h).
type Tag uint32

// Tags of the signature header.
const (
	SigRegion       Tag = 62
	SigDSAHeader    Tag = 267 // OpenPGP signature of the main header: EdDSA, DSA
	SigRSAHeader    Tag = 268 // the same: RSA
	SigSHA1Header   Tag = 269
	SigLongSize     Tag = 270
	SigLongArchive  Tag = 271
	SigSHA256Header Tag = 273
	SigSize         Tag = 1000 // bytes of main header and payload
	SigPGP          Tag = 1002
	SigMD5          Tag = 1004
	SigGPG          Tag = 1005
	SigPayloadSize  Tag = 1007 // bytes of the uncompressed payload
	SigReserved     Tag = 1008
)

// Tags of the main header.
const (
	Region            Tag = 63
	I18NTable         Tag = 100
	Name              Tag = 1000
	Version           Tag = 1001
	Release           Tag = 1002
	Epoch             Tag = 1003
	Summary           Tag = 1004
	Description       Tag = 1005
	BuildTime         Tag = 1006
	BuildHost         Tag = 1007
	Size              Tag = 1009
	Vendor            Tag = 1011
	License           Tag = 1014
	Packager          Tag = 1015
	Group             Tag = 1016
	URL               Tag = 1020
	OS                Tag = 1021
	Arch              Tag = 1022
	PreIn             Tag = 1023
	PostIn            Tag = 1024
	PreUn             Tag = 1025
	PostUn            Tag = 1026
	OldFileNames      Tag = 1027
	FileSizes         Tag = 1028
	FileModes         Tag = 1030
	FileRDevs         Tag = 1033
	FileMTimes        Tag = 1034
	FileDigests       Tag = 1035
	FileLinkTos       Tag = 1036
	FileFlags         Tag = 1037
	FileUserName      Tag = 1039
	FileGroupName     Tag = 1040
	SourceRPM         Tag = 1044
	FileVerifyFlags   Tag = 1045
	ProvideName       Tag = 1047
	RequireFlags      Tag = 1048
	RequireName       Tag = 1049
	RequireVersion    Tag = 1050
	ConflictFlags     Tag = 1053
	ConflictName      Tag = 1054
	ConflictVersion   Tag = 1055
	TriggerScripts    Tag = 1065
	TriggerName       Tag = 1066
	VerifyScript      Tag = 1079
	ChangelogTime     Tag = 1080
	ChangelogName     Tag = 1081
	ChangelogText     Tag = 1082
	PreInProg         Tag = 1085
	ObsoleteName      Tag = 1090
	Cookie            Tag = 1094
	FileDevices       Tag = 1095
	FileInodes        Tag = 1096
	FileLangs         Tag = 1097
	SourcePackage     Tag = 1106
	ProvideFlags      Tag = 1112
	ProvideVersion    Tag = 1113
	ObsoleteFlags     Tag = 1114
	ObsoleteVersion   Tag = 1115
	DirIndexes        Tag = 1116
	BaseNames         Tag = 1117
	DirNames          Tag = 1118
	PayloadFormat     Tag = 1124
	PayloadCompressor Tag = 1125
	PayloadFlags      Tag = 1126
	PreTrans          Tag = 1151
	PostTrans         Tag = 1152
	LongFileSizes     Tag = 5008
	LongSize          Tag = 5009
	FileCaps          Tag = 5010
	FileDigestAlgo    Tag = 5011
	RecommendName     Tag = 5046
	RecommendVersion  Tag = 5047
	RecommendFlags    Tag = 5048
	SuggestName       Tag = 5049
	SuggestVersion    Tag = 5050
	SuggestFlags      Tag = 5051
	SupplementName    Tag = 5052
	SupplementVersion Tag = 5053
	SupplementFlags   Tag = 5054
	EnhanceName       Tag = 5055
	EnhanceVersion    Tag = 5056
	EnhanceFlags      Tag = 5057
	Encoding          Tag = 5062
	FileTriggerName   Tag = 5069
	TransTriggerName  Tag = 5079
	PayloadDigest     Tag = 5092
	PayloadDigestAlgo Tag = 5093
	PayloadDigestAlt  Tag = 5097
	PreUnTrans        Tag = 5104
	PostUnTrans       Tag = 5106
)

// Type is the type of an entry's values.
type Type uint32

// Types of header values.
const (
	Char        Type = 1
	Int8        Type = 2
	Int16       Type = 3
	Int32       Type = 4
	Int64       Type = 5
	String      Type = 6
	Bin         Type = 7
	StringArray Type = 8
	I18NString  Type = 9
)

// size is the width of one value, also its alignment; 0 for strings.
func (t Type) size() int {
	switch t {
	case Char, Int8, Bin:
		return 1
	case Int16:
		return 2
	case Int32:
		return 4
	case Int64:
		return 8
	}
	return 0
}

// Align is the alignment of an entry's data within the data area, in bytes.
func (t Type) Align() int { return max(t.size(), 1) }

// Flags of dependency entries (rpmds.h).
const (
	SenseLess    = 2
	SenseGreater = 4
	SenseEqual   = 8
	SenseRpmlib  = 1 << 24
)

// DigestSHA256 is the number of SHA-256 in FileDigestAlgo and PayloadDigestAlgo.
const DigestSHA256 = 8
