// Package pack turns a template image into a signed package, an rpm file that
// is nothing but a container: no scripts, no triggers, no dependencies. It makes
// ordinary packages, too, such as the one with a repository's keys.
//
// A template.yaml (Definition) and an nfpm.yaml (NFPM) both become an Info in
// nfpm's words, and take the same way from there; the image is the one content
// that is not held in memory. Packager is the same behind nfpm's own interface.
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
// files), which are cut at the size of the largest frame of image data. The same
// image data gives the same frames in every package; frames that were stored
// before (Options.Frames) keep the bytes they have.
//
// Every header value comes from the definition and the image: build time, file
// times and signature time are the definition's date (or SOURCE_DATE_EPOCH),
// owner root, fixed modes, build host "colophon". The header's Cookie names
// container format, codec, its version and level, cut format and frame size.
//
// # Cost
//
// The image is read twice, in order. The first read finds extents, frames and a
// check sum of each, the second makes digests and frames and looks whether the
// sums are still the same. A byte of image data goes through SHA-256 twice: for
// its frame and for its part, and a third time for the tar stream where that is
// more than one part. Memory is a few frames per core, 80 bytes per frame and 16
// per extent; the contents of ordinary packages are at most 64 MiB.
package pack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/maphash"
	"io"
	"path/filepath"
	"time"

	"github.com/goreleaser/nfpm/v2"

	"colophon/pack/lint"
	"colophon/pack/rpm"
)

// Output is where a package is written. The payload comes first, at its offset,
// the headers last; then everything is read back.
type Output interface {
	io.WriterAt
	io.ReaderAt
}

// Source is what Pack packs: a *Definition (template.yaml) or an *NFPM (nfpm.yaml).
type Source interface {
	NEVRA() rpm.NEVRA
	// File is the path of the source, for messages.
	File() string
	// Info is the package in nfpm's words. A time that is not zero replaces the
	// source's own date.
	Info(at time.Time) (*nfpm.Info, error)
}

// Options of Pack.
type Options struct {
	// Sign signs the main header; the signature is dated at. Required.
	Sign func(ctx context.Context, header []byte, at time.Time) ([]byte, error)
	// Date replaces the source's date (SOURCE_DATE_EPOCH); zero keeps it.
	Date time.Time
	// Frames is asked for every frame of image data before it is compressed. May
	// be nil. What it returns is opened and compared before it is used.
	Frames Frames
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
	Reused     int       // of these from Options.Frames
	Codec      Codec
	Cut        Cut
	TarDigest  string // SHA-256 of the sparse tar stream, that is, of all parts; "" without image
	SideFiles  []SideFile
	Segments   []Segment // of the payload, which starts at Package.HeaderEnd
}

// Pack writes the source's package to out. On an error, what stands in out is
// not a package. Mistakes of the input are *InputError; an image that changes
// while it is read is one.
func Pack(ctx context.Context, source Source, out Output, o Options) (*Result, error) {
	info, err := source.Info(o.Date)
	if err != nil {
		return nil, err
	}
	s, err := newSpec(source.File(), filepath.Dir(source.File()), info)
	if err != nil {
		return nil, err
	}
	return packSpec(ctx, s, out, o)
}

func packSpec(ctx context.Context, s *spec, out Output, o Options) (*Result, error) {
	plan, im, parts, err := s.plan(ctx)
	if err != nil {
		return nil, err
	}
	if im != nil {
		defer im.close()
	}
	list := s.archive(parts)

	// Everything that lint looks at is known now, except digests and signature.
	blank := s.header(list, blanks(list), blankDigest).Marshal(rpm.Region)
	if err := s.lintHeader(blank); err != nil {
		return nil, err
	}
	z, err := s.compression.open()
	if err != nil {
		return nil, err
	}
	defer z.close()
	largest := int(s.compression.Frame) * maxMultiple
	known, err := newKnown(o.Frames, s.compression.codec(), largest)
	if err != nil {
		return nil, err
	}
	defer known.close()
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	w := &writer{
		im: im, plan: plan, list: list, out: out, offset: rpm.PayloadOffset(blank), z: z, largest: largest,
		known: known, progress: o.Progress, compressed: sha256.New(), tar: sha256.New(),
	}
	w.written.SetSeed(maphash.MakeSeed())
	if err := w.payload(ctx); err != nil {
		return nil, err
	}
	raw := s.header(list, w.digests(), hexSum(w.compressed)).Marshal(rpm.Region)
	signature, err := o.Sign(ctx, raw, s.at)
	if err != nil {
		return nil, fmt.Errorf("sign %q: %w", s.nevra, err)
	}
	front, err := rpm.Front(s.nevra, raw, signature, w.size, w.archive)
	if err != nil {
		return nil, err
	}
	if _, err := out.WriteAt(front, 0); err != nil {
		return nil, fmt.Errorf("write %q: %w", s.nevra, err)
	}
	pkg, digests, err := w.readBack(front, raw)
	if err != nil {
		return nil, fmt.Errorf("read back %q: %w", s.nevra, err)
	}
	if err := lint.Package(pkg, s.profile()); err != nil {
		return nil, err
	}
	r := &Result{
		NEVRA: s.nevra, Package: pkg, Digests: digests, Date: s.at,
		ImageBytes: plan.size, DataBytes: plan.data, Frames: len(plan.frames), Reused: w.reused,
		Codec: s.compression.codec(), Cut: cutOf(int(s.compression.Frame)),
		SideFiles: s.sideFiles(), Segments: w.segments,
	}
	if im != nil {
		r.TarDigest = hexSum(w.tar)
	}
	return r, nil
}

// plan reads the image for the first time; all but the plan is nil where there
// is none. The caller closes the image.
func (s *spec) plan(ctx context.Context) (*plan, *image, []part, error) {
	if s.image == "" {
		return &plan{}, nil, nil, nil
	}
	im, err := openImage(s.image)
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := planImage(ctx, im, int(s.compression.Frame))
	if err != nil {
		im.close()
		return nil, nil, nil, err
	}
	parts, err := p.parts(s.at.Unix(), s.partSize)
	if err != nil {
		im.close()
		return nil, nil, nil, &InputError{im.path, 0, err.Error(), "make the image smaller"}
	}
	return p, im, parts, nil
}

// lintHeader checks a package before its payload is written.
func (s *spec) lintHeader(raw []byte) error {
	h, err := rpm.ParseHeader(raw)
	if err != nil {
		return err
	}
	if err := lint.Header(h, raw, s.profile()); err != nil {
		return &InputError{s.file, 0, err.Error(), "clients would refuse this package"}
	}
	return nil
}

func blanks(list []entry) []string {
	digests := make([]string, len(list))
	for i, e := range list {
		if digests[i] = e.digest(); e.part != nil {
			digests[i] = blankDigest
		}
	}
	return digests
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// errFrame is found where the second read sees other data than the first.
var errFrame = errors.New("frame differs")
