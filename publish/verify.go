package publish

import (
	"context"
	"fmt"

	"colophon/publish/audit"
	"colophon/publish/store"
)

// verify reads everything new back, as clients will: step 8.
func (r *run) verify(ctx context.Context, behind []leaf) error {
	var reader store.Reader = r.store
	if r.config.Verify == VerifyPublic {
		var err error
		if reader, err = store.OpenReader(r.config.Site.URL, store.Options{HTTP: r.HTTP}); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
	}
	r.Report.Step("verify through " + reader.Address())
	for _, l := range behind {
		found, err := audit.Entry(ctx, Reader{reader}, audit.Options{VKey: r.keys.VKey, Now: r.now()}, l.index, l.entry)
		if err != nil {
			return fmt.Errorf("verify %s %06d: %w", l.entry.Repository, l.entry.Serial, err)
		}
		if len(found) > 0 {
			return &VerifyError{found}
		}
	}
	return nil
}

// VerifyError reports that the store does not give back what was written. The
// heads were not switched.
type VerifyError struct{ Findings []audit.Finding }

func (e *VerifyError) Error() string {
	f := e.Findings[0]
	return fmt.Sprintf("verify: %s: %s (%d findings); nothing was made live", f.Key, f.Text, len(e.Findings))
}

// Hint says what to do.
func (e *VerifyError) Hint() string {
	return "repair the store or what stands in front of it, then run the same command again"
}
