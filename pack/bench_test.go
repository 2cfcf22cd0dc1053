package pack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Real images instead of made ones: PACK_BENCH is a list of template.yaml files,
// two releases of one template, separated by colons.
const benchSources = "PACK_BENCH"

// benchDefinitions are two releases: of the second, four fifths are in the first.
func benchDefinitions(b *testing.B) []*Definition {
	b.Helper()
	var list []*Definition
	for _, path := range filepath.SplitList(os.Getenv(benchSources)) {
		d, err := LoadDefinition(path)
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, d)
	}
	if len(list) > 1 {
		return list
	}
	const size = 128 << 20
	for _, skip := range []int64{0, size / 5} {
		dir := b.TempDir()
		f, err := os.Create(dir + "/root.img")
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		if err := writeData(f, 0, skip, size); err != nil {
			b.Fatal(err)
		}
		d, err := LoadDefinition(writeFile(b, dir+"/template.yaml", []byte(benchText)))
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, d)
	}
	return list
}

var benchText = strings.NewReplacer("files: [template.conf, appmenus.list]\ncompression: {frame: 64KiB}\n", "").Replace(definitionText)

// writeData writes size bytes at an offset that compress about as well as files
// do, a function of their place in an endless stream that starts at from.
func writeData(f *os.File, at, from, size int64) error {
	block := goldenInput()
	const tag = 4096
	for n := int64(0); n < size; n += int64(len(block)) {
		for i := 0; i < len(block); i += tag {
			copy(block[i:], fmt.Sprintf("block %016x", (from+n+int64(i))*0x9e3779b9))
		}
		if _, err := f.WriteAt(block[:min(int64(len(block)), size-n)], at+n); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkPack(b *testing.B) {
	list := benchDefinitions(b)
	for _, c := range []Compression{{"zstd", 1, 0}, {"zstd", 2, 0}, {"zstd", 4, 0}, {"libzstd", 3, 0}, {"libzstd", 19, 0}} {
		k, _ := c.kind()
		if !k.built {
			continue
		}
		c.setDefaults()
		known := &packageFiles{}
		for i, release := range []string{"first", "second"} {
			b.Run(fmt.Sprintf("%s-%d/%s", c.Codec, c.Level, release), func(b *testing.B) {
				d := *list[i]
				d.Compression = c
				for range b.N {
					f, err := os.Create(filepath.Join(b.TempDir(), "x.rpm"))
					if err != nil {
						b.Fatal(err)
					}
					before := cpu(b)
					r, err := Pack(b.Context(), &d, f, Options{Sign: sign, Frames: known.only(i > 0)})
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(cpu(b)-before, "cpu-s/op")
					b.SetBytes(r.DataBytes)
					b.ReportMetric(float64(r.Digests.Size)/1e6, "MB-package")
					b.ReportMetric(float64(r.Reused), "frames-reused")
					b.ReportMetric(float64(r.Frames), "frames")
					if i == 0 {
						known.add(f, r)
					}
				}
			})
		}
	}
}

func cpu(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// packageFiles finds frames in package files, as a history does.
type packageFiles struct {
	places sync.Map // of key to place
}

type place struct {
	file         *os.File
	offset, size int64
}

func (s *packageFiles) add(f *os.File, r *Result) {
	for _, x := range r.Segments {
		if x.Frame {
			s.places.Store(r.Codec.ID()+string(x.Digest[:]), place{f, r.Package.HeaderEnd() + x.Offset, x.Size})
		}
	}
}

// only is the store, or none.
func (s *packageFiles) only(wanted bool) Frames {
	if !wanted {
		return nil
	}
	return s
}

func (s *packageFiles) Lookup(digest [32]byte, codec string) ([]byte, bool, error) {
	v, ok := s.places.Load(codec + string(digest[:]))
	if !ok {
		return nil, false, nil
	}
	p := v.(place)
	data := make([]byte, p.size)
	_, err := p.file.ReadAt(data, p.offset)
	return data, true, err
}

// Peak memory and time of a process that packs: a dense image, one with as much
// data and twenty times the size, and one with twice the data.
func BenchmarkProcess(b *testing.B) {
	const mib, gib = 1 << 20, 1 << 30
	for _, c := range []struct {
		name       string
		size, data int64
	}{{"1GiB-dense", gib, gib}, {"20GiB-with-1GiB", 20 * gib, gib}, {"2GiB-dense", 2 * gib, 2 * gib}} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			f, err := os.Create(dir + "/root.img")
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			// In stretches of 8 MiB, evenly spread.
			stretches := c.data / (8 * mib)
			for i := range stretches {
				if err := writeData(f, i*(c.size/stretches)/mib*mib, i*8*mib, 8*mib); err != nil {
					b.Fatal(err)
				}
			}
			if err := f.Truncate(c.size); err != nil {
				b.Fatal(err)
			}
			armor, err := fixedKey.PrivateArmor()
			if err != nil {
				b.Fatal(err)
			}
			key := writeFile(b, dir+"/key", armor)
			source := writeFile(b, dir+"/template.yaml", []byte(benchText))
			for b.Loop() {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childSource+"="+source, childKey+"="+key, childOut+"="+dir+"/x.rpm")
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				b.SetBytes(c.data)
				usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
				peak := float64(usage.Maxrss) / 1024
				if runtime.GOOS == "darwin" {
					peak /= 1024
				}
				b.ReportMetric(peak, "MiB-peak")
				b.ReportMetric((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), "cpu-s/op")
			}
		})
	}
}
