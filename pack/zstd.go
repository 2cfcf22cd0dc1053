package pack

import "github.com/klauspost/compress/zstd"

// openZstd is the codec "zstd": pure Go, the same bytes on every architecture,
// with and without assembly.
func openZstd(level, largest int) (compressor, error) {
	window := zstd.MinWindowSize
	for window < largest {
		window *= 2
	}
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevel(level)),
		zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(window),
		zstd.WithLowerEncoderMem(true))
	return zstdEncoder{e}, err
}

type zstdEncoder struct{ *zstd.Encoder }

func (e zstdEncoder) compress(buffer, data []byte) ([]byte, error) {
	return e.EncodeAll(data, buffer[:0]), nil
}

func (e zstdEncoder) close() { e.Close() }
