package pack

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestLoadDefinition(t *testing.T) {
	d := writeTemplate(t, nil)
	if got, want := d.NEVRA().String(), "qubes-template-test-1-4.3-1.noarch"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); !d.Date.Equal(want) {
		t.Errorf("date %s", d.Date)
	}
	if d.Description != "Two lines\nof text." || d.Compression != (Compression{"zstd", 2, 64 << 10}) || d.Log.Path != "build.log" {
		t.Errorf("%+v", d)
	}
}

func TestDefinitionMistakes(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"name: test-1", "name: test-1\ncolour: red", `:2: unknown key "colour"`},
		{"name: test-1", "name: test-1\nname: test-2", `:2: mapping key "name" already defined`},
		{"name: test-1", "name: -dry", `name "-dry" cannot be parsed`},
		{"name: test-1", "name: [", ":"},
		{`version: "4.3"`, `version: "4^3"`, `version "4^3" cannot be parsed by template clients`},
		{`release: "1"`, `release: "1-2"`, `release "1-2" cannot be parsed`},
		{`release: "1"`, "", "release is missing"},
		{"date: 2026-01-02T03:04:05Z", "date: yesterday", `:4: date "yesterday" is neither`},
		{"date: 2026-01-02T03:04:05Z", "date: 2040-01-01", "does not fit"},
		{"date: 2026-01-02T03:04:05Z", "", "date is missing"},
		{"A template for tests", "A template | tests", "vertical bar"},
		{"A template for tests", "Grüße", "outside printable ASCII"},
		{"license: GPL-3.0-or-later", "license: GPL or MIT", "cannot be parsed"},
		{"url: https://example.org/", "", "url is missing"},
		{"image: root.img", "", "image is missing"},
		{"[template.conf, appmenus.list]", "[root.img.part.00]", "cannot stand beside the image"},
		{"[template.conf, appmenus.list]", "[a/x.list, b/x.list]", "stands twice"},
		{"{frame: 64KiB}", "{frame: 1KiB}", "out of range"},
		{"{frame: 64KiB}", "{frame: much}", `size "much"`},
		{"{frame: 64KiB}", "{codec: lzma}", `"lzma" is not known`},
		{"{frame: 64KiB}", "{level: 9}", "9 is out of range"},
		{"log: build.log", "log: {none: }", "none needs a reason"},
		{"log: build.log", "log: {nome: x}", "log is a path"},
		{"log: build.log", "", "log is missing"},
		{"repository: templates", "", "repository is missing"},
		{"repository: templates", "repository: templates\n---\na: b", "more than one document"},
	} {
		text := strings.Replace(definitionText, c.old, c.new, 1)
		if text == definitionText {
			t.Fatalf("%q is not in the text", c.old)
		}
		_, err := LoadDefinition(writeFile(t, t.TempDir()+"/template.yaml", []byte(text)))
		var input *InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || input.Hint() == "" {
			t.Errorf("%q: got %v, want an input error with %q", c.new, err, c.want)
		}
	}
	if _, err := LoadDefinition(t.TempDir()); err == nil {
		t.Error("a folder is a definition")
	}
	if _, err := LoadDefinition(writeFile(t, t.TempDir()+"/x", nil)); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("empty file: %v", err)
	}
}

func FuzzLoadDefinition(f *testing.F) {
	f.Add(definitionText)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := LoadDefinition(writeFile(t, t.TempDir()+"/template.yaml", []byte(text)))
		if err == nil && d.NEVRA().Check() != nil {
			t.Errorf("accepted a name that is not one: %s", d.NEVRA())
		}
	})
}
