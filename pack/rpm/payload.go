package rpm

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

// Payload reads the members of a package's payload, one after the other, and
// holds each to the header's file list: its name stands there, once; type,
// permissions, size, link target and content digest are those of the list; and
// at the end no file is missing but ghosts. Memory is that of the file list and
// of the decompressor's window, at any size of the payload.
//
// Errors about the bytes are of type *FormatError; they are final.
type Payload struct {
	files   []File
	index   map[string]int
	seen    []bool
	missing int // files that must still come
	source  bool
	digest  func() hash.Hash
	data    map[link]int // of each set of hard links in a stripped payload, the one with content
	links   map[link]*linkSet

	archive  archive
	stream   io.Closer
	member   *Member
	sum      hash.Hash // of the member's content, as far as it was read
	finished bool      // the member was checked
	err      error
}

// link names a set of hard links.
type link struct{ inode, device uint32 }

// linkSet is what the header says of the first of them, and whether the content
// that they share was there.
type linkSet struct {
	file File
	has  bool
}

// Member is a file in a payload.
type Member struct {
	Index    int   // in Header.Files
	File     File  // that entry
	Size     int64 // of the content that follows; 0 for a hard link whose content comes with another name
	Start    int64 // where the content starts in the uncompressed payload
	Absolute bool  // named from the root on: rpm does not mind, other readers write there
}

// digests by the numbers of FileDigestAlgo (OpenPGP's).
var digests = map[uint64]func() hash.Hash{
	1: md5.New, 2: sha1.New, 8: sha256.New, 9: sha512.New384, 10: sha512.New, 11: sha256.New224,
}

// OpenPayload reads the payload that starts at r and ends with it. Close frees
// its memory.
func OpenPayload(p *Package, r io.Reader) (*Payload, error) {
	h := p.Header
	if format := h.String(PayloadFormat); format != "cpio" {
		return nil, payloadError("has the format %s; only cpio is known", quote(format))
	}
	files, err := h.Files()
	if err != nil {
		return nil, err
	}
	algorithm, ok := h.Int(FileDigestAlgo)
	if !ok {
		algorithm = 1 // as before rpm 4.6
	}
	x := &Payload{
		files: files, index: make(map[string]int, len(files)), seen: make([]bool, len(files)),
		source: !h.Has(SourceRPM), digest: digests[algorithm],
		data: map[link]int{}, links: map[link]*linkSet{},
	}
	if x.digest == nil && len(files) > 0 {
		return nil, &FormatError{"main header", fmt.Sprintf("has file digest algorithm %d, which is not known", algorithm)}
	}
	for i, f := range files {
		x.index[f.Name] = i
		if f.Ghost() {
			continue
		}
		x.missing++
		if f.Regular() && h.Has(FileInodes) {
			x.data[link{f.Inode, f.Device}] = i
		}
	}
	stream, err := Decompress(h.String(PayloadCompressor), r)
	if err != nil {
		return nil, err
	}
	x.archive.r, x.stream = stream, stream
	return x, nil
}

// Close frees the payload's memory.
func (x *Payload) Close() error { return x.stream.Close() }

// Offset is the number of bytes of the uncompressed payload that were read.
func (x *Payload) Offset() int64 { return x.archive.at }

// Next goes to the next member. What was not read of the one before is read and
// checked now. At the end of the payload, with every file seen, the error is io.EOF.
func (x *Payload) Next() (*Member, error) {
	if x.err != nil {
		return nil, x.err
	}
	if x.member != nil {
		if _, x.err = io.Copy(io.Discard, x); x.err != nil {
			return nil, x.err
		}
	}
	x.member, x.err = x.next()
	return x.member, x.err
}

func (x *Payload) next() (*Member, error) {
	c, err := x.archive.next()
	if err == io.EOF {
		return nil, x.end()
	}
	if err != nil {
		return nil, err
	}
	i, err := x.find(c)
	if err != nil {
		return nil, err
	}
	f := x.files[i]
	bad := func(format string, args ...any) (*Member, error) {
		return nil, payloadError("has the member %s %s", quote(f.Name), fmt.Sprintf(format, args...))
	}
	if x.seen[i] {
		return bad("twice")
	}
	x.seen[i] = true
	if !f.Ghost() {
		x.missing--
	}
	x.sum, x.finished = x.digest(), false
	if c.index >= 0 {
		x.archive.expect(x.strippedSize(i, f))
		return &Member{i, f, x.archive.left, x.archive.at, false}, nil
	}
	if c.mode != uint32(f.Mode) {
		return bad("with mode %#o, the header says %#o", c.mode, f.Mode)
	}
	want := int64(0)
	switch f.Mode & ModeType {
	case ModeRegular:
		want = f.Size
		if c.links > 1 {
			set := x.links[link{inode: c.inode}]
			if set == nil {
				set = &linkSet{file: f}
				x.links[link{inode: c.inode}] = set
			}
			if f.Size != set.file.Size || f.Digest != set.file.Digest {
				return bad("as a hard link of %s, of which the header says something else", quote(set.file.Name))
			}
			if c.size == 0 && want > 0 {
				want = 0
			} else {
				set.has = true
			}
		}
	case ModeLink:
		want = int64(len(f.Link))
	}
	if c.size != want {
		return bad("with %d bytes, the header says %d", c.size, want)
	}
	return &Member{i, f, c.size, x.archive.at, strings.HasPrefix(c.name, "/")}, nil
}

// find returns the member's place in the file list. Names in a payload start
// with "./", but for source packages; google/rpmpack writes absolute ones.
func (x *Payload) find(c cpioMember) (int, error) {
	if c.index >= 0 {
		if c.index >= int64(len(x.files)) {
			return 0, payloadError("has a member for file %d of %d", c.index, len(x.files))
		}
		return int(c.index), nil
	}
	bad := func(what string) (int, error) { return 0, payloadError("has the member %s, %s", quote(c.name), what) }
	for part := range strings.SplitSeq(c.name, "/") {
		if part == ".." {
			return bad("which climbs out of its folder")
		}
	}
	name, dotted := strings.CutPrefix(c.name, "./")
	if i, ok := x.index["/"+name]; ok && dotted {
		return i, nil
	}
	absolute := strings.HasPrefix(name, "/") && !dotted
	if i, ok := x.index[name]; ok && (x.source || absolute) {
		return i, nil
	}
	if absolute {
		return bad("an absolute path which the header does not list")
	}
	return bad("which the header does not list")
}

// strippedSize is the size of a member whose head does not say it: that of the
// file list, where of a set of hard links only the last has content.
func (x *Payload) strippedSize(i int, f File) int64 {
	switch f.Mode & ModeType {
	case ModeRegular:
		if last, ok := x.data[link{f.Inode, f.Device}]; ok && last != i {
			return 0
		}
		return f.Size
	case ModeLink:
		return int64(len(f.Link))
	}
	return 0
}

// Read reads the current member's content. With the last byte the digest is
// checked: content that differs never ends with io.EOF.
func (x *Payload) Read(b []byte) (int, error) {
	switch {
	case x.err != nil:
		return 0, x.err
	case x.member == nil || x.finished:
		return 0, io.EOF
	}
	n, err := x.archive.Read(b)
	x.sum.Write(b[:n])
	if x.archive.left == 0 && (err == nil || err == io.EOF) {
		x.finished = true
		if err = x.check(); err == nil {
			err = io.EOF
		}
	}
	if err != nil && err != io.EOF {
		x.err = err
	}
	return n, err
}

// check compares the content that was read with the file list.
func (x *Payload) check() error {
	f := x.member.File
	switch {
	case f.Mode&ModeType == ModeLink:
		want := x.digest()
		want.Write([]byte(f.Link))
		if string(x.sum.Sum(nil)) != string(want.Sum(nil)) {
			return payloadError("has the symbolic link %s to another target than the header says", quote(f.Name))
		}
	case !f.Regular(), x.member.Size == 0 && f.Size > 0: // or a hard link
	case f.Digest == "":
		return payloadError("has the file %s, of which the header has no digest", quote(f.Name))
	case !strings.EqualFold(hex.EncodeToString(x.sum.Sum(nil)), f.Digest):
		return payloadError("has the file %s with other content than the header's digest says", quote(f.Name))
	}
	return nil
}

// end checks what can be said behind the trailer.
func (x *Payload) end() error {
	for i, f := range x.files {
		if !x.seen[i] && !f.Ghost() {
			return payloadError("lacks %d of the files that the header lists, the first is %s", x.missing, quote(f.Name))
		}
	}
	for _, set := range x.links {
		if !set.has {
			return payloadError("has %s and its hard links without their content", quote(set.file.Name))
		}
	}
	if err := x.archive.end(); err != nil {
		return err
	}
	return io.EOF
}
