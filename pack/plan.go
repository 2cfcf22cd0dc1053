package pack

import (
	"context"
	"fmt"
	"hash/maphash"
)

// Parts of the image as files of the package.
const (
	maxPart  = 1 << 30 // clients need files below 4 GiB; 1 GiB is what stock templates have
	maxParts = 100     // the client's extraction knows two digits
)

// plan is what the first read of an image finds: where its frames and extents
// are, and by which check sums the second read knows that the image is still the
// same. Its size is 16 bytes per frame and extent.
type plan struct {
	size    int64 // of the image
	data    int64 // of the extents together
	extents []extent
	frames  []frame
	seed    maphash.Seed // of the sums; they stay in this process
}

// planImage reads the image once. A digest of every frame is the second read's
// work; here a sum that costs a tenth of it is enough to notice a change.
func planImage(ctx context.Context, im *image, average int) (*plan, error) {
	p := &plan{seed: maphash.MakeSeed()}
	var sum maphash.Hash
	sum.SetSeed(p.seed)
	cut := newCutter(average)
	size := 0 // of the open frame
	end := func() {
		p.frames = append(p.frames, frame{int32(size), sum.Sum64()})
		p.data += int64(size)
		size = 0
		sum.Reset()
	}
	s := splitter{data: func(block []byte) error {
		sum.Write(block)
		size += len(block)
		if cut.add(block) {
			end()
		}
		return nil
	}}
	var err error
	if p.size, err = im.scan(ctx, s.take); err != nil {
		return nil, err
	}
	if size > 0 {
		end()
	}
	p.extents = s.extents
	if p.data == 0 {
		return nil, &InputError{im.path, 0, "image holds nothing but zeros", "was the build interrupted?"}
	}
	return p, im.unchanged()
}

// part is one root.img.part.NN: a run of frames, with the tar's head in the
// first and its end in the last.
type part struct {
	name   string
	head   []byte // container bytes before the frames
	frames []frame
	tail   []byte // container bytes behind the frames
	size   int64
}

// parts divides the tar stream. A part ends at the last frame boundary within
// size (maxPart), so that no frame is ever cut by a part.
func (p *plan) parts(mtime, partSize int64) ([]part, error) {
	head := tarHead(p.size, p.extents, mtime)
	end := tarEnd(p.data)
	list := []part{{head: head, size: int64(len(head))}}
	first := 0 // frame at which the last part starts
	for i, f := range p.frames {
		last := &list[len(list)-1]
		room := last.size + int64(f.size)
		if i == len(p.frames)-1 {
			room += int64(len(end))
		}
		if room > partSize {
			last.frames = p.frames[first:i]
			first = i
			list = append(list, part{})
			last = &list[len(list)-1]
		}
		last.size += int64(f.size)
	}
	last := &list[len(list)-1]
	last.frames, last.tail = p.frames[first:], end
	last.size += int64(len(end))
	if len(list) > maxParts {
		return nil, fmt.Errorf("image needs %d parts; clients read at most %d", len(list), maxParts)
	}
	if list[0].size > partSize {
		return nil, fmt.Errorf("image has %d extents; their map does not fit into one part", len(p.extents))
	}
	for i := range list {
		list[i].name = fmt.Sprintf("root.img.part.%02d", i)
	}
	return list, nil
}
