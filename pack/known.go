package pack

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Frames finds frames that were compressed before.
type Frames interface {
	// Lookup returns the frame that a codec (Codec.ID) made of data with this
	// SHA-256, and false where there is none. The caller neither changes nor keeps
	// the bytes. Lookup is called from several goroutines at a time.
	Lookup(digest [sha256.Size]byte, codec string) ([]byte, bool, error)
}

// Segment is one frame of a payload. The segments of a package are in order and
// without gaps.
type Segment struct {
	Offset int64             // in the payload
	Size   int64             // of the frame
	Open   int64             // of its content
	Digest [sha256.Size]byte // of its content
	Frame  bool              // image data, which a Frames may be asked for later; else container bytes
	Reused bool              // came from Options.Frames
}

// StoredFrameError says that a stored frame does not hold the data it is filed
// under: the store is damaged.
type StoredFrameError struct {
	Digest [sha256.Size]byte
	Reason string
}

func (e *StoredFrameError) Error() string {
	return fmt.Sprintf("stored frame of the data %x %s", e.Digest, e.Reason)
}

// Hint says what to do.
func (e *StoredFrameError) Hint() string {
	return "the history is damaged: check and repair it before you pack"
}

// known asks the store, and believes nothing it says: what is wrong in a stored
// frame would be signed, and found by the first user who unpacks the template.
// Opening a frame costs a fraction of making it.
type known struct {
	frames Frames
	codec  string
	reader *zstd.Decoder
}

// newKnown returns nil where there is nothing to ask.
func newKnown(frames Frames, codec Codec, largest int) (*known, error) {
	if frames == nil {
		return nil, nil
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(uint64(largest)))
	return &known{frames, codec.ID(), r}, err
}

func (k *known) close() {
	if k != nil {
		k.reader.Close()
	}
}

// find returns the stored frame of a piece.
func (k *known) find(p *piece) ([]byte, bool, error) {
	if k == nil {
		return nil, false, nil
	}
	stored, ok, err := k.frames.Lookup(p.digest, k.codec)
	if err != nil || !ok {
		if err != nil {
			err = fmt.Errorf("look up a frame: %w", err)
		}
		return nil, false, err
	}
	bad := func(reason string) error { return &StoredFrameError{p.digest, reason} }
	var h zstd.Header
	if err := h.Decode(stored); err != nil || h.Skippable || !h.HasFCS || h.FrameContentSize != uint64(len(p.data)) || h.HasCheckSum || h.DictionaryID != 0 {
		return nil, false, bad("is not a frame of that size")
	}
	if cap(p.buffer) < len(p.data) {
		p.buffer = make([]byte, 0, len(p.data))
	}
	data, err := k.reader.DecodeAll(stored, p.buffer[:0])
	if err != nil || !bytes.Equal(data, p.data) {
		return nil, false, bad("holds other data")
	}
	return stored, true, nil
}
