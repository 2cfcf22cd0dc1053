package ledger

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"
)

// goldenEntry is written by hand from the format's description.
var goldenEntry = `{"added":[],"kind":"publish","next":` + goldenState("3", 0, 1700000002) +
	`,"previous":` + goldenState("2", 1, 1700000001) +
	`,"removed":[{"nevra":"a-1:2.0-3.noarch","reason":"a \"bad\" <build> & more","sha256":"` + strings.Repeat("5", 64) + `"}]` +
	`,"repository":"templates","serial":2,"signer":"` + strings.Repeat("0F", 20) +
	`","time":"2026-11-23T17:00:00Z","tool":{"name":"colophon","version":"0.1.0"},"version":1}`

func goldenState(digit string, packages, revision int) string {
	xml := fmt.Sprintf(`{"open_sha256":"%[1]s","open_size":20,"sha256":"%[1]s","size":10}`, strings.Repeat(digit, 64))
	return fmt.Sprintf(`{"filelists":%[1]s,"format":1,"other":%[1]s,"packages":%[2]d,"primary":%[1]s,"repomd":{"sha256":"%[3]s","size":30},"revision":%[4]d}`,
		xml, packages, strings.Repeat(digit, 64), revision)
}

func TestEntryGolden(t *testing.T) {
	e, err := Decode([]byte(goldenEntry))
	if err != nil {
		t.Fatal(err)
	}
	if e.Previous == nil || e.Next.Revision != 1700000002 || e.Removed[0].Reason != `a "bad" <build> & more` || !e.Time.Equal(testTime) {
		t.Errorf("decoded %+v", e)
	}
	data, err := Encode(e)
	if err != nil || string(data) != goldenEntry {
		t.Errorf("encoded %s, %v", data, err)
	}
}

func TestEntryRoundTrip(t *testing.T) {
	for i, e := range testEntries() {
		data, err := Encode(e)
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		again, err := Decode(data)
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("entry %d: %+v, %v", i, again, err)
		}
	}
}

// TestFieldOrder holds every struct of the entry to the order of RFC 8785; a
// field added in the wrong place would make bytes that are not canonical.
func TestFieldOrder(t *testing.T) {
	for _, v := range []any{Entry{}, State{}, XML{}, Digest{}, Package{}, Log{}, Removal{}, Tool{}} {
		var names []string
		for f := range reflect.TypeOf(v).Fields() {
			names = append(names, f.Tag.Get("json"))
		}
		if !sort.StringsAreSorted(names) || strings.Contains(strings.Join(names, ""), ",") {
			t.Errorf("%T: %q", v, names)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	second := testPackage("b-1-1.noarch")
	tests := []struct {
		want string
		edit func(*Entry)
	}{
		{"version 2 is not 1", func(e *Entry) { e.Version = 2 }},
		{`kind "resign" is not known`, func(e *Entry) { e.Kind = "resign" }},
		{`repository "packages" is not`, func(e *Entry) { e.Repository = "packages" }},
		{`repository "Templates" is not`, func(e *Entry) { e.Repository = "Templates" }},
		{`repository "a/b" is not`, func(e *Entry) { e.Repository = "a/b" }},
		{`repository ".." is not`, func(e *Entry) { e.Repository = ".." }},
		{"serial 0 is outside", func(e *Entry) { e.Serial = 0 }},
		{"serial 1000000 is outside", func(e *Entry) { e.Serial = 1000000 }},
		{"previous state must be null", func(e *Entry) { e.Serial = 2 }},
		{"previous state must be null", func(e *Entry) { s := testState("x", 0, 1); e.Previous = &s }},
		{"signer: ", func(e *Entry) { e.Signer = strings.ToLower(strings.Repeat("AB", 20)) }},
		{"time ", func(e *Entry) { e.Time = e.Time.Add(time.Millisecond) }},
		{"time ", func(e *Entry) { e.Time = e.Time.In(time.FixedZone("", 3600)) }},
		{"time ", func(e *Entry) { e.Time = time.Time{} }},
		{"tool name: ", func(e *Entry) { e.Tool.Name = "" }},
		{"tool version: ", func(e *Entry) { e.Tool.Version = "1\n" }},
		{"next: format 0", func(e *Entry) { e.Next.Format = 0 }},
		{"next: revision 0", func(e *Entry) { e.Next.Revision = 0 }},
		{"next: revision 9007199254740992", func(e *Entry) { e.Next.Revision = 1 << 53 }},
		{"next: repomd: size 0", func(e *Entry) { e.Next.Repomd.Size = 0 }},
		{"next: open primary: ", func(e *Entry) { e.Next.Primary.OpenSHA256 = "" }},
		{"next: filelists: ", func(e *Entry) { e.Next.Filelists.SHA256 = strings.Repeat("A", 64) }},
		{"next: other: size -1", func(e *Entry) { e.Next.Other.Size = -1 }},
		{"next: 7 packages, but 0 + 1 added - 0 removed", func(e *Entry) { e.Next.Packages = 7 }},
		{"added must not be null", func(e *Entry) { e.Added = nil; e.Next.Packages = 0 }},
		{"removed must not be null", func(e *Entry) { e.Removed = nil }},
		{`"b-1-1.noarch" is out of order or repeated`, func(e *Entry) { e.Added = []Package{second, second} }},
		{"is out of order or repeated", func(e *Entry) { e.Added = append([]Package{e.Added[0]}, second) }},
		{`"-1-1.noarch" is not a valid nevra`, func(e *Entry) { e.Added[0].NEVRA = "-1-1.noarch" }},
		{`"..-1-1.noarch" is not a valid nevra`, func(e *Entry) { e.Added[0].NEVRA = "..-1-1.noarch" }},
		{`"a-0:1-1.noarch" is not a valid nevra`, func(e *Entry) { e.Added[0].NEVRA = "a-0:1-1.noarch" }},
		{`path "packages/x.rpm" is not`, func(e *Entry) { e.Added[0].Path = "packages/x.rpm" }},
		{"content id: ", func(e *Entry) { e.Added[0].ContentID = "" }},
		{"header: ", func(e *Entry) { e.Added[0].Header = strings.Repeat("0", 63) }},
		{"size 0 is not possible", func(e *Entry) { e.Added[0].Size = 0 }},
		{"record: ", func(e *Entry) { e.Added[0].Record = Digest{} }},
		{"signer: ", func(e *Entry) { e.Added[0].Signer = strings.Repeat("A", 39) }},
		{"reason for no log: ", func(e *Entry) { e.Added[0].Log = nil }},
		{"a log and a reason for none", func(e *Entry) { e.Added[0].NoLog = "lost" }},
		{"open log: size 0", func(e *Entry) { e.Added[0].Log.OpenSize = 0 }},
		{"reason: ", func(e *Entry) { e.Removed = []Removal{{"a-1-1.noarch", "", hash("a")}} }},
		{"reason: ", func(e *Entry) { e.Removed = []Removal{{"a-1-1.noarch", "\u202etxt", hash("a")}} }},
		{"reason: ", func(e *Entry) { e.Removed = []Removal{{"a-1-1.noarch", "\xff", hash("a")}} }},
		{"reason: ", func(e *Entry) { e.Removed = []Removal{{"a-1-1.noarch", "\u2028", hash("a")}} }},
		{"is both added and removed", func(e *Entry) { e.Removed = []Removal{{e.Added[0].NEVRA, "x", hash("a")}} }},
	}
	for _, tt := range tests {
		e := testEntries()[0]
		tt.edit(&e)
		if _, err := Encode(e); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("want %q, got %v", tt.want, err)
		}
	}
}

func TestEncodeLimit(t *testing.T) {
	fill := func(n int) Entry {
		e := testEntries()[0]
		e.Added = e.Added[:0]
		for i := range n {
			e.Added = append(e.Added, testPackage(fmt.Sprintf("a%04d-1-1.noarch", i)))
		}
		e.Next.Packages = n
		return e
	}
	data, err := Encode(fill(60))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("60 packages make an entry of %d bytes", len(data))
	_, err = Encode(fill(100))
	var large *TooLargeError
	if !errors.As(err, &large) || large.Hint() == "" {
		t.Errorf("100 packages: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	if _, err := Decode([]byte(goldenEntry)); err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) string {
		if !strings.Contains(goldenEntry, old) {
			t.Fatalf("%q is not in the entry", old)
		}
		return strings.Replace(goldenEntry, old, new, 1)
	}
	for name, data := range map[string]string{
		"empty":             "",
		"null":              "null",
		"empty object":      "{}",
		"unknown key":       edit(`"kind"`, `"color":"red","kind"`),
		"unknown inner key": edit(`"format":1`, `"format":1,"formats":1`),
		"duplicate key":     edit(`"kind":"publish"`, `"kind":"publish","kind":"publish"`),
		"key in upper case": edit(`"kind"`, `"KIND"`),
		"missing key":       edit(`"kind":"publish",`, ``),
		"order":             edit(`{"name":"colophon","version":"0.1.0"}`, `{"version":"0.1.0","name":"colophon"}`),
		"blank":             edit(`"serial":2`, `"serial": 2`),
		"leading blank":     " " + goldenEntry,
		"trailing LF":       goldenEntry + "\n",
		"trailing value":    goldenEntry + "{}",
		"trailing garbage":  goldenEntry + "x",
		"float":             edit(`"serial":2`, `"serial":2.0`),
		"exponent":          edit(`"serial":2`, `"serial":2e0`),
		"leading zero":      edit(`"serial":2`, `"serial":02`),
		"number as string":  edit(`"serial":2`, `"serial":"2"`),
		"escape":            edit(`publish`, `p\u0075blish`),
		"html escape":       edit(`<`, `\u003c`),
		"time zone":         edit(`17:00:00Z`, `17:00:00+00:00`),
		"time fraction":     edit(`17:00:00Z`, `17:00:00.000Z`),
		"null list":         edit(`"added":[]`, `"added":null`),
		"truncated":         goldenEntry[:len(goldenEntry)-1],
		"byte order mark":   "\ufeff" + goldenEntry,
		"too large":         edit(`more`, strings.Repeat("x", MaxEntry)),
		"deep":              strings.Repeat("[", 20000),
	} {
		if e, err := Decode([]byte(data)); err == nil {
			t.Errorf("%s: accepted as %+v", name, e)
		} else if strings.TrimSpace(err.Error()) == "" {
			t.Errorf("%s: error without text", name)
		}
	}
}

func TestPackagePath(t *testing.T) {
	for nevra, want := range map[string]string{
		"qubes-template-debian-12-4.2.0-202611231700.noarch": "packages/qubes-template-debian-12/qubes-template-debian-12-4.2.0-202611231700.noarch.rpm",
		"a-2:1~rc1-1.fc41.x86_64":                            "packages/a/a-1~rc1-1.fc41.x86_64.rpm",
		"a-1-1":                                              "",
		"a-1.noarch":                                         "",
		"a/b-1-1.noarch":                                     "",
		"a-1-1.noarch\n":                                     "",
	} {
		if got, err := PackagePath(nevra); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", nevra, got, err)
		}
	}
}
