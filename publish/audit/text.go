package audit

import (
	"fmt"
	"strings"
)

// String is for people: a line for each discrepancy, one for each notice, and
// what was looked at.
func (r *Report) String() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", label, fmt.Sprintf(format, args...))
	}
	for _, f := range r.Discrepancies {
		line("discrepancy", "%s", f)
	}
	for _, f := range r.Notices {
		line("notice", "%s", f)
	}
	line("ledger", "%s, entries: %d, root %s", r.Origin, r.Size, r.Root)
	for _, x := range r.Repositories {
		line("repository", "%s %06d, packages: %d", x.Name, x.Serial, x.Packages)
	}
	line("checked", "packages: %d, objects: %d, bytes: %d", r.Packages, r.Objects, r.Bytes)
	if n := len(r.Discrepancies); n > 0 {
		line("result", "NOT AS THE LEDGER SAYS, discrepancies: %d", n)
	} else {
		line("result", "everything is as the ledger says")
	}
	return b.String()
}
