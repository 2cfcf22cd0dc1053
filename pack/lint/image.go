package lint

import (
	"errors"
	"fmt"
	"io"

	"colophon/pack/rpm"
)

// Image is the root image in a payload.
type Image struct {
	Head  rpm.TarHead
	Plain bool   // not a tar: Head has the size only
	Parts []Part // the files of the payload that make it up, in its order
}

// Part is a file of the payload that holds a piece of the image.
type Part struct {
	Name  string
	Start int64 // in the uncompressed payload
	Size  int64
}

// Data is where the image's data, without the tar around it, lies in the
// uncompressed payload, in order.
func (i *Image) Data() []rpm.Extent {
	from, to := i.Head.Length, i.Head.Length+i.Head.Stored // in the tar
	var list []rpm.Extent
	at := int64(0)
	for _, p := range i.Parts {
		start, end := max(from, at), min(to, at+p.Size)
		if start < end {
			list = append(list, rpm.Extent{Offset: p.Start + start - at, Size: end - start})
		}
		at += p.Size
	}
	return list
}

// image reads the tar that the parts make up, and says what is wrong with it.
// Errors of the payload are found again by whoever reads on.
func (w *walk) image() error {
	head, err := rpm.ReadTarHead(w)
	image := w.out.Image
	if image == nil || image.Plain {
		return nil
	}
	if err != nil {
		return err
	}
	image.Head = *head
	if image.Parts[0].Size < tarHeader {
		return fmt.Errorf("first part has %d bytes, which is less than a tar header", image.Parts[0].Size)
	}
	if n, err := io.CopyN(io.Discard, w, head.Stored); err != nil {
		return fmt.Errorf("tar is cut off: it has %d of %d bytes of data", n, head.Stored)
	}
	b := make([]byte, 32<<10)
	for {
		n, err := w.Read(b)
		for _, c := range b[:n] {
			if c != 0 {
				return errors.New("tar holds something behind the image")
			}
		}
		if err != nil {
			return nil
		}
	}
}

const tarHeader = 512

func scanImage(s *Subject, f *findings) {
	p := s.Payload
	if p == nil {
		return
	}
	if p.Err != nil {
		f.skip("L12", "payload cannot be read")
	}
	if p.Image == nil {
		f.skip("L12", "payload holds no image")
		return
	}
	for i, part := range p.Image.Parts[1:] {
		if part.Name <= p.Image.Parts[i].Name {
			f.fail("L11", "image part %s stands behind %s in the payload", short(part.Name), short(p.Image.Parts[i].Name))
		}
	}
	if p.ImageErr != nil && p.Err == nil {
		f.fail("L12", "%v", p.ImageErr)
	}
	h := p.Image.Head
	if h.Size != h.Restored {
		f.fail("L12", "tar says the image has %d bytes, and restores %d", h.Size, h.Restored)
	}
	if f.profile == Template && p.ImageErr == nil && p.Err == nil && h.Name != "root.img" {
		f.fail("L12", "tar holds %s, not root.img", short(h.Name))
	}
}
