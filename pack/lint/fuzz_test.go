package lint

import (
	"bytes"
	"errors"
	"testing"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

// Whatever a file holds, the rules can be applied to it, or it is no package.
// Where every rule passes with the key, header and payload are those that were
// signed.
func FuzzFile(f *testing.F) {
	s := newSample(f)
	good := s.build(f)
	f.Add(good)
	f.Add(good[:5000])
	p := read(f, good)
	content := good[p.HeaderStart():]
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, profile := range []Profile{Template, Stock, Plain} {
			r, err := File(t.Context(), bytes.NewReader(data), int64(len(data)), profile, Context{Keys: openpgp.Keyring{s.key}, Now: day})
			var format *rpm.FormatError
			if err != nil && !errors.As(err, &format) {
				t.Fatal(err)
			}
			if err == nil && Join(r.Results) == nil && !bytes.Equal(data[r.Package.HeaderStart():], content) {
				t.Errorf("%s: other content passes", profile)
			}
		}
	})
}
