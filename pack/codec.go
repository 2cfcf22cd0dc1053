package pack

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Versions that decide bytes. A patch release of the compressor changed its
// output at every level, so the version is part of the codec's identity; a test
// compares it with go.mod and holds golden bytes.
const zstdVersion = "v1.20.3"

// Codec describes how frames were compressed: the same codec, level and data
// give the same bytes, on every machine and with any number of workers.
type Codec struct {
	Name    string // "zstd"
	Module  string // the implementation
	Version string
	Level   int
}

// ID is the codec in one word, as it stands in package headers.
func (c Codec) ID() string { return fmt.Sprintf("%s:%s@%s:%d", c.Name, c.Module, c.Version, c.Level) }

// codec resolves the definition's choice.
func (c Compression) codec() Codec {
	return Codec{c.Codec, "github.com/klauspost/compress/zstd", zstdVersion, c.Level}
}

// encoder compresses single frames; it is safe for concurrent use.
func (c Codec) encoder(frame int) (*zstd.Encoder, error) {
	window := zstd.MinWindowSize
	for window < frame {
		window *= 2
	}
	return zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevel(c.Level)),
		zstd.WithEncoderCRC(false), // the payload digest covers it
		zstd.WithWindowSize(window),
		zstd.WithLowerEncoderMem(true))
}
