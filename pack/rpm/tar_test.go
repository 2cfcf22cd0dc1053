package rpm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sparseFile has n extents of 4 KiB, 64 KiB apart, and ends in a hole.
func sparseFile(t *testing.T, dir string, n int) int64 {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "root.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range n {
		if _, err := f.WriteAt(bytes.Repeat([]byte{byte(i + 1)}, 4096), int64(i)*(68<<10)); err != nil {
			t.Fatal(err)
		}
	}
	size := int64(n)*(68<<10) + 12345
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return size
}

// What GNU tar writes is read: no map, one in the header, and long ones.
func TestTarHeadOfTar(t *testing.T) {
	for _, n := range []int{1, 3, 4, 5, 24, 25, 26, 100} {
		dir := t.TempDir()
		size := sparseFile(t, dir, n)
		archive := peer(t, "tar", "-C", dir, "--sparse", "--format=gnu", "-cf", "-", "root.img")
		r := bytes.NewReader(archive)
		h, err := ReadTarHead(r)
		if err != nil {
			t.Errorf("%d extents: %v", n, err)
			continue
		}
		if h.Name != "root.img" || h.Size != size || h.Restored != size || !h.Sparse || len(h.Extents) != n || h.Stored != int64(n)*4096 {
			t.Errorf("%d extents: %+v", n, h)
		}
		if at := int64(len(archive) - r.Len()); at != h.Length {
			t.Errorf("%d extents: head of %d bytes, %d were read", n, h.Length, at)
		}
		if count, zeros := h.Holes(); count != n || zeros != size-h.Stored {
			t.Errorf("%d extents: %d holes of %d bytes", n, count, zeros)
		}
		for i, e := range h.Extents {
			data := make([]byte, e.Size)
			if _, err := io.ReadFull(r, data); err != nil || data[0] != byte(i+1) || e.Offset != int64(i)*(68<<10) {
				t.Errorf("%d extents: extent %d: %v %v", n, i, e, err)
			}
		}
		for cut := range archive[:h.Length] {
			if _, err := ReadTarHead(bytes.NewReader(archive[:cut])); err == nil {
				t.Fatalf("the first %d of %d bytes are a head", cut, h.Length)
			}
		}
	}
	dir := t.TempDir()
	size := sparseFile(t, dir, 2)
	for _, format := range []string{"ustar", "v7", "gnu"} {
		h, err := ReadTarHead(bytes.NewReader(peer(t, "tar", "-C", dir, "--format="+format, "-cf", "-", "root.img")))
		if err != nil || h.Size != size || h.Restored != size || h.Stored != size || h.Sparse {
			t.Errorf("%s: %+v, %v", format, h, err)
		}
		if n, _ := h.Holes(); n != 0 {
			t.Errorf("%s: %d holes", format, n)
		}
	}
	long := filepath.Join(dir, strings.Repeat("x", 120))
	if err := os.WriteFile(long, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"PAX header first": {"--format=posix", "--sparse", "root.img"},
		"long name first":  {"--format=gnu", filepath.Base(long)},
		"type '5'":         {"--format=gnu", "."},
	} {
		_, err := ReadTarHead(bytes.NewReader(peer(t, "tar", append([]string{"-C", dir, "-cf", "-"}, args...)...)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// tarHeader makes a sparse header with a map of up to four extents.
func tarHeader(size, stored int64, extents ...Extent) []byte {
	b := make([]byte, tarBlock)
	copy(b, "root.img")
	number := func(at int, v int64) {
		b[at] = 0x80
		binary.BigEndian.PutUint64(b[at+4:], uint64(v))
	}
	number(124, stored)
	b[156] = 'S'
	copy(b[257:], "ustar  \x00")
	for i, e := range extents {
		number(386+24*i, e.Offset)
		number(398+24*i, e.Size)
	}
	number(483, size)
	return tarChecked(b)
}

func tarChecked(b []byte) []byte {
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func TestHostileTarHeads(t *testing.T) {
	for name, c := range map[string]struct {
		head []byte
		want string
	}{
		"good":             {tarHeader(1<<40, 3, Extent{0, 1}, Extent{5, 2}, Extent{1 << 40, 0}), ""},
		"overlap":          {tarHeader(100, 4, Extent{0, 2}, Extent{1, 2}), "an extent of 2 bytes at 1 in a file of 100, where the one before ends at 2"},
		"backwards":        {tarHeader(100, 4, Extent{50, 2}, Extent{1, 2}), "where the one before ends at 52"},
		"behind the end":   {tarHeader(100, 2, Extent{99, 2}), "an extent of 2 bytes at 99 in a file of 100"},
		"overflow":         {tarHeader(100, 2, Extent{1 << 60, 1 << 60}), "an extent of"},
		"sum":              {tarHeader(100, 3, Extent{0, 2}), "3 bytes of data, its map of extents 2"},
		"negative":         {tarHeader(-1, 3, Extent{0, 2}), "number out of range"},
		"wrong checksum":   {append(tarHeader(100, 2, Extent{0, 2})[:511], 1), "wrong checksum"},
		"odd checksum":     {append(append(make([]byte, 148, 512), 0xc5), make([]byte, 363)...), "not a tar archive"},
		"zeros":            {make([]byte, 512), "not a tar archive"},
		"text":             {bytes.Repeat([]byte("x"), 512), "not a tar archive"},
		"nothing":          {nil, "cut off"},
		"no size":          {tarChecked(append(append(make([]byte, 0, 512), tarHeader(1, 1)[:124]...), append(make([]byte, 12), tarHeader(1, 1)[136:]...)...)), "malformed number"},
		"extension is cut": {tarChecked(append(append([]byte(nil), tarHeader(100, 8, Extent{0, 2}, Extent{2, 2}, Extent{4, 2}, Extent{6, 2})[:482]...), append([]byte{1}, tarHeader(100, 8)[483:]...)...)), "cut off"},
	} {
		_, err := ReadTarHead(bytes.NewReader(c.head))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	h, err := ReadTarHead(bytes.NewReader(tarHeader(100, 2, Extent{0, 2})))
	if err != nil || h.Size != 100 || h.Restored != 2 {
		t.Errorf("a map that ends early: %+v, %v", h, err)
	}
}

// A map goes on for ever only as long as bytes arrive, and not beyond its bound.
func TestEndlessMap(t *testing.T) {
	head := tarHeader(1<<50, 0)
	for i := range 4 {
		copy(head[386+24*i:], mapEntry(i))
	}
	head[482] = 1
	tarChecked(head)
	n := 4
	endless := readerFunc(func(b []byte) (int, error) {
		block := make([]byte, tarBlock)
		for i := range 21 {
			copy(block[24*i:], mapEntry(n))
			n++
		}
		block[504] = 1
		return copy(b, block), nil
	})
	_, err := ReadTarHead(io.MultiReader(bytes.NewReader(head), endless))
	if err == nil || !strings.Contains(err.Error(), "more than 4194304 extents") {
		t.Error(err)
	}
}

func mapEntry(i int) []byte {
	b := make([]byte, 24)
	b[0], b[12] = 0x80, 0x80
	binary.BigEndian.PutUint64(b[4:], uint64(i)*2)
	b[23] = 1
	return b
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
