package site

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"colophon/logs/ledger"
)

func data() Data {
	entry := func(repository string, serial int64) ledger.Entry {
		return ledger.Entry{
			Repository: repository, Serial: serial, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			Next: ledger.State{Packages: int(serial)},
			Added: []ledger.Package{{
				NEVRA: fmt.Sprintf("p-%d-1.noarch", serial), Path: fmt.Sprintf("packages/p/p-%d-1.noarch.rpm", serial),
				SHA256: strings.Repeat("ab", 32), Size: 5 << 20, NoLog: "<script>alert(1)</script>",
			}},
		}
	}
	return Data{Name: "Site & Co", URL: "https://example.org/pub", VKey: "log+1+a+b=", Size: 3, Root: "r00t",
		Entries: []ledger.Entry{entry("templates", 1), entry("testing", 1), entry("templates", 2)}}
}

func TestIndex(t *testing.T) {
	page, err := Index(data())
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	last := 0
	for _, want := range []string{
		"<title>Site &amp; Co</title>", `id="templates"`, `href="templates/templates.repo"`,
		`href="templates/000002/repodata/repomd.xml"`, `href="packages/p/p-2-1.noarch.rpm"`, "5.0 MiB",
		`href="packages/p/p-2-1.noarch.rpm.record.json"`, `href="templates/000001/repodata/repomd.xml"`, `id="testing"`,
		"3 entries", "r00t", "log&#43;1&#43;a&#43;b=", "audit https://example.org/pub -key=key.vkey",
	} {
		i := strings.Index(text[last:], want)
		if i < 0 {
			t.Fatalf("%q does not stand behind what comes before it:\n%s", want, text)
		}
		last += i
	}
	if strings.Contains(text, "<script>") {
		t.Error("a reason is not escaped")
	}
	if again, _ := Index(data()); string(again) != text {
		t.Error("the same ledger gives two pages")
	}
}

func Example() {
	page, err := Index(Data{Name: "Example"})
	fmt.Println(strings.Contains(string(page), "<h1>Example</h1>"), err)
	// Output: true <nil>
}
