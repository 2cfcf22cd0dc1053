package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// The versions that go into headers and records are those that are built in.
func TestCodecVersions(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range codecKinds {
		module := strings.TrimSuffix(k.module, "/compress/zstd") + map[bool]string{true: "/compress"}[strings.Contains(k.module, "/compress/")]
		if want := "\t" + module + " " + k.version + "\n"; !strings.Contains(string(mod), want) {
			t.Errorf("go.mod does not say %q: a new version gives new bytes. Change the constant and the golden digests", want)
		}
	}
	if strings.Contains(string(mod), "replace") {
		t.Error("go.mod replaces modules: versions in package headers may not be true")
	}
}

// goldenInput is 1 MiB by a fixed rule: words of a small language, binary
// records, and noise, in stretches of 64 KiB.
func goldenInput() []byte {
	state := uint64(1)
	next := func() uint64 { // xorshift64*
		state ^= state >> 12
		state ^= state << 25
		state ^= state >> 27
		return state * 0x2545f4914f6cdd1d
	}
	var b []byte
	for i := 0; len(b) < 1<<20; i++ {
		stretch := make([]byte, 0, 64<<10)
		for n := uint64(0); len(stretch) < 64<<10; n++ {
			switch i % 4 {
			case 0, 1:
				stretch = fmt.Appendf(stretch, "word%d ", next()%1000*(next()%7))
			case 2:
				stretch = binary.LittleEndian.AppendUint32(stretch, uint32(n*n))
				stretch = binary.LittleEndian.AppendUint32(stretch, uint32(next()%16))
			case 3:
				stretch = binary.LittleEndian.AppendUint64(stretch, next())
			}
		}
		b = append(b, stretch[:64<<10]...)
	}
	return b
}

// golden digests of goldenInput's frame, by codec id. Here equality of bytes is
// promised per version only; a history keeps the frames it has.
var golden = map[string]string{
	"zstd:github.com/klauspost/compress/zstd@v1.20.3:1": "8441c644f0f2488cd70da9ef36f6f2af6152e61cb1e428e3f690c37cc33ac01d",
	"zstd:github.com/klauspost/compress/zstd@v1.20.3:2": "f421921105fcf88eaf1d0d636df0eda2e6ab44d4cb96345f0cdd97e3dbae8db2",
	"zstd:github.com/klauspost/compress/zstd@v1.20.3:3": "29cc61d9439aa4857cb3ac55e441cadec1b5ba406bb9367c38201ded15b8e36d",
	"zstd:github.com/klauspost/compress/zstd@v1.20.3:4": "2e47ca718f9ce19651dddd92e9dfd821ef70a0edda7fb838522a99c399b80ec9",
	"libzstd:github.com/DataDog/zstd@v1.5.7:1":          "904ada4a9a84d0234b2b3c28c39efc8675a89b4a1173cb04dc52c7b06642dff6",
	"libzstd:github.com/DataDog/zstd@v1.5.7:2":          "35b10733714a12342bac79699000fcb76d34da9b5c0877d4fd8740aef83263b4",
	"libzstd:github.com/DataDog/zstd@v1.5.7:3":          "8f7b5b4f67469e8174c0fd7cdc21503451e6cf50f32a67afbc1e2da3e98a3576",
	"libzstd:github.com/DataDog/zstd@v1.5.7:4":          "0a202380c7a1d5f7ce942d556d7af8d1f2f686a6b6fe09d4971fed0876ef9ef3",
	"libzstd:github.com/DataDog/zstd@v1.5.7:5":          "965f27762d5e3ef35e165d76cb8656a1865a4388773106049c93e11f0472f2ef",
	"libzstd:github.com/DataDog/zstd@v1.5.7:6":          "86fbdf851af04d14ce2f069c75ab6f7baf66342307ac192bf42b77b7b24ed948",
	"libzstd:github.com/DataDog/zstd@v1.5.7:7":          "e70d79e85215b7d658b2281b03a0fecc4a8f1383c7fe45ad5e59b0094adfe09b",
	"libzstd:github.com/DataDog/zstd@v1.5.7:8":          "4ceb8e168e292d6201f3d48f4ffe5026ba8ea140cf5412c93065da801cc8ac1b",
	"libzstd:github.com/DataDog/zstd@v1.5.7:9":          "997bc10f85e8a498dd891574e5878c4688534b77ee40ee86454910c15b1d3039",
	"libzstd:github.com/DataDog/zstd@v1.5.7:10":         "ee24fbb11f465a0363063a5dbcd41f222432c3daf8b3d17fff3f352b5b5bea7a",
	"libzstd:github.com/DataDog/zstd@v1.5.7:11":         "782998fa707cdde3a67f31034ecd4fb6755b4946f06505e51e16dcb549eda48f",
	"libzstd:github.com/DataDog/zstd@v1.5.7:12":         "782998fa707cdde3a67f31034ecd4fb6755b4946f06505e51e16dcb549eda48f",
	"libzstd:github.com/DataDog/zstd@v1.5.7:13":         "940994ea77f3d5840ccd5d5f7387c4c001b20fd468de510e24953b2d40f2db72",
	"libzstd:github.com/DataDog/zstd@v1.5.7:14":         "179775361bb6cf9139b829d03f362305245630aa3d6a34a2fa14d0d967b2108f",
	"libzstd:github.com/DataDog/zstd@v1.5.7:15":         "d1e1776f1dda8465c555bfa43566a09ee203d01e4d7831169086bb69c00ee29d",
	"libzstd:github.com/DataDog/zstd@v1.5.7:16":         "71cbfbbf68afa332e4e9c54452cb1804d442a857b7dc3c3b516fc88c83870505",
	"libzstd:github.com/DataDog/zstd@v1.5.7:17":         "0a18367919a06b1674acc68fdddf1251b6fc0d62963d7dc2b2bb4a4a536fa1bd",
	"libzstd:github.com/DataDog/zstd@v1.5.7:18":         "79e501ce84db6901ce33d85a7db7adeaea5d8e6b8159ae298cfb8fcebcd08219",
	"libzstd:github.com/DataDog/zstd@v1.5.7:19":         "fdc5b4296bf711b54ae8221bb51a4b71ac9b75d75808b056e11c34f39475d8f9",
}

func TestGoldenFrames(t *testing.T) {
	input := goldenInput()
	if sum := sha256.Sum256(input); hex.EncodeToString(sum[:]) != "eea37f1ed56b455764b3ecc523f8f7f6b285727a429063ced4b7476d43923c19" {
		t.Fatalf("the input is another one: %x", sum)
	}
	checked := 0
	for _, k := range codecKinds {
		if !k.built {
			t.Logf("%s is not in this build", k.name)
			continue
		}
		for level := 1; level <= k.levels; level++ {
			c := Compression{k.name, level, 256 << 10}
			z, err := c.open()
			if err != nil {
				t.Fatal(err)
			}
			frame, err := z.compress(nil, input)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(frame)
			if got := hex.EncodeToString(sum[:]); got != golden[c.codec().ID()] {
				t.Errorf("%q: %q,", c.codec().ID(), got)
			}
			checkFrame(t, c, frame, input)
			z.close()
			checked++
		}
	}
	if checked < 4 {
		t.Errorf("%d codecs were checked", checked)
	}
}

// checkFrame looks for what the container promises of a frame.
func checkFrame(t *testing.T, c Compression, frame, input []byte) {
	t.Helper()
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		t.Fatal(err)
	}
	if !h.HasFCS || h.FrameContentSize != uint64(len(input)) || h.HasCheckSum || h.DictionaryID != 0 || h.WindowSize > maxFrame*maxMultiple {
		t.Errorf("%s: frame header %+v", c, h)
	}
	r, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if data, err := r.DecodeAll(frame, nil); err != nil || !bytes.Equal(data, input) {
		t.Errorf("%s: does not open: %v", c, err)
	}
}

// A frame depends on its data alone, not on what was compressed before.
func TestFramesAreIndependent(t *testing.T) {
	a, b := goldenInput(), testImage(9)[8192:900_000]
	for _, k := range codecKinds {
		if !k.built {
			continue
		}
		for level := 1; level <= min(k.levels, 12); level++ { // the others search without salted hashes
			frame := func(before ...[]byte) []byte {
				z, err := (Compression{k.name, level, minFrame}).open()
				if err != nil {
					t.Fatal(err)
				}
				defer z.close()
				for _, data := range before {
					if _, err := z.compress(nil, data); err != nil {
						t.Fatal(err)
					}
				}
				x, err := z.compress(make([]byte, 0, 1<<21), a)
				if err != nil {
					t.Fatal(err)
				}
				return x
			}
			if !bytes.Equal(frame(), frame(b, a, b)) {
				t.Errorf("%s, level %d: a frame depends on earlier ones", k.name, level)
			}
		}
	}
}

func TestParseCompression(t *testing.T) {
	for s, want := range map[string]Compression{
		"":              {"zstd", 2, 1 << 20},
		"zstd":          {"zstd", 2, 1 << 20},
		"zstd:4":        {"zstd", 4, 1 << 20},
		"libzstd":       {"libzstd", 19, 1 << 20},
		"libzstd:3:777": {"libzstd", 3, 777},
	} {
		if got, err := parseCompression(s); err != nil || got != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"zstd:", "zstd:x", "zstd:1:x", "zstd:1:2:3"} {
		if c, err := parseCompression(s); err == nil {
			t.Errorf("%q is %v", s, c)
		}
	}
	c := Compression{"libzstd", 7, 128 << 10}
	if got, err := parseCompression(c.word()); err != nil || got != c {
		t.Errorf("%v became %v, %v", c, got, err)
	}
}
