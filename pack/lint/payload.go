package lint

import (
	"crypto/md5"
	"errors"
	"hash"
	"io"
	"path"
	"regexp"
	"strings"

	"colophon/pack/rpm"
)

// Payload is what rules look at of a payload.
type Payload struct {
	Err      error       // its members are not those of the header, or it cannot be read
	Members  int         // until then
	Bytes    int64       // uncompressed, until then
	MD5      []byte      // of main header and payload; nil unless the signature header has one
	Frames   []rpm.Frame // of a zstd payload
	FrameErr error       // why there are none
	Image    *Image      // nil when there is none
	ImageErr error       // what is wrong with it
	Absolute string      // the first member with an absolute path, "" when there is none

	texts map[string]text // template.conf and *.list, by their paths
}

// readPayload reads a payload to its end. Errors that are not about its bytes
// are returned, all others stand in the result.
func readPayload(p *rpm.Package, in io.Reader) (*Payload, error) {
	out := &Payload{texts: map[string]text{}}
	var frames rpm.FrameScanner
	zstd := p.Header.String(rpm.PayloadCompressor) == "zstd"
	if zstd {
		in = io.TeeReader(in, &frames)
	}
	var sum hash.Hash
	if p.Signature.Has(rpm.SigMD5) {
		sum = md5.New()
		sum.Write(p.RawHeader)
		in = io.TeeReader(in, sum)
	}
	err := out.members(p, in)
	// What is behind an error belongs to frames and sums too.
	if _, rest := io.Copy(io.Discard, in); err == nil {
		err = rest
	}
	if zstd {
		out.Frames, out.FrameErr = frames.Frames()
	}
	if sum != nil {
		out.MD5 = sum.Sum(nil)
	}
	return out, err
}

// members reads all files of the payload.
func (p *Payload) members(pkg *rpm.Package, in io.Reader) error {
	x, err := rpm.OpenPayload(pkg, in)
	if err != nil {
		return p.judge(err)
	}
	defer x.Close()
	w := &walk{payload: x, out: p}
	p.ImageErr = w.image()
	_, err = io.Copy(io.Discard, w)
	p.Bytes = x.Offset()
	return p.judge(err)
}

// judge keeps errors about the bytes.
func (p *Payload) judge(err error) error {
	var format *rpm.FormatError
	if !errors.As(err, &format) {
		return err
	}
	p.Err = err
	return nil
}

// walk reads the image parts of a payload as one stream, as the client does,
// and looks at the files between them.
type walk struct {
	payload *rpm.Payload
	out     *Payload
	open    bool // within a part
	err     error
}

// partName is a file that the client takes for a part of the image, or a tar of
// its own. The pattern is as wide as the client's.
var partName = regexp.MustCompile(`/root\.img\.(part\..*|tar)$`)

func (w *walk) Read(b []byte) (int, error) {
	for w.err == nil {
		if !w.open {
			w.err = w.next()
			continue
		}
		n, err := w.payload.Read(b)
		if err == io.EOF {
			w.open, err = false, nil
		}
		if w.err = err; n > 0 {
			return n, nil
		}
	}
	return 0, w.err
}

// next goes to the next part. At the end of the payload the error is io.EOF.
func (w *walk) next() error {
	for {
		m, err := w.payload.Next()
		if err != nil {
			return err
		}
		w.out.Members++
		name := m.File.Name
		if m.Absolute && w.out.Absolute == "" {
			w.out.Absolute = name
		}
		switch {
		case !m.File.Regular():
		case partName.MatchString(name):
			if w.out.Image == nil || w.out.Image.Plain {
				w.out.Image = &Image{}
			}
			w.out.Image.Parts = append(w.out.Image.Parts, Part{name, m.Start, m.Size})
			w.open = true
			return nil
		case path.Base(name) == "root.img":
			if w.out.Image == nil {
				w.out.Image = &Image{Plain: true, Parts: []Part{{name, m.Start, m.Size}}}
				w.out.Image.Head = rpm.TarHead{Name: "root.img", Size: m.Size, Restored: m.Size, Stored: m.Size}
			}
		case path.Base(name) == "template.conf" || strings.HasSuffix(name, ".list"):
			t := text{size: m.Size}
			if m.Size <= maxText && len(w.out.texts) < maxTexts {
				if t.data, err = io.ReadAll(w.payload); err != nil {
					return err
				}
			}
			w.out.texts[name] = t
		}
	}
}

func scanPayload(s *Subject, f *findings) {
	p := s.Payload
	if p == nil {
		return
	}
	if p.Err != nil {
		f.fail("P2", "%v", p.Err)
	}
	if p.FrameErr != nil {
		f.fail("P2", "%v", p.FrameErr)
	}
	if p.Absolute != "" {
		f.fail("L10", "payload has the absolute path %s, which some readers would overwrite", short(p.Absolute))
		f.warn("P2", "payload has the absolute path %s, which some readers would overwrite", short(p.Absolute))
	}
}
