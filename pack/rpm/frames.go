package rpm

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Frame is one independent frame of a zstd payload (RFC 8878 section 3.1).
type Frame struct {
	Offset  int64 // in the payload
	Size    int64 // bytes, compressed
	Content int64 // bytes, uncompressed; -1 when the frame's header does not say
}

// maxFrames bounds the list of frames.
const maxFrames = 1 << 20

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// FrameScanner finds the frames of a zstd payload that is written to it,
// without decompressing anything. Skippable frames count as frames without
// content. Its memory is 24 bytes per frame.
type FrameScanner struct {
	frames []Frame
	at     int64  // bytes taken so far
	skip   int64  // bytes to come that do not matter
	have   []byte // bytes to come that do: the beginning of a frame's or a block's header
	open   bool   // within a frame
	sum    bool   // the open frame ends with a checksum
	last   bool   // what is being skipped ends the open frame
	err    error
}

// Write takes the next bytes. It never fails; what is wrong is Frames's.
func (s *FrameScanner) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 && s.err == nil {
		if k := min(s.skip, int64(len(b))); k > 0 {
			s.at, s.skip, b = s.at+k, s.skip-k, b[k:]
			continue
		}
		if s.last {
			s.end()
		}
		s.have = append(s.have, b[0])
		s.at++
		b = b[1:]
		if s.open {
			s.block()
		} else {
			s.start()
		}
	}
	return n, nil
}

// Frames returns all frames, or what is wrong with them.
func (s *FrameScanner) Frames() ([]Frame, error) {
	if s.err == nil && s.last && s.skip == 0 {
		s.end()
	}
	if s.err == nil && (s.open || len(s.have) > 0) {
		s.err = payloadError("is cut off within a zstd frame")
	}
	return s.frames, s.err
}

func (s *FrameScanner) end() {
	f := &s.frames[len(s.frames)-1]
	f.Size = s.at - f.Offset
	s.open, s.last = false, false
}

// start looks at the bytes of a frame's header that are there.
func (s *FrameScanner) start() {
	h := s.have
	if len(h) < 5 {
		return
	}
	f := Frame{Offset: s.at - int64(len(h)), Content: -1}
	if h[0]&0xf0 == 0x50 && bytes.Equal(h[1:4], []byte{0x2a, 0x4d, 0x18}) {
		if len(h) == 8 {
			f.Content = 0
			s.skip, s.last = int64(binary.LittleEndian.Uint32(h[4:])), true
			s.add(f)
		}
		return
	}
	if !bytes.Equal(h[:4], zstdMagic) {
		s.err = payloadError("has no zstd frame where one should start, at byte %d", f.Offset)
		return
	}
	d := h[4]
	if d&0x08 != 0 {
		s.err = payloadError("has a zstd frame of an unknown kind at byte %d", f.Offset)
		return
	}
	single := d&0x20 != 0
	size := 5 + [4]int{0, 1, 2, 4}[d&3] // with the dictionary's id
	if !single {
		size++ // the window
	}
	content := [4]int{0, 2, 4, 8}[d>>6]
	if single && d>>6 == 0 {
		content = 1
	}
	if len(h) < size+content {
		return
	}
	switch v := h[size:]; content {
	case 1:
		f.Content = int64(v[0])
	case 2:
		f.Content = int64(binary.LittleEndian.Uint16(v)) + 256
	case 4:
		f.Content = int64(binary.LittleEndian.Uint32(v))
	case 8:
		f.Content = int64(binary.LittleEndian.Uint64(v))
		if f.Content < 0 {
			s.err = payloadError("has a zstd frame of absurd size at byte %d", f.Offset)
			return
		}
	}
	s.sum = d&0x04 != 0
	s.add(f)
}

func (s *FrameScanner) add(f Frame) {
	if len(s.frames) == maxFrames {
		s.err = payloadError("has more than %d zstd frames", maxFrames)
		return
	}
	s.frames = append(s.frames, f)
	s.open, s.have = true, s.have[:0]
}

// block looks at the bytes of a block's header that are there.
func (s *FrameScanner) block() {
	if len(s.have) < 3 {
		return
	}
	v := uint32(s.have[0]) | uint32(s.have[1])<<8 | uint32(s.have[2])<<16
	s.have = s.have[:0]
	switch kind := v >> 1 & 3; kind {
	case 0, 2: // raw, compressed
		s.skip = int64(v >> 3)
	case 1: // one byte, repeated
		s.skip = 1
	default:
		s.err = payloadError("has a zstd block of an unknown kind at byte %d", s.at-3)
		return
	}
	if v&1 != 0 {
		s.last = true
		if s.sum {
			s.skip += 4
		}
	}
}

// Encoders leave the size out of the headers of small frames.
const (
	maxSmallFrame   = 4096
	maxSmallContent = 64 << 10
)

// MeasureFrames fills in the sizes that the headers of small frames do not say,
// by decompressing them. What cannot be measured keeps -1.
func MeasureFrames(frames []Frame, payload io.ReaderAt) error {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSmallContent))
	if err != nil {
		return err
	}
	defer z.Close()
	for i, f := range frames {
		if f.Content >= 0 || f.Size > maxSmallFrame {
			continue
		}
		b := make([]byte, f.Size)
		if _, err := payload.ReadAt(b, f.Offset); err != nil && err != io.EOF {
			return err
		}
		if data, err := z.DecodeAll(b, nil); err == nil {
			frames[i].Content = int64(len(data))
		}
	}
	return nil
}
