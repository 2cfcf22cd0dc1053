// Package logs makes the two files that stand beside a package and say where it
// came from: its build log and its build record. Both are bytes in, bytes out;
// callers write the files, and the ledger entry holds their digests.
//
// # Build log
//
// The published log, <nvra>.rpm.log.zst, is the plain log as one zstd stream
// (RFC 8878) that needs a window of at most 8 MiB. The plain log is 1 byte to
// 256 MiB of anything but NUL bytes. The digest of the plain log is a matter of
// the log alone and is what a rebuilder compares. The compressed bytes depend on
// the encoder besides, whose version is pinned: another version, or another
// program, gives other bytes for the same log, and equality is not promised.
//
// # Build record
//
// The record, <nvra>.rpm.record.json, is an in-toto Statement v1 with an SLSA
// provenance v1 predicate, in plain JSON: the ledger vouches for it, so it has no
// signature of its own. It is a function of what went into the package and what
// came out, and holds neither the time nor the place of the build, so that
// whoever repacks the same template and log with the same tool gets the same
// record but for the digest of the signed file. The fields are those of
// [Record]; the bytes are:
//
//   - UTF-8 JSON, indented by two blanks per level as Go's encoding/json does
//     it ("key": value, an empty list as []), one LF at the end;
//   - keys in the order that Encode writes, all of them present, except that
//     annotations appear on the image and log only, and the log's two
//     descriptors only where there is a log;
//   - in strings only \" \\ \n \t are escaped, the last two in the description
//     only; all numbers are integers.
//
// A decoder encodes what it read again and refuses bytes that differ.
package logs

// Suffixes of the keys in the public tree, after that of the package's file.
const (
	LogSuffix    = ".log.zst"
	RecordSuffix = ".record.json"
)

// A Digest names some bytes: SHA-256 in lower-case hex, and how many they are.
type Digest struct {
	SHA256 string
	Size   int64
}

// A hintError is a refusal with what to do about it.
type hintError struct{ problem, hint string }

func (e *hintError) Error() string { return e.problem }
func (e *hintError) Hint() string  { return e.hint }
