package pack

import (
	"context"
	"runtime"
	"sync"
)

// ordered runs work on everything that produce yields, on all cores, and gives
// the results to consume in the order of production. At most a few jobs per
// core are in flight. The first error stops all three and is returned; when
// ordered returns, none of them is running.
func ordered[J, R any](ctx context.Context, produce func(ctx context.Context, yield func(J) error) error, work func(J) (R, error), consume func(R) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type task struct {
		job  J
		done chan R
	}
	workers := runtime.GOMAXPROCS(0)
	queue := make(chan task)            // to the workers
	order := make(chan chan R, workers) // to the consumer

	var group sync.WaitGroup
	group.Go(func() {
		defer close(order)
		defer close(queue)
		err := produce(ctx, func(job J) error {
			t := task{job, make(chan R, 1)}
			select {
			case order <- t.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			select {
			case queue <- t:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		if err != nil {
			cancel(err)
		}
	})
	for range workers {
		group.Go(func() {
			for t := range queue {
				r, err := work(t.job)
				if err != nil {
					cancel(err)
					return
				}
				t.done <- r
			}
		})
	}
	for done := range order {
		select {
		case r := <-done:
			if err := consume(r); err != nil {
				cancel(err)
			}
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	for range order { // let the producer see the end
	}
	group.Wait()
	return context.Cause(ctx)
}

// together runs functions at the same time and returns when all are done.
func together(lanes ...func()) {
	var group sync.WaitGroup
	for _, f := range lanes[1:] {
		group.Go(f)
	}
	lanes[0]()
	group.Wait()
}

// pool keeps the buffers of frames that are in flight.
type pool struct{ free sync.Pool }

// get returns a piece with room for size bytes of data.
func (p *pool) get(size int) *piece {
	x, _ := p.free.Get().(*piece)
	if x == nil {
		x = &piece{}
	}
	if cap(x.data) < size {
		x.data = make([]byte, 0, size)
	}
	return x
}

func (p *pool) put(x *piece) {
	if x.want != nil {
		*x = piece{data: x.data[:0], buffer: x.buffer}
		p.free.Put(x)
	}
}
