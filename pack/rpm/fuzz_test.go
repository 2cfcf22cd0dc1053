package rpm

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func FuzzSignatureHeader(f *testing.F) {
	file := testPackage(f, testKey(f))
	f.Add(file[LeadSize:][:SignatureSize])
	f.Add((&Header{}).Marshal(SigRegion))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, raw, err := readHeader(bytes.NewReader(data), "signature header", SigRegion, maxSignature)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(data, raw) {
			t.Error("the header's bytes are not those that were read")
		}
		p := Package{Signature: h}
		if p.ClaimedSize() < 0 || p.ClaimedArchive() < 0 {
			t.Error("negative sizes")
		}
		for _, e := range h.Entries {
			h.Strings(e.Tag)
			h.Ints(e.Tag)
		}
	})
}

func FuzzFiles(f *testing.F) {
	f.Add(fileHeader(one, two, lnk, dir).Marshal(Region))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ParseHeader(data)
		if err != nil {
			return
		}
		files, err := h.Files()
		if names := h.FileNames(); err == nil && len(names) != len(files) {
			t.Errorf("%d names, %d files", len(names), len(files))
		}
		for _, file := range files {
			if file.Name == "" || file.Size < 0 {
				t.Errorf("%+v", file)
			}
		}
	})
}

// Whatever the bytes are, a payload that is read to its end has each file of
// the header once, with its size.
func FuzzPayload(f *testing.F) {
	f.Add(members(one, two, lnk, dir))
	f.Add([]byte("07070X00000000\x00\x00content\x0007070X00000001\x00\x00more content07070X00000002\x00\x00one\x0007070X00000003\x00\x00" + string(CpioTrailer())))
	p := &Package{Header: fileHeader(one, two, lnk, dir)}
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := OpenPayload(p, bytes.NewReader(data))
		if err != nil {
			return
		}
		defer x.Close()
		seen, total := map[int]bool{}, int64(0)
		for {
			m, err := x.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
			seen[m.Index] = true
			total += m.Size
		}
		if len(seen) != 4 || total != int64(len(one.data+two.data+lnk.data)) {
			t.Errorf("%d files, %d bytes", len(seen), total)
		}
		if x.Offset() > int64(len(data)) {
			t.Errorf("%d bytes read of %d", x.Offset(), len(data))
		}
	})
}

func FuzzDecompress(f *testing.F) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), z.EncodeAll([]byte("hello"), nil))
	f.Add(uint8(1), []byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F\x02\x00!\x01\x16\x00\x00\x00t/\xe5\xa3\x01\x00\x05hello\n\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(uint8(2), []byte("]\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00"))
	f.Add(uint8(3), []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"))
	f.Add(uint8(4), []byte("BZh91AY&SY"))
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		r, err := Decompress([]string{"zstd", "xz", "lzma", "gzip", "bzip2", ""}[kind%6], bytes.NewReader(data))
		if err != nil {
			return
		}
		defer r.Close()
		io.Copy(io.Discard, io.LimitReader(r, 1<<20)) //nolint:errcheck // it may fail, and does
	})
}

// Frames tile the payload, and the way that the bytes arrive does not matter.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 1, 0x09, 0, 0, 'x', 0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'y'}, 3)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		var whole, parts FrameScanner
		whole.Write(data) //nolint:errcheck // never fails
		step = max(step, 1)
		for b := data; len(b) > 0; b = b[min(step, len(b)):] {
			parts.Write(b[:min(step, len(b))]) //nolint:errcheck // never fails
		}
		a, errA := whole.Frames()
		b, errB := parts.Frames()
		if (errA == nil) != (errB == nil) || len(a) != len(b) {
			t.Fatalf("%v, %v; %v, %v", a, errA, b, errB)
		}
		at := int64(0)
		for i, x := range a {
			if x != b[i] || x.Offset != at || errA == nil && x.Size <= 0 {
				t.Fatalf("frame %d: %+v, %+v, at %d", i, x, b[i], at)
			}
			at += x.Size
		}
		if errA == nil && at != int64(len(data)) {
			t.Errorf("%d of %d bytes are frames", at, len(data))
		}
	})
}

// A map ascends, stays within its file and holds the data that is stored.
func FuzzTarHead(f *testing.F) {
	f.Add(tarHeader(100, 3, Extent{0, 1}, Extent{5, 2}, Extent{100, 0}), []byte{})
	more := tarHeader(1<<30, 3, Extent{0, 1}, Extent{5, 2}, Extent{7, 0}, Extent{8, 0})
	more[482] = 1
	f.Add(more, append(mapEntry(9), make([]byte, 488)...))
	f.Fuzz(func(t *testing.T, head, rest []byte) {
		if len(head) == tarBlock {
			tarChecked(head) // or mutations would never get past the checksum
		}
		h, err := ReadTarHead(io.MultiReader(bytes.NewReader(head), bytes.NewReader(rest)))
		if err != nil {
			return
		}
		var at, data int64
		for _, e := range h.Extents {
			if e.Offset < at || e.Size <= 0 {
				t.Fatalf("%+v", h)
			}
			at = e.Offset + e.Size
			data += e.Size
		}
		_, zeros := h.Holes()
		if at > h.Size || data != h.Stored || zeros+data != h.Size || h.Restored > h.Size || h.Length > int64(len(head)+len(rest)) {
			t.Fatalf("%+v, %d zeros", h, zeros)
		}
	})
}
