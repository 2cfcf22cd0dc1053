package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	fastest = "codec: zstd, level: 1"
	quick   = "codec: zstd, level: 2"
	quick2  = "codec: zstd, level: 2, frame: 2MiB"
	lib3    = "codec: libzstd, level: 3"
	lib32   = "codec: libzstd, level: 3, frame: 2MiB"
	lib19   = "codec: libzstd, level: 19"
	large19 = "codec: libzstd, level: 19, frame: 4MiB"
)

// memory: the peak does not follow the image's size.
func (b *benchmark) memory() error {
	peer, err := b.nfpm(b.images[1])
	if err != nil {
		return err
	}
	small, err := median(1, func() *exec.Cmd { return b.ours(b.images[1], quick, "") })
	if err != nil {
		return err
	}
	b.add(row{what: "peak memory, 2 GiB image; peer nfpm", peer: peer, ours: small,
		value: fmt.Sprintf("%d MiB", small.Memory>>20), goal: "under 256 MiB"})
	large := filepath.Join(b.dir, "large.img")
	if err := b.compose(large, 20<<30, 10<<30); err != nil {
		return err
	}
	defer os.Remove(large)
	big, err := median(1, func() *exec.Cmd { return b.ours(large, fastest, "") })
	if err != nil {
		return err
	}
	b.add(row{what: "peak memory, 20 GiB image with 10 GiB of data (nfpm would need twice its size)", ours: big,
		value: fmt.Sprintf("%d MiB", big.Memory>>20), goal: "under 256 MiB"})
	return nil
}

// fast: speed at about the size of rpmbuild's usual level.
func (b *benchmark) fast() error {
	stock, err := b.stock(b.images[1])
	if err != nil {
		return err
	}
	peer, err := stock.measure(3, "w3.zstdio")
	if err != nil {
		return err
	}
	for _, c := range []struct{ compression, goal string }{
		{lib3, "2x faster, size within 5 %"}, {lib32, "the same"}, {quick, "faster, size within 6 %"}, {quick2, "the same"},
	} {
		ours, err := median(3, func() *exec.Cmd { return b.ours(b.images[1], c.compression, "") })
		if err != nil {
			return err
		}
		b.add(row{what: "pack at {" + c.compression + "}; peer rpmbuild w3.zstdio", peer: peer, ours: ours, goal: c.goal,
			value: stock.against(peer, ours)})
	}
	return nil
}

func percent(a, b int64) float64 { return (float64(a)/float64(b) - 1) * 100 }

// best: the smallest packages, of a first release and of the next, which finds
// frames of the first.
func (b *benchmark) best() error {
	for i, goal := range []string{"2.5x faster, size within 10 %", "5x faster"} {
		stock, err := b.stock(b.images[i])
		if err != nil {
			return err
		}
		peer, err := stock.measure(1, "w19.zstdio")
		if err != nil {
			return err
		}
		for _, compression := range []string{lib19, large19} {
			frames := filepath.Join(b.dir, "frames "+compression)
			ours, err := median(1, func() *exec.Cmd { return b.ours(b.images[i], compression, frames) })
			if err != nil {
				return err
			}
			b.add(row{what: fmt.Sprintf("pack release %d at {%s}, %d of %d frames known; peer rpmbuild w19.zstdio", i+1, compression, ours.Reused, ours.Frames),
				peer: peer, ours: ours, goal: goal, value: stock.against(peer, ours)})
		}
	}
	return nil
}

// sparse: work follows data, not the image's nominal size.
func (b *benchmark) sparse() error {
	dense, sparse := filepath.Join(b.dir, "dense.img"), filepath.Join(b.dir, "sparse.img")
	if err := b.compose(dense, 1<<30, 1<<30); err != nil {
		return err
	}
	if err := b.compose(sparse, 20<<30, 1<<30); err != nil {
		return err
	}
	one, err := median(3, func() *exec.Cmd { return b.ours(dense, quick, "") })
	if err != nil {
		return err
	}
	twenty, err := median(3, func() *exec.Cmd { return b.ours(sparse, quick, "") })
	if err != nil {
		return err
	}
	b.add(row{what: "20 GiB image with 1 GiB of data; peer: our 1 GiB dense image", peer: one, ours: twenty,
		value: fmt.Sprintf("%.2fx the time", twenty.Seconds/one.Seconds), goal: "at most 1.3x"})
	return nil
}

// compose makes an image of a nominal size that holds so much data, in pieces of
// 16 MiB at equal distances: what is in the Debian image, over and over, each
// time with another byte mixed in.
func (b *benchmark) compose(path string, size, data int64) error {
	source, err := os.Open(b.images[0])
	if err != nil {
		return err
	}
	defer source.Close()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Truncate(size); err != nil {
		return err
	}
	const piece = 16 << 20
	step := size / (data / piece)
	buf := make([]byte, piece)
	block := make([]byte, 4096)
	at, mix := int64(0), byte(1)
	for offset := int64(0); offset+piece <= size && data > 0; offset += step {
		for filled := 0; filled < piece; {
			n, err := source.ReadAt(block, at)
			if err == io.EOF || n < len(block) {
				at, mix = 0, mix+1
				continue
			}
			at += int64(n)
			if string(block) == string(make([]byte, len(block))) {
				continue
			}
			for i, c := range block {
				buf[filled+i] = c ^ mix
			}
			filled += n
		}
		if _, err := out.WriteAt(buf, offset); err != nil {
			return err
		}
		data -= piece
	}
	return out.Close()
}
