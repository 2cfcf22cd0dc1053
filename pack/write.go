package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"colophon/pack/rpm"
)

// writer makes the payload from a plan and a second read of the image.
type writer struct {
	im       *image
	plan     *plan
	list     []entry
	out      Output
	offset   int64 // of the payload in out
	encoder  *zstd.Encoder
	progress func(done, total int64)

	compressed hash.Hash // of the payload
	tar        hash.Hash // of the parts together
	file       hash.Hash // of the current part
	size       int64     // of the payload so far
	archive    int64     // of the uncompressed payload so far
	done       int64     // image data so far
	digests    []string  // of the files, in order
}

func newWriter(d *Definition, im *image, p *plan, list []entry, out Output, offset int64, progress func(done, total int64)) (*writer, error) {
	encoder, err := d.Compression.codec().encoder(int(d.Compression.Frame) * maxMultiple)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", d.Compression.codec().ID(), err)
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	return &writer{
		im: im, plan: p, list: list, out: out, offset: offset, encoder: encoder, progress: progress,
		compressed: sha256.New(), tar: sha256.New(), file: sha256.New(),
	}, nil
}

// piece is one frame of the payload: container bytes or image data. What it
// carries is used in order by consume.
type piece struct {
	data   []byte // uncompressed
	want   *frame // image data: what the first read saw
	packed []byte
	steps  []step // container bytes: what they mean for digests
}

// step is a stretch of container bytes.
type step struct {
	data []byte
	kind stepKind
}

type stepKind int

const (
	stepArchive stepKind = iota // cpio bytes: in no file
	stepTar                     // tar bytes: in the current part
	stepFolder                  // ends a member without content
	stepPart                    // ends a part
	stepSide                    // a whole side file
)

// payload writes all frames. Compression runs on all cores; everything else
// happens in order.
func (w *writer) payload(ctx context.Context) error {
	defer w.encoder.Close()
	frames := newPool(int(w.plan.largest()))
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
	if err != nil {
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
	at := 0 // the frame being filled
	open := frames.get()
	s := splitter{data: func(block []byte) error {
		if at == len(w.plan.frames) {
			return errFrame
		}
		want := &w.plan.frames[at]
		open.data = append(open.data, block...)
		if len(open.data) < int(want.size) {
			return nil
		}
		open.want = want
		if c := before[at]; c != nil {
			if err := yield(c); err != nil {
				return err
			}
		}
		at++
		full := open
		open = frames.get()
		return yield(full)
	}}
	size, err := w.im.scan(ctx, s.take)
	if err != nil {
		return err
	}
	if size != w.plan.size || at != len(w.plan.frames) || !slices.Equal(s.extents, w.plan.extents) {
		return errFrame
	}
	return yield(last)
}

// container makes the pieces that are not image data: those that stand before
// a frame, by the frame's index, and the one behind the last frame.
func (w *writer) container() (before map[int]*piece, last *piece, err error) {
	before, last = map[int]*piece{}, &piece{}
	add := func(kind stepKind, data []byte) {
		last.data = append(last.data, data...)
		last.steps = append(last.steps, step{data, kind})
	}
	frame := 0
	for _, e := range w.list {
		head, err := e.cpio.Head()
		if err != nil {
			return nil, nil, err
		}
		add(stepArchive, head)
		switch {
		case e.part != nil:
			add(stepTar, e.part.head)
			before[frame], last = last, &piece{}
			frame += len(e.part.frames)
			add(stepTar, e.part.tail)
			add(stepPart, nil)
		case e.cpio.Mode == dirMode:
			add(stepFolder, nil)
		default:
			add(stepSide, e.data)
		}
		add(stepArchive, make([]byte, rpm.CpioPadding(e.cpio.Size)))
	}
	add(stepArchive, rpm.CpioTrailer())
	return before, last, nil
}

// compress runs on all cores.
func (w *writer) compress(p *piece) (*piece, error) {
	if p.want != nil && sum256(p.data) != p.want.digest {
		return nil, errFrame
	}
	p.packed = w.encoder.EncodeAll(p.data, p.packed[:0])
	return p, nil
}

// consume writes one piece and feeds the digests.
func (w *writer) consume(p *piece) error {
	if _, err := w.out.WriteAt(p.packed, w.offset+w.size); err != nil {
		return fmt.Errorf("write payload: %w", err)
	}
	w.compressed.Write(p.packed)
	w.size += int64(len(p.packed))
	w.archive += int64(len(p.data))
	if p.want != nil {
		w.tar.Write(p.data)
		w.file.Write(p.data)
		w.done += int64(len(p.data))
		w.progress(w.done, w.plan.data)
		return nil
	}
	for _, s := range p.steps {
		switch s.kind {
		case stepTar:
			w.tar.Write(s.data)
			w.file.Write(s.data)
		case stepSide:
			w.digests = append(w.digests, SideFile{Data: s.data}.SHA256())
		case stepFolder:
			w.digests = append(w.digests, "")
		case stepPart:
			w.digests = append(w.digests, hexSum(w.file))
			w.file.Reset()
		}
	}
	return nil
}

// largest is the size of the largest frame.
func (p *plan) largest() int32 {
	var n int32
	for _, f := range p.frames {
		n = max(n, f.size)
	}
	return n
}

// pool keeps the buffers of frames that are in flight.
type pool struct{ free sync.Pool }

func newPool(size int) *pool {
	return &pool{sync.Pool{New: func() any { return &piece{data: make([]byte, 0, size)} }}}
}

func (p *pool) get() *piece { return p.free.Get().(*piece) }

func (p *pool) put(x *piece) {
	if x.want != nil {
		x.data, x.want = x.data[:0], nil
		p.free.Put(x)
	}
}
