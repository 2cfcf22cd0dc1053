package audit_test

import (
	"bytes"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"colophon/logs/ledger"
	"colophon/publish/audit"
)

func flip(data []byte, at int) []byte {
	c := bytes.Clone(data)
	c[at] ^= 1
	return c
}

// excused are the objects that nothing in the tree speaks for any more, and the
// pages, which only repeat what the ledger says.
func excused(p *publisher, key string) bool {
	last := "ledger/tile/0/000.p/3"
	switch {
	case strings.HasPrefix(key, "ledger/staging/"), key == "index.html":
		return true
	case strings.HasPrefix(key, "ledger/tile/"): // partial tiles of the smaller tree
		return key != last && key != "ledger/tile/entries/000.p/3"
	case strings.HasPrefix(key, "templates/latest/"): // metadata of serial 1, still lying there
		old := p.entries[0].Next
		return strings.Contains(key, old.Primary.SHA256) || strings.Contains(key, old.Filelists.SHA256) || strings.Contains(key, old.Other.SHA256)
	}
	return false
}

// depends says that a finding about one object may be the answer to a change of
// another: the object itself, what lies in its folder or beside it, everything of
// the ledger for the ledger, and signatures for keys.
func depends(found, changed string) bool {
	switch {
	case found == changed:
		return true
	case strings.HasPrefix(changed, "ledger/"):
		return strings.HasPrefix(found, "ledger/")
	case strings.HasPrefix(changed, "packages/"):
		base, _, _ := strings.Cut(changed, ".rpm")
		return strings.HasPrefix(found, base+".rpm")
	case strings.HasSuffix(changed, ".repo"), strings.HasSuffix(changed, "/metalink"):
		return path.Dir(found) == path.Dir(changed)
	}
	return path.Dir(found) == path.Dir(changed) && strings.Contains(changed, "/repodata/")
}

// freeText are the parts of a .repo file that say nothing to be held against
// anything: the title, how often clients ask, and an example in a comment.
var freeText = regexp.MustCompile(`(?m)^(name=.*|metadata_expire=.*|#baseurl=.*/[0-9]{6}/)$`)

func TestMutations(t *testing.T) {
	t.Parallel()
	p := standard(t)
	keys := slices.Sorted(maps.Keys(p.tree))
	trees := 0
	check := func(what, key string, m tree, also ...string) {
		t.Helper()
		trees++
		r := run(t, m, later)
		for _, f := range r.Discrepancies {
			if depends(f.Key, key) || len(also) > 0 && depends(f.Key, also[0]) {
				return
			}
		}
		t.Errorf("%s: %s: found only %v", key, what, r.Discrepancies)
	}
	with := func(key string, data []byte) tree {
		m := maps.Clone(p.tree)
		m[key] = data
		return m
	}
	for i, key := range keys {
		if excused(p, key) {
			continue
		}
		data := p.tree[key]
		m := maps.Clone(p.tree)
		delete(m, key)
		check("missing", key, m)
		check("one byte less", key, with(key, data[:len(data)-1]))
		check("one byte more", key, with(key, append(bytes.Clone(data), '\n')))
		for _, at := range []int{len(data) * 2 / 3, len(data) - 1} {
			inside := func(span []int) bool { return span[0] <= at && at < span[1] }
			if strings.HasSuffix(key, ".repo") && slices.ContainsFunc(freeText.FindAllIndex(data, -1), inside) {
				continue
			}
			check("flipped", key, with(key, flip(data, at)))
		}
		// With the same kind of object, of another package, snapshot or
		// repository, or else with the next one.
		other := keys[(i+1)%len(keys)]
		for _, k := range keys {
			if k != key && path.Ext(k) == path.Ext(key) && !bytes.Equal(data, p.tree[k]) {
				other = k
				break
			}
		}
		m = with(key, p.tree[other])
		m[other] = data
		check("swapped with "+other, key, m, other)
	}
	t.Logf("%d objects, %d changed trees", len(keys), trees)
}

// An unfinished publish excuses what is missing, never what is changed.
func TestMutationsInterrupted(t *testing.T) {
	t.Parallel()
	p := second(t)
	for _, after := range []string{"ledger/commit", "ledger/checkpoint", "latest/repodata/repomd.xml.asc"} {
		m := p.state(after)
		for key, data := range m {
			if strings.HasPrefix(key, "ledger/tile/") && strings.HasSuffix(key, ".p/1") && after != "ledger/commit" || excused(p, key) && !strings.HasPrefix(key, "ledger/tile/") {
				continue
			}
			for _, bad := range [][]byte{data[:len(data)-1], flip(data, len(data)/2)} {
				m[key] = bad
				if r := run(t, m, soon); len(r.Discrepancies) == 0 {
					t.Errorf("after %s: %s is changed from %d to %d bytes: %v", after, key, len(data), len(bad), r.Notices)
				}
			}
			m[key] = data
		}
	}
}

// Changes of what is excused are none of the auditor's business.
func TestExcused(t *testing.T) {
	p := standard(t)
	n := 0
	for key, data := range p.tree {
		if excused(p, key) {
			n++
			m := maps.Clone(p.tree)
			m[key] = flip(data, len(data)/2)
			wantClean(t, run(t, m, soon))
			delete(m, key)
			wantClean(t, run(t, m, soon))
		}
	}
	if n < 6 { // 2 staged, 2 partial tiles, 3 old files, 1 page
		t.Errorf("%d objects are excused", n)
	}
}

// No tree, whatever is in it, may crash the auditor or make it give up.
func FuzzTree(f *testing.F) {
	p := standard(f)
	keys := slices.Sorted(maps.Keys(p.tree))
	for i, key := range keys {
		f.Add(i, p.tree[key][:min(len(p.tree[key]), 200)], 3)
	}
	f.Fuzz(func(t *testing.T, i int, data []byte, at int) {
		key := keys[uint(i)%uint(len(keys))]
		old := p.tree[key]
		m := maps.Clone(p.tree)
		at = int(uint(at) % uint(len(old)))
		m[key] = slices.Concat(old[:at], data, old[min(len(old), at+len(data)):])
		r, err := audit.Tree(t.Context(), m, audit.Options{VKey: fixture().vkey, Now: soon})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range append(r.Discrepancies, r.Notices...) {
			if strings.ContainsAny(f.String(), "\n\x1b") {
				t.Errorf("finding is not one printable line: %q", f)
			}
		}
		// The ledger and what it has digests of cannot change unseen.
		exact := strings.HasPrefix(key, "packages/") || key == ledger.CheckpointKey || strings.HasPrefix(key, "templates/00")
		if exact && !bytes.Equal(m[key], old) && len(r.Discrepancies) == 0 {
			t.Errorf("a change of %s was not seen", key)
		}
	})
}
