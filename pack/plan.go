package pack

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"colophon/pack/rpm"
)

// Parts of the image as files of the package.
const (
	partSize = 1 << 30 // clients need files below 4 GiB; 1 GiB is what stock templates have
	maxParts = 100     // the client's extraction knows two digits
)

// plan is what the first read of an image finds: everything about the payload
// but the compressed bytes. Its size is a few dozen bytes per frame and extent.
type plan struct {
	size    int64 // of the image
	data    int64 // of the extents together
	extents []extent
	frames  []frame
}

// planImage reads the image once.
func planImage(ctx context.Context, im *image, average int) (*plan, error) {
	p := &plan{}
	buffers := sync.Pool{New: func() any { return make([]byte, 0, average*maxMultiple) }}
	produce := func(ctx context.Context, yield func([]byte) error) error {
		cut := newCutter(average)
		open := buffers.Get().([]byte)[:0]
		s := splitter{data: func(block []byte) error {
			open = append(open, block...)
			if !cut.add(block) {
				return nil
			}
			full := open
			open = buffers.Get().([]byte)[:0]
			return yield(full)
		}}
		size, err := im.scan(ctx, s.take)
		if err == nil && len(open) > 0 {
			err = yield(open)
		}
		p.size, p.extents = size, s.extents
		return err
	}
	type hashed struct {
		frame
		buffer []byte
	}
	err := ordered(ctx, produce,
		func(data []byte) (hashed, error) {
			return hashed{frame{int32(len(data)), sha256.Sum256(data)}, data}, nil
		},
		func(h hashed) error {
			p.frames = append(p.frames, h.frame)
			p.data += int64(h.size)
			//lint:ignore SA6002 a slice header a frame does not matter
			buffers.Put(h.buffer)
			return nil
		})
	if err != nil {
		return nil, err
	}
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
// 1 GiB, so that no frame is ever cut by a part.
func (p *plan) parts(mtime int64) ([]part, error) {
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
		return nil, fmt.Errorf("image needs %d parts of 1 GiB; clients read at most %d", len(list), maxParts)
	}
	if list[0].size > partSize {
		return nil, fmt.Errorf("image has %d extents; their map does not fit into one part", len(p.extents))
	}
	for i := range list {
		list[i].name = fmt.Sprintf("root.img.part.%02d", i)
	}
	return list, nil
}

// entry is one file of the package in archive order.
type entry struct {
	cpio rpm.CpioEntry
	part *part  // image data, or
	data []byte // a side file
}
