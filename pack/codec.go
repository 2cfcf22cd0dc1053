package pack

import (
	"fmt"
	"strconv"
	"strings"
)

// Versions that decide bytes. A patch release of a compressor changed its output
// at every level, so the version is part of the codec's identity; a test compares
// these with go.mod and holds golden bytes.
const (
	zstdModule     = "github.com/klauspost/compress/zstd"
	zstdVersion    = "v1.20.3"
	libzstdModule  = "github.com/DataDog/zstd" // holds libzstd 1.5.7
	libzstdVersion = "v1.5.7"
)

// Codec describes how frames were compressed: the same codec, level and data
// give the same bytes, on every machine and with any number of workers.
type Codec struct {
	Name    string // "zstd" or "libzstd"
	Module  string // the implementation
	Version string
	Level   int
}

// ID is the codec in one word, as it stands in package headers.
func (c Codec) ID() string { return fmt.Sprintf("%s:%s@%s:%d", c.Name, c.Module, c.Version, c.Level) }

// compressor makes frames: independent ones, without checksums (the payload
// digest covers them), with their content's size. It is safe for concurrent use,
// and what it makes of data depends on nothing else.
type compressor interface {
	// compress returns the frame of data; it may use the storage of buffer.
	compress(buffer, data []byte) ([]byte, error)
	close()
}

// codecKind is a compressor that definitions can choose.
type codecKind struct {
	name, module, version string
	levels                int // 1 to this
	level                 int // when none is said
	built                 bool
	open                  func(level, largest int) (compressor, error) // largest frame in bytes
}

var codecKinds = []codecKind{
	{"zstd", zstdModule, zstdVersion, 4, 2, true, openZstd},
	{"libzstd", libzstdModule, libzstdVersion, 19, 19, libzstdBuilt, openLibzstd},
}

// Compression chooses how frames are cut and compressed.
type Compression struct {
	Codec string `yaml:"codec"` // "zstd" (default) or "libzstd"
	Level int    `yaml:"level"` // zstd: 1 to 4, default 2; libzstd: 1 to 19, default 19
	Frame Bytes  `yaml:"frame"` // average frame, 64KiB to 4MiB, default 1MiB
}

// String is the choice with its defaults, in the words of template.yaml.
func (c Compression) String() string {
	return fmt.Sprintf("codec: %s, level: %d, frame: %d", c.Codec, c.Level, c.Frame)
}

func (c Compression) kind() (codecKind, bool) {
	for _, k := range codecKinds {
		if k.name == c.Codec {
			return k, true
		}
	}
	return codecKind{}, false
}

func (c *Compression) setDefaults() {
	if c.Codec == "" {
		c.Codec = codecKinds[0].name
	}
	if k, ok := c.kind(); ok && c.Level == 0 {
		c.Level = k.level
	}
	if c.Frame == 0 {
		c.Frame = 1 << 20
	}
}

// check reports a mistake under the key that it is about.
func (c Compression) check(bad func(key, reason, advice string) error) error {
	k, ok := c.kind()
	switch {
	case !ok:
		return bad("compression.codec", fmt.Sprintf("%q is not known", c.Codec), "use zstd or libzstd")
	case !k.built:
		return bad("compression.codec", c.Codec+" is not in this program, which was built without cgo",
			"use zstd, or a program built with CGO_ENABLED=1 and a C compiler")
	case c.Level < 1 || c.Level > k.levels:
		return bad("compression.level", fmt.Sprintf("%d is out of range", c.Level),
			fmt.Sprintf("use 1 (fastest) to %d (smallest) with %s", k.levels, c.Codec))
	case c.Frame < minFrame || c.Frame > maxFrame:
		return bad("compression.frame", fmt.Sprintf("%d is out of range", c.Frame), "use 64KiB to 4MiB")
	}
	return nil
}

// codec resolves the choice, which was checked.
func (c Compression) codec() Codec {
	k, _ := c.kind()
	return Codec{k.name, k.module, k.version, c.Level}
}

func (c Compression) open() (compressor, error) {
	k, _ := c.kind()
	z, err := k.open(c.Level, int(c.Frame)*maxMultiple)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.codec().ID(), err)
	}
	return z, nil
}

// word is the choice as it stands under rpm.compression of an nfpm.yaml:
// codec[:level[:frame]], the frame in bytes.
func (c Compression) word() string { return fmt.Sprintf("%s:%d:%d", c.Codec, c.Level, c.Frame) }

// parseCompression reads what word writes, with defaults for what is left out.
func parseCompression(s string) (Compression, error) {
	var c Compression
	words := strings.Split(s, ":")
	c.Codec = words[0]
	var err error
	if len(words) > 1 && err == nil {
		c.Level, err = strconv.Atoi(words[1])
	}
	if len(words) > 2 && err == nil {
		var frame int
		frame, err = strconv.Atoi(words[2])
		c.Frame = Bytes(frame)
	}
	if err != nil || len(words) > 3 {
		return c, fmt.Errorf("%q is not codec:level", s)
	}
	c.setDefaults()
	return c, nil
}
