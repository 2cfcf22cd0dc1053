// Package pack turns a template image into a signed package, an rpm file that
// is nothing but a container: no scripts, no triggers, no dependencies.
//
// # Container format 1
//
// The payload is a cpio archive ("newc", names with a leading "./") of the
// folder /var/lib/qubes/vm-templates/NAME and in it, sorted by path, the side
// files of the definition and root.img.part.00, .01, ... The parts together are
// a GNU sparse tar (old format) with the one member root.img. Its extents are
// the image without runs of at least 64 KiB of zeros on 4 KiB boundaries; runs
// are found in the content, so a sparse and a dense copy of an image give the
// same package. A part ends at the last frame boundary within 1 GiB.
//
// The compressed payload is a sequence of independent zstd frames. A frame holds
// either image data, cut by the rule of cut format 1 (see frame.go), or the
// container bytes between two such frames (cpio and tar headers, padding, side
// files). The same image data gives the same frames in every package.
//
// Every header value comes from the definition and the image: build time, file
// times and signature time are the definition's date (or SOURCE_DATE_EPOCH),
// owner root, fixed modes, build host "colophon". The header's Cookie names
// container format, codec, its version and level, cut format and frame size.
//
// # Cost
//
// The image is read twice, in order. The first read finds extents, frames and
// their digests, the second compresses and checks those digests again. Memory
// is a few frames per core plus 36 bytes per frame and 16 per extent.
package pack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"colophon/pack/lint"
	"colophon/pack/rpm"
)

// Output is where a package is written. The payload comes first, at its offset,
// the headers last; then everything is read back.
type Output interface {
	io.WriterAt
	io.ReaderAt
}

// Options of Pack.
type Options struct {
	// Sign signs the main header; the signature is dated at. Required.
	Sign func(ctx context.Context, header []byte, at time.Time) ([]byte, error)
	// Date replaces the definition's date (SOURCE_DATE_EPOCH); zero keeps it.
	Date time.Time
	// Progress is called now and then with the bytes of image data packed so
	// far and the total. May be nil.
	Progress func(done, total int64)
}

// Result says what was packed.
type Result struct {
	NEVRA      rpm.NEVRA
	Package    *rpm.Package
	Digests    rpm.Digests
	Date       time.Time // build time and signature time
	ImageBytes int64     // nominal size of the image
	DataBytes  int64     // of its extents
	Frames     int       // frames of image data
	Codec      Codec
	Cut        Cut
	TarDigest  string // SHA-256 of the sparse tar stream, that is, of all parts
	SideFiles  []SideFile
}

// Pack writes the definition's package to out. On an error, what stands in out
// is not a package. Mistakes of the input are *InputError; an image that changes
// while it is read is one.
func Pack(ctx context.Context, d *Definition, out Output, o Options) (*Result, error) {
	at := d.Date.Time
	if !o.Date.IsZero() {
		at = o.Date
	}
	im, err := openImage(d.Resolve(d.Image))
	if err != nil {
		return nil, err
	}
	defer im.close()
	side, err := d.SideFiles()
	if err != nil {
		return nil, err
	}
	p, err := planImage(ctx, im, int(d.Compression.Frame))
	if err != nil {
		return nil, err
	}
	parts, err := p.parts(at.Unix())
	if err != nil {
		return nil, &InputError{im.path, 0, err.Error(), "make the image smaller"}
	}
	list := entries(d.Name, parts, side, at)

	// Everything that lint looks at is known now, except digests and signature.
	blank := header(d, at, list, blanks(list), blankDigest).Marshal(rpm.Region)
	if err := lintHeader(d, blank); err != nil {
		return nil, err
	}
	w, err := newWriter(d, im, p, list, out, rpm.PayloadOffset(blank), o.Progress)
	if err != nil {
		return nil, err
	}
	if err := w.payload(ctx); err != nil {
		return nil, err
	}
	raw := header(d, at, list, w.digests, hexSum(w.compressed)).Marshal(rpm.Region)
	signature, err := o.Sign(ctx, raw, at)
	if err != nil {
		return nil, fmt.Errorf("sign %q: %w", d.NEVRA(), err)
	}
	front, err := rpm.Front(d.NEVRA(), raw, signature, w.size, w.archive)
	if err != nil {
		return nil, err
	}
	if _, err := out.WriteAt(front, 0); err != nil {
		return nil, fmt.Errorf("write %q: %w", d.NEVRA(), err)
	}
	pkg, digests, err := rpm.Read(io.NewSectionReader(out, 0, int64(len(front))+w.size))
	if err != nil {
		return nil, fmt.Errorf("read back %q: %w", d.NEVRA(), err)
	}
	if err := lint.Package(pkg, lint.Template); err != nil {
		return nil, err
	}
	return &Result{
		NEVRA: d.NEVRA(), Package: pkg, Digests: digests, Date: at,
		ImageBytes: p.size, DataBytes: p.data, Frames: len(p.frames),
		Codec: d.Compression.codec(), Cut: cutOf(int(d.Compression.Frame)),
		TarDigest: hexSum(w.tar), SideFiles: side,
	}, nil
}

// lintHeader checks a package before its payload is written.
func lintHeader(d *Definition, raw []byte) error {
	h, err := rpm.ParseHeader(raw)
	if err != nil {
		return err
	}
	if err := lint.Header(h, raw, lint.Template); err != nil {
		return &InputError{d.path, 0, err.Error(), "clients would refuse this package"}
	}
	return nil
}

func blanks(list []entry) []string {
	digests := make([]string, len(list))
	for i, e := range list {
		if e.cpio.Mode != dirMode {
			digests[i] = blankDigest
		}
	}
	return digests
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// errFrame is found where the second read sees other data than the first.
var errFrame = errors.New("frame differs")

func sum256(b []byte) [sha256.Size]byte { return sha256.Sum256(b) }
