package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"colophon/mirror/disk"
	"colophon/pack"
	"colophon/pack/rpm"
)

func (s *publisher) packOptions(t testing.TB) PackOptions {
	t.Helper()
	o := s.options(t)
	return PackOptions{Config: o.Config, Out: filepath.Join(s.dir, "build"), Now: o.Now, Random: o.Random}
}

func packed(t testing.TB, o PackOptions) *PackResult {
	t.Helper()
	r, err := Pack(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPack(t *testing.T) {
	s := newSite(t, keysFolder(t))
	o := s.packOptions(t)
	r := packed(t, o)
	if len(r.Packages) != 2 {
		t.Fatalf("%d packages", len(r.Packages))
	}
	for _, p := range r.Packages {
		data, err := os.ReadFile(p.File)
		if err != nil {
			t.Fatal(err)
		}
		_, digests, err := rpm.Read(bytes.NewReader(data))
		if err != nil || digests.File != p.SHA256 || digests.Content != p.ContentID || digests.Size != p.PackageBytes {
			t.Errorf("%s: %+v, the file has %+v, %v", p.NEVRA, p, digests, err)
		}
		if p.ImageBytes == 0 || p.DataBytes == 0 || p.Frames == 0 || p.FramesReused != 0 {
			t.Errorf("%+v", p)
		}
		for _, want := range []string{p.NEVRA, p.SHA256, p.ContentID, p.File} {
			if !strings.Contains(r.String(), want) {
				t.Errorf("%q is not in\n%s", want, r)
			}
		}
	}
	b, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(b), `"frames_reused":0`) || !strings.Contains(string(b), `"sha256":"`+r.Packages[0].SHA256) {
		t.Errorf("%s, %v", b, err)
	}
	// Again, one of the two: the same file.
	o.Template = "b"
	again := packed(t, o)
	if len(again.Packages) != 1 || again.Packages[0].SHA256 != r.Packages[1].SHA256 {
		t.Errorf("%+v", again)
	}
	// The published package is the same.
	if got := s.publish(t).Published; got[0].Added[0].SHA256 != r.Packages[0].SHA256 {
		t.Errorf("published %s, packed %s", got[0].Added[0].SHA256, r.Packages[0].SHA256)
	}
}

func TestPackOrdinary(t *testing.T) {
	s := newSite(t, keysFolder(t))
	s.write(t, "release/x.repo", "[x]\n")
	s.write(t, "release/nfpm.yaml", `name: x-release
version: "1"
version_schema: none
arch: all
mtime: 2026-01-01T00:00:00Z
description: X
license: MIT
contents: [{src: x.repo, dst: /etc/yum.repos.d/x.repo}]
`)
	o := s.packOptions(t)
	o.NFPM = filepath.Join(s.dir, "release/nfpm.yaml")
	p := packed(t, o).Packages[0]
	if filepath.Base(p.File) != "x-release-1-1.noarch.rpm" || p.Frames != 0 {
		t.Errorf("%+v", p)
	}
	o.Template = "a"
	if _, err := Pack(t.Context(), o); err == nil {
		t.Error("a template and an nfpm.yaml")
	}
}

// Whatever ends the run leaves nothing behind.
func TestPackIsAllOrNothing(t *testing.T) {
	keys := keysFolder(t)
	for name, c := range map[string]struct {
		prepare func(s *publisher, o *PackOptions) context.Context
		want    string
	}{
		"second template fails": {func(s *publisher, _ *PackOptions) context.Context {
			s.write(t, "b/root.img", "")
			return t.Context()
		}, "image is empty"},
		"cancelled": {func(s *publisher, o *PackOptions) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			o.Report = stopper{cancel}
			return ctx
		}, "canceled"},
		"full disk": {func(s *publisher, o *PackOptions) context.Context {
			o.Disk.Fault = func(op, path string) (bool, error) {
				if op == "write" {
					return false, syscall.ENOSPC
				}
				return false, nil
			}
			return t.Context()
		}, "no space left"},
		"date in the future": {func(s *publisher, o *PackOptions) context.Context {
			o.Date = noon.Add(time.Hour)
			return t.Context()
		}, "in the future"},
		"key younger than the date": {func(s *publisher, o *PackOptions) context.Context {
			o.Date = time.Unix(1, 0)
			return t.Context()
		}, "key"},
		"no such template": {func(s *publisher, o *PackOptions) context.Context {
			o.Template = "c"
			return t.Context()
		}, `no template is called "c"`},
	} {
		s := newSite(t, keys)
		o := s.packOptions(t)
		ctx := c.prepare(s, &o)
		if _, err := Pack(ctx, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if list, err := os.ReadDir(o.Out); err == nil {
			t.Errorf("%s: left %v", name, list)
		}
	}
}

// stopper ends the run when the second step begins.
type stopper struct{ stop func() }

func (s stopper) Step(text string) {
	if strings.Contains(text, "-b-") {
		s.stop()
	}
}
func (stopper) Progress(string, int64, int64) {}

func TestPackDoesNotReplace(t *testing.T) {
	s := newSite(t, keysFolder(t))
	o := s.packOptions(t)
	p := packed(t, o).Packages[0]
	s.write(t, "a/root.img", "another image\n")
	_, err := Pack(t.Context(), o)
	var input *pack.InputError
	if !errors.As(err, &input) || !strings.Contains(err.Error(), "exists with other content") || input.File != p.File {
		t.Errorf("got %v", err)
	}
	list, err := os.ReadDir(o.Out)
	if err != nil || len(list) != 2 || strings.HasPrefix(list[0].Name(), disk.TemporaryPrefix) {
		t.Errorf("%v, %v", list, err)
	}
}
