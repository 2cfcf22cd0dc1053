// Package site makes the audit pages: what the ledger says, for people with a
// browser. A page is a pure function of the ledger and the site's name and
// address; nothing depends on it, and the auditor does not read it.
package site

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"colophon/logs/ledger"
)

// Data is what the pages show.
type Data struct {
	Name    string
	URL     string // without a slash at the end
	VKey    string // the ledger's public key
	Size    int64  // entries of the ledger
	Root    string // base64
	Entries []ledger.Entry
}

//go:embed index.html.tmpl
var indexText string

var index = template.Must(template.New("index").Funcs(template.FuncMap{
	"serial": func(n int64) string { return fmt.Sprintf("%06d", n) },
	"size":   Size,
	"short":  func(s string) string { return s[:min(16, len(s))] },
}).Parse(indexText))

// repository is one section of the page.
type repository struct {
	Name      string
	Snapshots []ledger.Entry // newest first
}

// Index is the page at the root of the public tree.
func Index(d Data) ([]byte, error) {
	var list []repository
	for _, e := range d.Entries {
		i := slices.IndexFunc(list, func(r repository) bool { return r.Name == e.Repository })
		if i < 0 {
			i = len(list)
			list = append(list, repository{Name: e.Repository})
		}
		list[i].Snapshots = append([]ledger.Entry{e}, list[i].Snapshots...)
	}
	slices.SortFunc(list, func(a, b repository) int { return strings.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	if err := index.Execute(&b, struct {
		Data
		Repositories []repository
	}{d, list}); err != nil {
		return nil, fmt.Errorf("make index.html: %w", err)
	}
	return b.Bytes(), nil
}

// Size is a number of bytes for people.
func Size(n int64) string {
	for _, u := range []struct {
		unit int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.unit {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.unit), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
