package publish

import (
	"fmt"
	"strings"
	"time"

	"colophon/logs/ledger"
	"colophon/publish/site"
)

// Result says what a run did. String is the closing summary.
type Result struct {
	Published []Published `json:"published"` // empty when there was nothing new
	Store     string      `json:"store"`
	Site      string      `json:"site"`
	Audit     string      `json:"audit"`    // address to audit from here
	KeyFile   string      `json:"key_file"` // the ledger's public key
	VKey      string      `json:"vkey"`
	Entries   int64       `json:"entries"` // of the ledger
	Root      string      `json:"root"`    // of its tree, base64
	Objects   int         `json:"objects"` // written
	Bytes     int64       `json:"bytes"`   // written
	States    []Published `json:"-"`       // the last of every repository
}

// Published is a snapshot that was made live, or completed.
type Published struct {
	Repository string           `json:"repository"`
	Serial     int64            `json:"serial"`
	Time       time.Time        `json:"time"`
	Packages   int              `json:"packages"` // listed
	Added      []ledger.Package `json:"added"`
}

func snapshotOf(e ledger.Entry) Published {
	return Published{e.Repository, e.Serial, e.Time, e.Next.Packages, e.Added}
}

// fill notes where things are.
func (r *Result) fill(x *run) {
	r.Store, r.Site = x.store.Address(), x.config.Site.URL
	r.VKey, r.KeyFile, r.Audit = x.keys.VKey, x.keys.VKeyFile, r.Site
	if x.config.Verify == VerifyStore {
		r.Audit = r.Store
	}
	r.Entries, r.Root, r.States = x.local.tree.Size, x.local.tree.Root.String(), nil
	for _, repository := range x.config.Repositories {
		if e, ok := x.local.chain.Last(repository.Name); ok {
			r.States = append(r.States, snapshotOf(e))
		}
	}
}

func (r *Result) published(list []leaf) {
	for _, l := range list {
		r.Published = append(r.Published, snapshotOf(l.entry))
	}
}

// String is for people.
func (r *Result) String() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	if len(r.Published) == 0 {
		line("unchanged", "nothing new to publish")
		for _, s := range r.States {
			line("", "%s %06d of %s, %s", s.Repository, s.Serial, s.Time.Format(time.DateTime), count(s.Packages, "package"))
		}
	}
	for _, s := range r.Published {
		line("published", "%s %06d, %s listed", s.Repository, s.Serial, count(s.Packages, "package"))
		for _, p := range s.Added {
			line("  added", "%s  %s", p.NEVRA, site.Size(p.Size))
			line("  sha256", "%s", p.SHA256)
		}
	}
	line("store", "%s (%s written, %s)", r.Store, count(r.Objects, "object"), site.Size(r.Bytes))
	line("site", "%s", r.Site)
	line("ledger", "%s, root %s", count(int(r.Entries), "entry"), r.Root)
	line("verify", "go tool mage audit %s -key=%s", r.Audit, r.KeyFile)
	return b.String()
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if s, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, s)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
