package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"colophon/mirror/disk"
	"colophon/pack"
	"colophon/pack/openpgp"
	"colophon/publish/sign"
	"colophon/publish/site"
)

// PackOptions of a Pack. Clock, randomness and environment enter here.
type PackOptions struct {
	Config   *Config
	Template string // name of the only template to pack; "" packs all
	NFPM     string // path of an nfpm.yaml to pack instead of templates
	Out      string // folder for the packages, made when missing
	Now      func() time.Time
	Random   io.Reader   // for keys that are made on first use
	Date     time.Time   // SOURCE_DATE_EPOCH, replaces the definitions' dates; zero keeps them
	Frames   pack.Frames // frames that were compressed before; nil knows none
	Report   Reporter    // nil reports nothing
	Disk     disk.Disk
}

// PackResult says what was packed. String is for people.
type PackResult struct {
	Packages []Packed `json:"packages"`
}

// Packed is one package that was made.
type Packed struct {
	File         string  `json:"file"` // path
	NEVRA        string  `json:"nevra"`
	SHA256       string  `json:"sha256"`
	ContentID    string  `json:"content_id"`
	ImageBytes   int64   `json:"image_bytes"`   // nominal, 0 without an image
	DataBytes    int64   `json:"data_bytes"`    // of it, outside of holes
	PackageBytes int64   `json:"package_bytes"` // the file
	Frames       int     `json:"frames"`        // of image data
	FramesReused int     `json:"frames_reused"`
	Codec        string  `json:"codec"`
	Seconds      float64 `json:"seconds"`
}

// Pack makes packages in a folder and publishes nothing. It is all or nothing: no
// package gets its name before the last one is made, and whatever ends the run
// earlier leaves nothing behind. A package that lies there already with the same
// bytes is fine; other bytes under its name are an error.
func Pack(ctx context.Context, o PackOptions) (*PackResult, error) {
	if o.Report == nil {
		o.Report = silent{}
	}
	sources, err := o.sources()
	if err != nil {
		return nil, err
	}
	c := o.Config
	keys, err := c.keys(o.Random, o.Disk)
	if err != nil {
		return nil, err
	}
	for _, s := range sources {
		info, err := s.Info(o.Date)
		if err != nil {
			return nil, err
		}
		if err := c.checkDate(s.NEVRA().String(), info.MTime, o.Now(), keys.PackageKey); err != nil {
			return nil, err
		}
	}
	result := &PackResult{}
	var all []*disk.Staged
	defer func() {
		// The folder, if it was made for this run, goes with the first one.
		for _, staged := range slices.Backward(all) {
			staged.Discard() // does nothing to a package that has its name
		}
	}()
	for _, s := range sources {
		staged, err := o.Disk.Stage(o.Out, 0)
		if err != nil {
			return nil, err
		}
		all = append(all, staged)
		p, err := o.pack(ctx, s, keys, staged)
		if err != nil {
			return nil, err
		}
		result.Packages = append(result.Packages, p)
	}
	for i, staged := range all {
		// A crash here leaves some of the packages, each whole.
		if err := staged.Commit(result.Packages[i].File, disk.Idempotent); err != nil {
			var different *disk.DifferentError
			if errors.As(err, &different) {
				return nil, c.inTheWay(different.Path)
			}
			return nil, err
		}
	}
	return result, nil
}

// sources are what is to be packed.
func (o PackOptions) sources() ([]pack.Source, error) {
	if o.NFPM != "" {
		if o.Template != "" {
			return nil, &pack.InputError{File: o.NFPM, Reason: "cannot be packed together with a template", Advice: "leave one of the two away"}
		}
		n, err := pack.LoadNFPM(o.NFPM)
		return []pack.Source{n}, err
	}
	definitions, err := o.Config.definitions(o.Template)
	var list []pack.Source
	for _, d := range definitions {
		list = append(list, d)
	}
	return list, err
}

func (o PackOptions) pack(ctx context.Context, s pack.Source, keys *sign.Keys, out pack.Output) (Packed, error) {
	name := s.NEVRA().String()
	o.Report.Step("pack " + name)
	started := o.Now()
	made, err := pack.Pack(ctx, s, out, pack.Options{
		Sign: keys.Package, Date: o.Date, Frames: o.Frames,
		Progress: func(done, total int64) { o.Report.Progress("pack "+name, done, total) },
	})
	if err != nil {
		return Packed{}, err
	}
	return Packed{
		File: filepath.Join(o.Out, made.NEVRA.FileName()), NEVRA: name,
		SHA256: made.Digests.File, ContentID: made.Digests.Content,
		ImageBytes: made.ImageBytes, DataBytes: made.DataBytes, PackageBytes: made.Digests.Size,
		Frames: made.Frames, FramesReused: made.Reused, Codec: made.Codec.ID(),
		Seconds: o.Now().Sub(started).Seconds(),
	}, nil
}

// keys loads the publisher's keys.
func (c *Config) keys(random io.Reader, d disk.Disk) (*sign.Keys, error) {
	folder := sign.Folder{Path: c.Resolve(c.Keys.Folder), Generate: c.Keys.Generate, Name: c.Site.Name, Origin: c.origin()}
	return folder.Load(random, d)
}

// checkDate refuses a signature that clients would refuse: from the future, or
// from outside the key's life.
func (c *Config) checkDate(name string, at, now time.Time, key *openpgp.Key) error {
	if at.After(now) {
		return c.bad(fmt.Sprintf("date of %s is %s, in the future", name, at.Format(time.RFC3339)), "clients refuse such a signature: correct the date or the clock")
	}
	if err := key.Usable(at); err != nil {
		return c.bad(err.Error(), "correct the date of "+name+", or use another key")
	}
	return nil
}

func (c *Config) inTheWay(path string) error {
	return &pack.InputError{File: path, Reason: "exists with other content", Advice: "move it away, name another folder, or raise the release"}
}

// String is for people.
func (r *PackResult) String() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	for _, p := range r.Packages {
		line("packed", "%s", p.NEVRA)
		line("  file", "%s  %s", p.File, site.Size(p.PackageBytes))
		line("  sha256", "%s", p.SHA256)
		line("  content", "%s", p.ContentID)
		if p.ImageBytes > 0 {
			line("  image", "%s, %s of data", site.Size(p.ImageBytes), site.Size(p.DataBytes))
			line("  frames", "%d, %d of them reused (%s)", p.Frames, p.FramesReused, p.Codec)
		}
		line("  time", "%.1f s", p.Seconds)
	}
	return b.String()
}
