package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/maphash"
	"slices"

	"colophon/pack/rpm"
)

// writer makes the payload from a plan and a second read of the image.
type writer struct {
	im       *image // nil in a package without one; then plan is empty
	plan     *plan
	list     []entry
	out      Output
	offset   int64 // of the payload in out
	z        compressor
	largest  int // frame, in bytes
	known    *known
	progress func(done, total int64)

	compressed hash.Hash    // of the payload
	written    maphash.Hash // of the payload, to know it again when it is read back
	tar        hash.Hash    // of the parts together
	file       hash.Hash    // of the current part; nil in the first, where it would be tar
	size       int64        // of the payload so far
	archive    int64        // of the uncompressed payload so far
	done       int64        // image data so far
	reused     int
	parts      []string // digests, in order
	segments   []Segment
}

// piece is one frame of the payload: container bytes or image data. What it
// carries is used in order by consume.
type piece struct {
	data   []byte // uncompressed
	want   *frame // image data: what the first read saw
	digest [sha256.Size]byte
	packed []byte // the frame
	reused bool   // packed was stored before, and belongs to its store
	buffer []byte // for packed, to be used again
	steps  []step // container bytes: which of them are the tar's
}

// step is a stretch of tar bytes, which counts into the current part.
type step struct {
	data []byte
	last bool // of its part
}

// payload writes all frames. Compression runs on all cores; everything else
// happens in order.
func (w *writer) payload(ctx context.Context) error {
	frames := &pool{}
	err := ordered(ctx,
		func(ctx context.Context, yield func(*piece) error) error { return w.produce(ctx, frames, yield) },
		w.compress,
		func(p *piece) error {
			err := w.consume(p)
			frames.put(p)
			return err
		})
	if errors.Is(err, errFrame) {
		return errChanged(w.im.path)
	}
	if err != nil || w.im == nil {
		return err
	}
	return w.im.unchanged()
}

// produce yields the payload's pieces in order: for each frame of the second
// read the container bytes before it, then the frame.
func (w *writer) produce(ctx context.Context, frames *pool, yield func(*piece) error) error {
	before, last, err := w.container()
	if err != nil {
		return err
	}
	if w.im == nil {
		return w.yieldContainer(last, yield)
	}
	at := 0 // the frame being filled
	var open *piece
	s := splitter{data: func(block []byte) error {
		if at == len(w.plan.frames) {
			return errFrame
		}
		want := &w.plan.frames[at]
		if open == nil {
			open = frames.get(int(want.size))
		}
		open.data = append(open.data, block...)
		if len(open.data) < int(want.size) {
			return nil
		}
		open.want = want
		if c := before[at]; c != nil {
			if err := w.yieldContainer(c, yield); err != nil {
				return err
			}
		}
		at++
		full := open
		open = nil
		return yield(full)
	}}
	size, err := w.im.scan(ctx, s.take)
	if err != nil {
		return err
	}
	if size != w.plan.size || at != len(w.plan.frames) || !slices.Equal(s.extents, w.plan.extents) {
		return errFrame
	}
	return w.yieldContainer(last, yield)
}

// yieldContainer cuts container bytes into frames of at most the largest size.
func (w *writer) yieldContainer(p *piece, yield func(*piece) error) error {
	for len(p.data) > w.largest {
		if err := yield(&piece{data: p.data[:w.largest]}); err != nil {
			return err
		}
		p.data = p.data[w.largest:]
	}
	return yield(p)
}

// container makes the pieces that are not image data: those that stand before
// a frame, by the frame's index, and the one behind the last frame.
func (w *writer) container() (before map[int]*piece, last *piece, err error) {
	before, last = map[int]*piece{}, &piece{}
	frame := 0
	for _, e := range w.list {
		if e.ghost {
			continue
		}
		head, err := e.cpio.Head()
		if err != nil {
			return nil, nil, err
		}
		last.data = append(last.data, head...)
		last.data = append(last.data, e.data...)
		if p := e.part; p != nil {
			last.data = append(last.data, p.head...)
			last.steps = append(last.steps, step{p.head, false})
			before[frame], last = last, &piece{}
			frame += len(p.frames)
			last.data = append(last.data, p.tail...)
			last.steps = append(last.steps, step{p.tail, true})
		}
		last.data = append(last.data, make([]byte, rpm.CpioPadding(e.cpio.Size))...)
	}
	last.data = append(last.data, rpm.CpioTrailer()...)
	return before, last, nil
}

// compress runs on all cores.
func (w *writer) compress(p *piece) (*piece, error) {
	if p.want != nil && maphash.Bytes(w.plan.seed, p.data) != p.want.sum {
		return nil, errFrame
	}
	p.digest = sha256.Sum256(p.data)
	if p.want != nil {
		stored, ok, err := w.known.find(p)
		if err != nil {
			return nil, err
		}
		if ok {
			p.packed, p.reused = stored, true
			return p, nil
		}
	}
	var err error
	if p.buffer, err = w.z.compress(p.buffer, p.data); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	p.packed = p.buffer
	return p, nil
}

// consume writes one piece and feeds the digests.
func (w *writer) consume(p *piece) error {
	var failed error
	write := func() {
		_, failed = w.out.WriteAt(p.packed, w.offset+w.size)
		w.written.Write(p.packed)
		w.compressed.Write(p.packed)
	}
	if p.want == nil {
		write()
	} else {
		lanes := []func(){write, func() { w.tar.Write(p.data) }}
		if w.file != nil {
			lanes = append(lanes, func() { w.file.Write(p.data) })
		}
		together(lanes...)
		w.done += int64(len(p.data))
		w.progress(w.done, w.plan.data)
	}
	if failed != nil {
		return fmt.Errorf("write payload: %w", failed)
	}
	w.segments = append(w.segments, Segment{
		Offset: w.size, Size: int64(len(p.packed)), Open: int64(len(p.data)), Digest: p.digest, Frame: p.want != nil, Reused: p.reused,
	})
	if p.reused {
		w.reused++
	}
	w.size += int64(len(p.packed))
	w.archive += int64(len(p.data))
	for _, s := range p.steps {
		w.tar.Write(s.data)
		if w.file != nil {
			w.file.Write(s.data)
		}
		if s.last {
			w.endPart()
		}
	}
	return nil
}

// endPart takes the digest of the current part. The first part starts where the
// tar stream starts, so that one hash serves both up to its end.
func (w *writer) endPart() {
	if w.file == nil {
		w.parts = append(w.parts, hexSum(w.tar))
		w.file = sha256.New()
		return
	}
	w.parts = append(w.parts, hexSum(w.file))
	w.file.Reset()
}

// digests of all files in order, known when the payload is written.
func (w *writer) digests() []string {
	list := make([]string, len(w.list))
	part := 0
	for i, e := range w.list {
		if list[i] = e.digest(); e.part != nil {
			list[i] = w.parts[part]
			part++
		}
	}
	return list
}
