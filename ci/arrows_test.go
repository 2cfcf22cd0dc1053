package ci

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "colophon"

// arrows says which of our packages each package may import: the table "The house" of docs/design.md. A trailing
// "..." means that package, the rooms inside it, and everything those may import. A package that is missing here may
// not exist.
var arrows = map[string][]string{
	"pack":                    {"pack/rpm", "pack/lint"},
	"pack/lint":               {"pack/rpm..."},
	"pack/openpgp":            {},
	"pack/rpm":                {"pack/openpgp"},
	"mirror":                  {"pack...", "mirror/rpmmd", "mirror/disk"},
	"mirror/disk":             {},
	"mirror/rpmmd":            {"pack/rpm"},
	"logs":                    {"pack/rpm", "mirror/disk"},
	"logs/ledger":             {"pack/rpm", "mirror/disk"},
	"publish":                 {"mirror...", "logs...", "publish..."},
	"publish/sign":            {"logs/ledger", "mirror/rpmmd", "mirror/disk", "pack/lint...", "publish/audit"},
	"publish/store":           {"mirror/disk"},
	"publish/store/storetest": {"publish/store"},
	"publish/store/s3":        {"publish/store"},
	"publish/audit":           {"logs", "logs/ledger", "mirror/rpmmd", "pack/lint..."},
	"publish/site":            {"logs", "logs/ledger", "mirror/rpmmd"},
	"magefiles":               {"pack...", "mirror...", "logs...", "publish..."},
	"ci":                      {},
	"ci/bench":                {"pack..."}, // measures the product as a user would, so the limits below are not for it
}

// A limit names imports and uses of the standard library that belong to few packages.
type limit struct {
	imports []string // an import path and everything below it
	uses    []string // package.Name, however the package is imported
	only    []string // our packages where they may stand
	why     string
}

var limits = []limit{
	{imports: []string{"github.com/goreleaser/nfpm"}, only: []string{"pack"}, why: "one packager"},
	{imports: []string{"github.com/ProtonMail/go-crypto"}, only: []string{"pack/openpgp"}, why: "one place for keys"},
	{imports: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go"}, only: []string{"publish/store/s3"},
		why: "one place for object storage"},
	{imports: []string{"github.com/magefile/mage"}, only: []string{"magefiles"}, why: "packages do not know who calls them"},
	{imports: []string{"net/http"}, only: []string{"publish/store", "publish/store/s3"}, why: "one way to the network"},
	{
		uses: []string{"os.WriteFile", "os.Create", "os.Rename", "os.OpenFile", "os.Mkdir", "os.MkdirAll", "os.MkdirTemp",
			"os.Remove", "os.RemoveAll", "os.Symlink", "os.Link", "os.CreateTemp", "os.Truncate"},
		only: []string{"mirror/disk"},
		why:  "files are written, durably, in one place",
	},
	{
		imports: []string{"crypto/rand", "math/rand"},
		uses:    []string{"time.Now", "os.Getenv", "os.Environ", "os.LookupEnv", "os.ExpandEnv"},
		only:    []string{"magefiles"},
		why:     "clock, randomness and environment are parameters",
	},
}

// A sourceFile is what the rules look at in one file that is not a test.
type sourceFile struct {
	name    string   // for messages
	room    string   // its package, without the module path
	imports []string // import paths
	uses    []string // package path "." name, of imported packages
}

func TestArrows(t *testing.T) {
	files := readSources(t)
	if len(files) == 0 {
		t.Fatal("no source files found")
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

// The checker itself must be able to fail, once for each kind of rule.
func TestArrowsFindsViolations(t *testing.T) {
	for _, c := range []struct {
		source string
		room   string
		want   string
	}{
		{`import _ "colophon/publish/store"`, "pack", "pack may not import publish/store"},
		{`import _ "colophon/logs/ledger"`, "publish/site", ""},
		{`import _ "colophon/pack/openpgp"`, "mirror", ""},
		{`import _ "colophon/pack/openpgp"`, "publish/audit", ""},
		{`import _ "colophon/publish/store/s3"`, "publish", ""},
		{`import _ "colophon/mirror/disk"`, "publish/audit", "publish/audit may not import mirror/disk"},
		{`import _ "colophon/ci"`, "publish", "publish may not import ci"},
		{``, "util", "no room of this name: util"},
		{`import _ "github.com/goreleaser/nfpm/v2/files"`, "publish", "github.com/goreleaser/nfpm/v2/files belongs to pack"},
		{`import _ "net/http/httptest"`, "magefiles", "net/http/httptest belongs to publish/store"},
		{`import o "os"; var _ = o.Create`, "logs", "os.Create belongs to mirror/disk"},
		{`import "os"; func f() { os.Mkdir("x", 0) }`, "mirror/disk", ""},
		{`import "time"; var _ = time.Now()`, "publish", "time.Now belongs to magefiles"},
		{`import _ "math/rand/v2"`, "publish", "math/rand/v2 belongs to magefiles"},
		{`type o struct{ Create int }; var os o; var _ = os.Create`, "logs", ""},
	} {
		file, err := parseSource("x.go", "package x; "+c.source, c.room)
		if err != nil {
			t.Fatal(err)
		}
		got := violations([]sourceFile{file})
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s in %s: got %q, want %q", c.source, c.room, got, c.want)
		}
	}
}

// violations returns one line for each rule that a file breaks.
func violations(files []sourceFile) []string {
	var found []string
	for _, f := range files {
		if _, ok := arrows[f.room]; !ok {
			found = append(found, fmt.Sprintf("%s: no room of this name: %s", f.name, f.room))
			continue
		}
		for _, imported := range f.imports {
			if room, ok := strings.CutPrefix(imported, module+"/"); ok && !slices.Contains(reach(f.room), room) {
				found = append(found, fmt.Sprintf("%s: %s may not import %s", f.name, f.room, room))
			}
		}
		for _, l := range limits {
			if slices.Contains(l.only, f.room) || within(f.room, "ci") {
				continue
			}
			belongs := strings.Join(l.only, " and ") + " (" + l.why + ")"
			for _, imported := range f.imports {
				if slices.ContainsFunc(l.imports, func(p string) bool { return within(imported, p) }) {
					found = append(found, fmt.Sprintf("%s: %s belongs to %s", f.name, imported, belongs))
				}
			}
			for _, use := range f.uses {
				if slices.Contains(l.uses, use) {
					found = append(found, fmt.Sprintf("%s: %s belongs to %s", f.name, use, belongs))
				}
			}
		}
	}
	return found
}

// reach returns the packages that room may import.
func reach(room string) []string {
	var rooms []string
	for _, arrow := range arrows[room] {
		base, deep := strings.CutSuffix(arrow, "...")
		if !deep {
			rooms = append(rooms, arrow)
			continue
		}
		for r := range arrows {
			if within(r, base) {
				rooms = addBelow(rooms, r)
			}
		}
	}
	return rooms
}

// addBelow adds room and everything on the way down from it.
func addBelow(rooms []string, room string) []string {
	if slices.Contains(rooms, room) {
		return rooms
	}
	rooms = append(rooms, room)
	for _, arrow := range arrows[room] {
		base, deep := strings.CutSuffix(arrow, "...")
		for r := range arrows {
			if r == base || deep && within(r, base) {
				rooms = addBelow(rooms, r)
			}
		}
	}
	return rooms
}

func within(p, base string) bool { return p == base || strings.HasPrefix(p, base+"/") }

// readSources parses every file of the module that is not a test, whatever its build tags.
func readSources(t *testing.T) []sourceFile {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-tags", "mage", "-json=ImportPath,Dir", "./...")
	cmd.Dir = top(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var files []sourceFile
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p struct{ ImportPath, Dir string }
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		names, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, name := range names {
			// mage writes its main file beside the targets while it compiles them.
			if base := filepath.Base(name); strings.HasSuffix(base, "_test.go") || base == "mage_output_file.go" {
				continue
			}
			file, err := parseSource(name, nil, room)
			if err != nil {
				t.Fatal(err)
			}
			file.name = path.Join(room, filepath.Base(name))
			files = append(files, file)
		}
	}
	return files
}

// parseSource reads a file, or source when it is not nil.
func parseSource(name string, source any, room string) (sourceFile, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
	if err != nil {
		return sourceFile{}, err
	}
	file := sourceFile{name: name, room: room}
	packages := map[string]string{} // name in this file -> import path
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return sourceFile{}, err
		}
		file.imports = append(file.imports, imported)
		packages[path.Base(imported)] = imported
		if spec.Name != nil {
			packages[spec.Name.Name] = imported
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := selector.X.(*ast.Ident); ok && packages[x.Name] != "" {
				file.uses = append(file.uses, packages[x.Name]+"."+selector.Sel.Name)
			}
		}
		return true
	})
	return file, nil
}
