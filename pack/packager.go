package pack

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/goreleaser/nfpm/v2"
)

// Packager makes rpm packages behind nfpm's interface, in the place of nfpm's
// own rpm packager: that one holds the payload in memory, corrupts what is larger
// than 4 GiB, and writes headers that template clients refuse.
//
// A content with the destination /var/lib/qubes/vm-templates/NAME/root.img in the
// package qubes-template-NAME is a template's image, and packed as one.
type Packager struct {
	Options Options         // without Sign, the Info's rpm.signature SignFn signs
	Context context.Context // nfpm's interface has no room for it; nil never ends
}

var _ nfpm.PackagerWithExtension = (*Packager)(nil)

// Register makes p nfpm's packager for the format "rpm". It is a call, not an
// init function, because a packager is nothing without its signer.
func Register(p *Packager) { nfpm.RegisterPackager("rpm", p) }

// ConventionalFileName is name-version-release.arch.rpm.
func (p *Packager) ConventionalFileName(info *nfpm.Info) string {
	n, _ := nevraOf(info) // a name that is refused later still has a file name
	return n.FileName()
}

// ConventionalExtension is ".rpm".
func (p *Packager) ConventionalExtension() string { return ".rpm" }

// Package writes the package of info to w. Where w is an Output, such as a file,
// it is written in place from its start; otherwise it is made in memory first,
// which an image is refused for.
func (p *Packager) Package(info *nfpm.Info, w io.Writer) error {
	s, err := newSpec("package "+info.Name, "", info)
	if err != nil {
		return err
	}
	o := p.Options
	if o.Sign == nil {
		if o.Sign = signFunction(info); o.Sign == nil {
			return &InputError{s.file, 0, "nobody signs it", "set Options.Sign, or SignFn of rpm.signature"}
		}
	}
	ctx := cmp.Or(p.Context, context.Background())
	if out, ok := w.(Output); ok {
		_, err := packSpec(ctx, s, out, o)
		return err
	}
	if s.image != "" {
		return &InputError{s.file, 0, "an image cannot be packed into a stream", "write into a file"}
	}
	out := &memory{}
	if _, err := packSpec(ctx, s, out, o); err != nil {
		return err
	}
	if _, err := w.Write(out.data); err != nil {
		return fmt.Errorf("write %q: %w", s.nevra, err)
	}
	return nil
}

func signFunction(info *nfpm.Info) func(context.Context, []byte, time.Time) ([]byte, error) {
	f := info.RPM.Signature.SignFn
	if f == nil {
		return nil
	}
	return func(_ context.Context, header []byte, _ time.Time) ([]byte, error) { return f(bytes.NewReader(header)) }
}

// memory is an Output for small packages.
type memory struct{ data []byte }

func (m *memory) WriteAt(b []byte, at int64) (int, error) {
	if end := at + int64(len(b)); end > int64(len(m.data)) {
		m.data = append(m.data, make([]byte, end-int64(len(m.data)))...)
	}
	return copy(m.data[at:], b), nil
}

func (m *memory) ReadAt(b []byte, at int64) (int, error) {
	if at < 0 || at > int64(len(m.data)) {
		return 0, errors.New("outside of the package")
	}
	n := copy(b, m.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
