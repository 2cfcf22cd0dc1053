package logs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// MaxLog is the size in bytes of the largest plain log.
	MaxLog = 256 << 20
	// logWindow is what a reader must hold in memory. Larger windows are
	// refused by default by other decoders.
	logWindow = 8 << 20
)

// LogDigests name a build log as it was written and as it is published.
type LogDigests struct {
	Open       Digest // the plain text
	Compressed Digest // the .log.zst
}

// A Log is a build log ready for publication.
type Log struct {
	LogDigests
	Data []byte // the content of the .log.zst
}

// ReadLog reads a plain log to its end and compresses it. A limit of 0 stands for
// MaxLog, which is also the largest limit. An empty log, a NUL byte and a log
// above the limit are errors: what looks like a log must be one that a person can
// read. Memory is that of the compressed log and some 30 MB.
func ReadLog(r io.Reader, limit int64) (Log, error) {
	limit = logLimit(limit)
	var out bytes.Buffer
	// One goroutine and a fixed level and window: the bytes are then a function
	// of the log and the encoder's version. A log that fits into one block has
	// its size in the frame header, a longer one has not; nobody may count on it.
	enc, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(logWindow), zstd.WithEncoderCRC(true))
	if err != nil {
		return Log{}, fmt.Errorf("compress build log: %w", err)
	}
	plain := &plainLog{hash: sha256.New(), limit: limit}
	_, err = io.Copy(io.MultiWriter(plain, enc), r)
	if closeErr := enc.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("compress build log: %w", closeErr)
	}
	if err != nil {
		return Log{}, fmt.Errorf("read build log: %w", err)
	}
	open, err := plain.digest()
	if err != nil {
		return Log{}, fmt.Errorf("read build log: %w", err)
	}
	sum := sha256.Sum256(out.Bytes())
	compressed := Digest{hex.EncodeToString(sum[:]), int64(out.Len())}
	return Log{LogDigests{open, compressed}, out.Bytes()}, nil
}

// logLimit is the limit in bytes that a caller's one stands for.
func logLimit(limit int64) int64 {
	if limit <= 0 || limit > MaxLog {
		return MaxLog
	}
	return limit
}

// OpenLog reads a published log to its end, writes the plain log to w, and says
// what both are. The limit is that of ReadLog. It refuses a log that ReadLog
// would have refused, so that a small file that unpacks without end does no harm;
// what w got by then is void. Whether the log is the right one is for the caller
// to compare.
func OpenLog(w io.Writer, r io.Reader, limit int64) (LogDigests, error) {
	limit = logLimit(limit)
	// zstd's worst case is three bytes for a block of 128 KiB and a few for the
	// frame. More than that is empty blocks, of which there is no end.
	in := &io.LimitedReader{R: r, N: limit + limit/1024 + 1024}
	sum := &plainLog{hash: sha256.New(), limit: in.N, zero: true}
	dec, err := zstd.NewReader(io.TeeReader(in, sum), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(logWindow))
	if err != nil {
		return LogDigests{}, fmt.Errorf("open build log: %w", err)
	}
	defer dec.Close()
	plain := &plainLog{hash: sha256.New(), limit: limit}
	if _, err := io.Copy(io.MultiWriter(plain, w), dec); err != nil {
		return LogDigests{}, fmt.Errorf("open build log: %w", err)
	}
	if in.N == 0 {
		return LogDigests{}, errors.New("open build log: the compressed log is too large")
	}
	open, err := plain.digest()
	if err != nil {
		return LogDigests{}, fmt.Errorf("open build log: %w", err)
	}
	compressed, err := sum.digest()
	if err != nil {
		return LogDigests{}, fmt.Errorf("open build log: %w", err)
	}
	return LogDigests{open, compressed}, nil
}

// plainLog checks and hashes what is written to it.
type plainLog struct {
	hash  hash.Hash
	size  int64
	limit int64
	zero  bool // NUL bytes are fine: it is no plain log
}

func (p *plainLog) Write(b []byte) (int, error) {
	if i := bytes.IndexByte(b, 0); i >= 0 && !p.zero {
		return 0, &hintError{
			fmt.Sprintf("log has a NUL byte at offset %d, so it is not plain text", p.size+int64(i)),
			"name the text that the build printed, not an archive or an image",
		}
	}
	if p.size += int64(len(b)); p.size > p.limit {
		return 0, &hintError{fmt.Sprintf("log has more than %d bytes", p.limit), "publish a log that people can read"}
	}
	p.hash.Write(b)
	return len(b), nil
}

func (p *plainLog) digest() (Digest, error) {
	if p.size == 0 {
		return Digest{}, &hintError{"log is empty", "give the reason in the definition instead, with log: {none: REASON}"}
	}
	return Digest{hex.EncodeToString(p.hash.Sum(nil)), p.size}, nil
}
