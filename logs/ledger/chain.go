package ledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Chain follows a ledger from its first entry and holds each entry against
// all before it. The zero value is an empty ledger. The rules:
//
//   - times never go back, over the whole ledger;
//   - serials of a repository are 1, 2, 3, ... without a gap;
//   - the previous state of an entry is the next state of the repository's last;
//   - the revision of a repository grows with each entry;
//   - a removed package was in the repository, with that digest, and an added
//     one was not;
//   - the number of packages is that of the resulting set;
//   - a NEVRA, and a path, never comes with a second package: all its digests
//     are for ever those of its first appearance in any repository.
//
// A Chain knows nothing of files: that the states named here are those of the
// served metadata is checked elsewhere.
type Chain struct {
	entries      int64
	time         time.Time
	repositories map[string]*repository
	packages     map[string]Package // by NEVRA, every one ever added
	paths        map[string]string  // path to NEVRA: two epochs share a path
}

type repository struct {
	last     Entry
	packages map[string]Package
}

// Add holds e against the ledger so far. The error names all violations, one
// per line. The chain follows e even then, so that one wrong entry does not make
// all later ones look wrong; a publisher throws such a chain away.
func (c *Chain) Add(e Entry) error {
	if c.repositories == nil {
		c.repositories = make(map[string]*repository)
		c.packages = make(map[string]Package)
		c.paths = make(map[string]string)
	}
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("ledger entry %d (%s, serial %d): %s",
				c.entries, e.Repository, e.Serial, fmt.Sprintf(format, args...)))
		}
	}
	r := c.repositories[e.Repository]
	if r == nil {
		r = &repository{packages: make(map[string]Package)}
		c.repositories[e.Repository] = r
	}

	check(!e.Time.Before(c.time), "time %s is before %s of the entry before it",
		e.Time.Format(time.RFC3339), c.time.Format(time.RFC3339))
	check(e.Serial == r.last.Serial+1, "serial is not %d", r.last.Serial+1)
	if r.last.Serial != 0 {
		check(e.Previous != nil && *e.Previous == r.last.Next, "previous state is not the next state of serial %d", r.last.Serial)
		check(e.Next.Revision > r.last.Next.Revision, "revision %d does not follow %d", e.Next.Revision, r.last.Next.Revision)
	} else {
		check(e.Previous == nil, "the first entry of a repository has a previous state")
	}

	for _, x := range e.Removed {
		p, ok := r.packages[x.NEVRA]
		check(ok, "removed %s is not in the repository", x.NEVRA)
		check(!ok || p.SHA256 == x.SHA256, "removed %s has another sha256 in the repository", x.NEVRA)
		delete(r.packages, x.NEVRA)
	}
	for _, p := range e.Added {
		_, ok := r.packages[p.NEVRA]
		check(!ok, "added %s is in the repository already", p.NEVRA)
		r.packages[p.NEVRA] = p
		if first, ok := c.packages[p.NEVRA]; ok {
			check(first.SHA256 == p.SHA256, "added %s was published before with another sha256", p.NEVRA)
			check(first.SHA256 != p.SHA256 || first.equal(p), "added %s was published before with other facts", p.NEVRA)
		} else {
			c.packages[p.NEVRA] = p
		}
		if first, ok := c.paths[p.Path]; ok {
			check(first == p.NEVRA, "added %s has the path of %s", p.NEVRA, first)
		} else {
			c.paths[p.Path] = p.NEVRA
		}
	}
	check(e.Next.Packages == len(r.packages), "%d packages, but the set has %d", e.Next.Packages, len(r.packages))

	r.last = e
	c.time = e.Time
	c.entries++
	return errors.Join(errs...)
}

// Len returns the number of entries, which is the index of the next one.
func (c *Chain) Len() int64 { return c.entries }

// Last returns the last entry of a repository.
func (c *Chain) Last(name string) (Entry, bool) {
	r := c.repositories[name]
	if r == nil {
		return Entry{}, false
	}
	return r.last, true
}

// Packages returns the packages of a repository after its last entry, by NEVRA.
// The map is the caller's.
func (c *Chain) Packages(name string) map[string]Package {
	r := c.repositories[name]
	if r == nil {
		return map[string]Package{}
	}
	return maps.Clone(r.packages)
}

// Published returns the package that ever had this NEVRA, in any repository.
func (c *Chain) Published(nevra string) (Package, bool) {
	p, ok := c.packages[nevra]
	return p, ok
}

// Repositories returns the names of all repositories, sorted.
func (c *Chain) Repositories() []string {
	return slices.Sorted(maps.Keys(c.repositories))
}

func (p Package) equal(q Package) bool {
	if (p.Log == nil) != (q.Log == nil) || p.Log != nil && *p.Log != *q.Log {
		return false
	}
	p.Log, q.Log = nil, nil
	return p == q
}
