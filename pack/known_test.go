package pack

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// shelf is a store of frames in memory.
type shelf struct {
	mu     sync.Mutex
	frames map[string][]byte // by codec and digest
	asked  int
	err    error
}

func (s *shelf) key(digest [32]byte, codec string) string { return codec + string(digest[:]) }

func (s *shelf) Lookup(digest [32]byte, codec string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	frame, ok := s.frames[s.key(digest, codec)]
	return frame, ok, s.err
}

// add takes the frames of a package, as a history does.
func (s *shelf) add(file []byte, r *Result) {
	if s.frames == nil {
		s.frames = map[string][]byte{}
	}
	payload := file[r.Package.HeaderEnd():]
	for _, x := range r.Segments {
		if x.Frame {
			s.frames[s.key(x.Digest, r.Codec.ID())] = payload[x.Offset : x.Offset+x.Size]
		}
	}
}

func packKnown(t testing.TB, d *Definition, frames Frames) ([]byte, *Result, error) {
	t.Helper()
	out := &memory{}
	r, err := Pack(t.Context(), d, out, Options{Sign: sign, Frames: frames})
	return out.data, r, err
}

func TestKnownFrames(t *testing.T) {
	image := testImage(21)
	old, r := packFile(t, writeTemplate(t, image))
	s := &shelf{}
	s.add(old, r)
	if r.Reused != 0 || r.Frames < 10 {
		t.Fatalf("%d of %d frames reused", r.Reused, r.Frames)
	}

	again, r, err := packKnown(t, writeTemplate(t, image), s)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, old) {
		t.Error("known frames give another package")
	}
	if r.Reused != r.Frames || s.asked != r.Frames {
		t.Errorf("%d of %d frames reused, %d asked for", r.Reused, r.Frames, s.asked)
	}

	// Of a changed image only what changed is new, and the result is what it
	// would be without the store.
	image[300_000] ^= 1
	want, _ := packFile(t, writeTemplate(t, image))
	got, r, err := packKnown(t, writeTemplate(t, image), s)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("a store of other frames gives another package")
	}
	if fresh := r.Frames - r.Reused; fresh < 1 || fresh > 3 {
		t.Errorf("%d new frames for one changed byte", fresh)
	}
	reused := 0
	for _, x := range r.Segments {
		if x.Reused {
			reused++
		}
	}
	if reused != r.Reused {
		t.Errorf("%d segments say that they were reused, the result says %d", reused, r.Reused)
	}
}

// A store that was filled by another release of the compressor: its bytes go into
// the payload as they are.
func TestKnownFramesKeepTheirBytes(t *testing.T) {
	image := testImage(22)
	old, r := packFile(t, writeTemplate(t, image))
	s := &shelf{}
	s.add(old, r)
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	for key, frame := range s.frames {
		data, err := readAll(frame)
		if err != nil {
			t.Fatal(err)
		}
		s.frames[key] = z.EncodeAll(data, nil)
	}
	got, r, err := packKnown(t, writeTemplate(t, image), s)
	if err != nil {
		t.Fatal(err)
	}
	payload := got[r.Package.HeaderEnd():]
	for _, x := range r.Segments {
		if x.Frame && !bytes.Equal(payload[x.Offset:x.Offset+x.Size], s.frames[s.key(x.Digest, r.Codec.ID())]) {
			t.Errorf("frame at %d is not the stored one", x.Offset)
		}
	}
	if !bytes.Equal(unpack(t, got), image) {
		t.Error("the image did not come back")
	}
}

func readAll(frame []byte) ([]byte, error) {
	r, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.DecodeAll(frame, nil)
}

// Segments cover the payload, in order, and say what is in them.
func TestSegments(t *testing.T) {
	file, r := packFile(t, writeTemplate(t, testImage(23)))
	payload := file[r.Package.HeaderEnd():]
	var at int64
	frames := 0
	for _, x := range r.Segments {
		if x.Offset != at {
			t.Fatalf("segment at %d, want %d", x.Offset, at)
		}
		at += x.Size
		data, err := readAll(payload[x.Offset:at])
		if err != nil || int64(len(data)) != x.Open || sha256Of(data) != x.Digest {
			t.Errorf("segment at %d holds %d bytes, want %d: %v", x.Offset, len(data), x.Open, err)
		}
		if x.Frame {
			frames++
		}
	}
	if at != int64(len(payload)) || frames != r.Frames {
		t.Errorf("segments end at %d of %d, %d frames of %d", at, len(payload), frames, r.Frames)
	}
}

// A damaged store is found before anything is signed.
func TestDamagedStore(t *testing.T) {
	image := testImage(24)
	old, r := packFile(t, writeTemplate(t, image))
	for name, damage := range map[string]func([]byte) []byte{
		"flipped":   func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b },
		"cut":       func(b []byte) []byte { return b[:len(b)-1] },
		"empty":     func([]byte) []byte { return nil },
		"checksum":  func(b []byte) []byte { return reencoded(t, b, zstd.WithEncoderCRC(true)) },
		"another":   func(b []byte) []byte { return append([]byte(nil), reencodedOther(t, b)...) },
		"longer":    func(b []byte) []byte { return append(b, b...) },
		"skippable": func([]byte) []byte { return []byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0} },
	} {
		s := &shelf{}
		s.add(bytes.Clone(old), r)
		for key, frame := range s.frames {
			s.frames[key] = damage(slices.Clone(frame))
		}
		_, _, err := packKnown(t, writeTemplate(t, image), s)
		var stored *StoredFrameError
		if !errors.As(err, &stored) || stored.Hint() == "" || !strings.Contains(err.Error(), "stored frame") {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := &shelf{err: errors.New("disk on fire")}
	if _, _, err := packKnown(t, writeTemplate(t, image), s); !errors.Is(err, s.err) {
		t.Errorf("failing store: %v", err)
	}
}

func reencoded(t *testing.T, frame []byte, o ...zstd.EOption) []byte {
	t.Helper()
	data, err := readAll(frame)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil, o...)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(data, nil)
}

// reencodedOther is a good frame of other data of the same size.
func reencodedOther(t *testing.T, frame []byte) []byte {
	t.Helper()
	data, err := readAll(frame)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1
	z, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(data, nil)
}
