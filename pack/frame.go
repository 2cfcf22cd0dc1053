package pack

import "hash/crc32"

// Frame cuts ("cut format 1"), a rule a stranger can follow:
//
// Take the image's data, that is, its blocks of 4096 bytes without holes, in
// order, the last one as short as it is. A frame ends behind a block when the
// frame has at least the minimum size and the CRC-32C (Castagnoli) of that block
// is below a threshold, when the next block would take it past the maximum, or
// at the end of the data. For an average of A bytes the minimum is A/4, the
// maximum 4*A and the threshold 2^32 / ((A - A/4) / 4096), so that cuts follow
// content: the same data gives the same frames in every later image.
const (
	cutFormat   = 1
	cutHash     = "crc32c"
	minFraction = 4
	maxMultiple = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Cut says by which rule frames were cut; sizes in bytes of image data.
type Cut struct {
	Format            int
	Min, Average, Max int
	Block             int
	Hash              string
}

func cutOf(average int) Cut {
	return Cut{cutFormat, average / minFraction, average, average * maxMultiple, blockSize, cutHash}
}

// cutter decides where frames end.
type cutter struct {
	min, max  int
	threshold uint64 // compared with a 32-bit sum
	size      int    // of the open frame
}

func newCutter(average int) *cutter {
	c := cutOf(average)
	return &cutter{min: c.Min, max: c.Max, threshold: (1 << 32) / uint64((c.Average-c.Min)/blockSize)}
}

// add takes the next block and reports whether the frame ends behind it.
func (c *cutter) add(block []byte) bool {
	c.size += len(block)
	end := c.size+blockSize > c.max || c.size >= c.min && uint64(crc32.Checksum(block, castagnoli)) < c.threshold
	if end {
		c.size = 0
	}
	return end
}

// frame is one planned piece of image data.
type frame struct {
	size int32
	sum  uint64 // by which the second read knows its data again
}

// extent is a stretch of the image that holds data.
type extent struct {
	offset, size int64
}

// splitter turns the pieces of an image into extents and data blocks. Holes
// come from content alone: runs of at least minHole zero bytes on block
// boundaries, however the file system stores them.
type splitter struct {
	at      int64 // end of what was taken so far
	zeros   int64 // bytes of zero blocks before at that are not yet decided on
	extents []extent
	data    func(block []byte) error // called with each data block in order
}

// take accepts the next piece; what lies between it and the last one is a hole.
func (s *splitter) take(offset int64, piece []byte) error {
	s.zeros += offset - s.at
	s.at = offset
	for len(piece) > 0 {
		block := piece[:min(blockSize, len(piece))]
		piece = piece[len(block):]
		if string(block) == string(zeroBlock[:len(block)]) {
			s.zeros += int64(len(block))
			s.at += int64(len(block))
			continue
		}
		if err := s.settle(); err != nil {
			return err
		}
		if n := len(s.extents); n > 0 && s.extents[n-1].offset+s.extents[n-1].size == s.at {
			s.extents[n-1].size += int64(len(block))
		} else {
			s.extents = append(s.extents, extent{s.at, int64(len(block))})
		}
		if err := s.data(block); err != nil {
			return err
		}
		s.at += int64(len(block))
	}
	return nil
}

// settle decides on the zero blocks before the next data block: a hole, or data
// where the run is short. Zeros at the start of the image, which follow no
// extent, are a hole at any length.
func (s *splitter) settle() error {
	run := s.zeros
	s.zeros = 0
	if run == 0 || run >= minHole || len(s.extents) == 0 {
		return nil
	}
	for ; run > 0; run -= blockSize {
		if err := s.data(zeroBlock[:]); err != nil {
			return err
		}
		s.extents[len(s.extents)-1].size += blockSize
	}
	return nil
}
