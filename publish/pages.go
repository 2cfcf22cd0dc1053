package publish

import (
	"context"

	"colophon/logs/ledger"
	"colophon/publish/site"
)

// publishPages writes the audit pages: step 10. They repeat what the ledger
// says, for people; nothing depends on them.
func (r *run) publishPages(ctx context.Context) error {
	if len(r.local.leaves) == 0 {
		return nil
	}
	var entries []ledger.Entry
	for _, l := range r.local.leaves {
		entries = append(entries, l.entry)
	}
	page, err := site.Index(site.Data{
		Name: r.config.Site.Name, URL: r.config.Site.URL, VKey: r.keys.VKey,
		Size: r.local.tree.Size, Root: r.local.tree.Root.String(), Entries: entries,
	})
	if err != nil {
		return err
	}
	return r.update(ctx, "index.html", page)
}
