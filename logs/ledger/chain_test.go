package ledger

import (
	"strings"
	"testing"
	"time"
)

func TestChain(t *testing.T) {
	var c Chain
	if _, ok := c.Last("templates"); ok || len(c.Packages("templates")) != 0 {
		t.Error("an empty chain knows a repository")
	}
	for i, e := range testEntries() {
		if err := c.Add(e); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	if last, ok := c.Last("templates"); !ok || last.Serial != 3 {
		t.Errorf("last entry %+v", last)
	}
	got := c.Packages("templates")
	if _, ok := got["qubes-template-a-4.2-2.noarch"]; !ok || len(got) != 1 {
		t.Errorf("packages %v", got)
	}
	clear(got)
	if len(c.Packages("templates")) != 1 || len(c.Packages("templates-testing")) != 1 || c.Len() != 4 {
		t.Error("the caller's map is the chain's")
	}
	if got := strings.Join(c.Repositories(), " "); got != "templates templates-testing" {
		t.Errorf("repositories %q", got)
	}
	if _, ok := c.Published("qubes-template-a-4.2-1.noarch"); !ok {
		t.Error("a removed package was never published")
	}
}

// TestChainReadd: a package may come back, as the same one.
func TestChainReadd(t *testing.T) {
	var c Chain
	entries := testEntries()
	for _, e := range entries {
		if err := c.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	e := entries[3]
	previous := e.Next
	e.Serial, e.Previous, e.Next = 4, &previous, testState("four", 2, 1700000003)
	e.Removed, e.Added = []Removal{}, []Package{testPackage("qubes-template-a-4.2-1.noarch")}
	if err := c.Add(e); err != nil {
		t.Error(err)
	}
}

func TestChainRefuses(t *testing.T) {
	const v1, v2 = "qubes-template-a-4.2-1.noarch", "qubes-template-a-4.2-2.noarch"
	tests := []struct {
		want string
		edit func(e []Entry) []Entry
	}{
		{"serial is not 2", func(e []Entry) []Entry { return []Entry{e[0], e[1], e[3]} }},
		{"serial is not 2", func(e []Entry) []Entry { return []Entry{e[0], e[0]} }},
		{"serial is not 1", func(e []Entry) []Entry { return e[2:] }},
		{"first entry of a repository has a previous state", func(e []Entry) []Entry { return e[2:] }},
		{"previous state is not the next state of serial 1", func(e []Entry) []Entry { e[2].Previous.Repomd.Size++; return e }},
		{"previous state is not the next state of serial 1", func(e []Entry) []Entry { e[2].Previous = nil; return e }},
		{"time 2026-11-23T16:00:00Z is before", func(e []Entry) []Entry { e[1].Time = testTime.Add(-time.Hour); return e }},
		{"revision 1700000000 does not follow 1700000000", func(e []Entry) []Entry { e[2].Next.Revision = 1700000000; return e }},
		{v1 + " was published before with another sha256", func(e []Entry) []Entry {
			e[2].Added[0] = e[0].Added[0]
			e[2].Added[0].SHA256 = hash("2")
			return e
		}},
		{"is in the repository already", func(e []Entry) []Entry { e[2].Added[0] = e[0].Added[0]; return e }},
		{"was published before with another sha256", func(e []Entry) []Entry { e[1].Added[0].SHA256 = hash("x"); return e }},
		{"was published before with other facts", func(e []Entry) []Entry { e[1].Added[0].Record.Size++; return e }},
		{"was published before with other facts", func(e []Entry) []Entry { e[1].Added[0].Log.Size++; return e }},
		{"was published before with other facts", func(e []Entry) []Entry { e[1].Added[0].Log = nil; return e }},
		{"has the path of " + v1, func(e []Entry) []Entry {
			e[2].Added[0] = testPackage("qubes-template-a-7:4.2-1.noarch")
			return e
		}},
		{"removed x-1-1.noarch is not in the repository", func(e []Entry) []Entry { e[3].Removed[0].NEVRA = "x-1-1.noarch"; return e }},
		{"removed " + v1 + " has another sha256", func(e []Entry) []Entry { e[3].Removed[0].SHA256 = hash(v2); return e }},
		{"9 packages, but the set has 2", func(e []Entry) []Entry { e[2].Next.Packages = 9; e[3].Previous.Packages = 9; return e }},
	}
	for _, tt := range tests {
		var c Chain
		var text strings.Builder
		for _, e := range tt.edit(testEntries()) {
			if err := c.Add(e); err != nil {
				text.WriteString(err.Error() + "\n")
			}
		}
		if !strings.Contains(text.String(), tt.want) {
			t.Errorf("want %q, got %q", tt.want, text.String())
		}
	}
}

// TestChainGoesOn: all violations of an entry are named, and only there.
func TestChainGoesOn(t *testing.T) {
	var c Chain
	e := testEntries()
	e[2].Next.Revision = 5
	e[2].Added[0].NEVRA = "qubes-template-a-4.2-1.noarch"
	e[2].Added[0].SHA256 = hash("other")
	e[2].Time = testTime
	e[3].Previous = &e[2].Next
	var lines []int
	for _, e := range e[:3] {
		if err := c.Add(e); err != nil {
			lines = append(lines, len(strings.Split(err.Error(), "\n")))
		}
	}
	if len(lines) != 1 || lines[0] < 4 {
		t.Errorf("violations per failing entry: %v", lines)
	}
}
