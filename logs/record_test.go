package logs

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func hexOf(digit string) string { return strings.Repeat(digit, 64) }

func testRecord() Record {
	return Record{
		FileName:  "qubes-template-debian-12-minimal-4.3.0-202611231700.noarch.rpm",
		SHA256:    hexOf("1"),
		ContentID: hexOf("2"),
		Definition: Definition{
			Name: "debian-12-minimal", Version: "4.3.0", Release: "202611231700", Date: "2026-11-23T17:00:00Z",
			Summary: "Debian 12 <minimal> & small", Description: "A \"minimal\" Debian.\n\tNo desktop.",
			License: "GPLv3+", URL: "https://example.org/", Repository: "templates", Compression: "zstd",
		},
		DefinitionSHA256: hexOf("3"),
		Image:            Image{SparseSHA256: hexOf("4"), Size: 20 << 30, Data: 900 << 20},
		Files:            []File{{"template.conf", hexOf("5")}, {"whitelisted-appmenus.list", hexOf("6")}},
		Log:              &LogDigests{Open: Digest{hexOf("7"), 50000}, Compressed: Digest{hexOf("8"), 7000}},
		ContainerFormat:  1,
		Codec:            Codec{ID: "zstd", Module: "github.com/klauspost/compress", Version: "v1.20.3", Level: 19},
		Frames:           Frames{Min: 256 << 10, Average: 1 << 20, Max: 4 << 20, Block: 4096, Hash: "gear"},
		SourceDateEpoch:  1795453200,
		Tool:             "0.1.0",
	}
}

func TestRecordGolden(t *testing.T) {
	data, err := EncodeRecord(testRecord())
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("testdata", "record.json")
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, want) {
		t.Errorf("%s is not\n%s", name, data)
	}
	if r, err := DecodeRecord(want); err != nil || !reflect.DeepEqual(r, testRecord()) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestRecordShape reads the golden as a stranger would, by the two specifications.
func TestRecordShape(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "record.json"))
	if err != nil {
		t.Fatal(err)
	}
	type resource struct {
		Name   string
		Digest map[string]string
	}
	var s struct {
		Type          string `json:"_type"`
		Subject       []resource
		PredicateType string
		Predicate     struct {
			BuildDefinition struct {
				BuildType            string
				ExternalParameters   map[string]any
				InternalParameters   map[string]any
				ResolvedDependencies []resource
			}
			RunDetails struct {
				Builder struct {
					ID      string
					Version map[string]string
				}
				Byproducts []resource
			}
		}
	}
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatal(err)
	}
	b := s.Predicate.BuildDefinition
	if s.Type != "https://in-toto.io/Statement/v1" || s.PredicateType != "https://slsa.dev/provenance/v1" ||
		b.BuildType != "urn:colophon:pack:1" || s.Predicate.RunDetails.Builder.ID != "urn:colophon:builder:1" ||
		s.Predicate.RunDetails.Builder.Version["colophon"] != "0.1.0" || b.InternalParameters["recordVersion"] != 1.0 {
		t.Errorf("%+v", s)
	}
	var names []string
	for _, list := range [][]resource{s.Subject, b.ResolvedDependencies, s.Predicate.RunDetails.Byproducts} {
		for _, r := range list {
			names = append(names, r.Name)
			if len(r.Digest) != 1 {
				t.Errorf("%s has digests %v", r.Name, r.Digest)
			}
		}
	}
	const rpm = "qubes-template-debian-12-minimal-4.3.0-202611231700.noarch.rpm"
	want := rpm + " content root.img template.yaml files/template.conf files/whitelisted-appmenus.list build.log " + rpm + ".log.zst"
	if strings.Join(names, " ") != want {
		t.Errorf("%q", names)
	}
	if b.ResolvedDependencies[0].Digest["sparseSha256"] != hexOf("4") {
		t.Errorf("image %v", b.ResolvedDependencies[0])
	}
}

func TestRecordRoundTrip(t *testing.T) {
	edits := map[string]func(*Record){
		"as it is":      func(*Record) {},
		"no log":        func(r *Record) { r.Log, r.NoLog = nil, "built elsewhere" },
		"no side files": func(r *Record) { r.Files = nil },
		"neither":       func(r *Record) { r.Files, r.Log, r.NoLog = nil, nil, "x" },
		"empty texts":   func(r *Record) { r.Definition.Summary, r.Definition.Description = "", "" },
		"other letters": func(r *Record) { r.Definition.Summary = "Größe 大" },
		"all hole":      func(r *Record) { r.Image.Data = 0 },
		"a file called": func(r *Record) { r.Files = []File{{"build.log", hexOf("9")}, {"root.img", hexOf("9")}} },
	}
	for name, edit := range edits {
		r := testRecord()
		edit(&r)
		data, err := EncodeRecord(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err := DecodeRecord(data); err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%s: %+v, %v", name, again, err)
		}
	}
}

// TestRecordLossless changes every field there is: each must show in the bytes.
func TestRecordLossless(t *testing.T) {
	want, err := EncodeRecord(testRecord())
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	var walk func(v reflect.Value, name string, r *Record)
	walk = func(v reflect.Value, name string, r *Record) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i), name+"."+v.Type().Field(i).Name, r)
			}
		case reflect.Pointer:
			walk(v.Elem(), name, r)
		case reflect.Slice:
			walk(v.Index(0), name+"[0]", r)
		default:
			if name == ".NoLog" {
				return // excludes a log
			}
			old := reflect.ValueOf(v.Interface())
			if v.Kind() == reflect.String {
				v.SetString(strings.NewReplacer("1", "9", "2", "9", "3", "9", "4", "9", "5", "9", "6", "9", "7", "9", "8", "9", "e", "f").Replace(v.String()))
			} else {
				v.SetInt(v.Int() + 1)
			}
			data, err := EncodeRecord(*r)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if bytes.Equal(data, want) {
				t.Errorf("%s leaves no trace in the record", name)
			}
			v.Set(old)
			fields++
		}
	}
	r := testRecord()
	r.Definition.License, r.Definition.Compression, r.Codec.ID = "one", "one", "one"
	if want, err = EncodeRecord(r); err != nil {
		t.Fatal(err)
	}
	walk(reflect.ValueOf(&r), "", &r)
	if fields < 30 {
		t.Errorf("only %d fields were tried", fields)
	}
}

func TestEncodeRecordRefuses(t *testing.T) {
	for want, edit := range map[string]func(*Record){
		"file name of a package":       func(r *Record) { r.FileName = "../x.rpm" },
		"package: ":                    func(r *Record) { r.SHA256 = "" },
		"content id: ":                 func(r *Record) { r.ContentID = hexOf("A") },
		"name: ":                       func(r *Record) { r.Definition.Name = "" },
		"summary: ":                    func(r *Record) { r.Definition.Summary = "a\nb" },
		"url: ":                        func(r *Record) { r.Definition.URL = "\u202e" },
		"description: ":                func(r *Record) { r.Definition.Description = "a\x1b[0m" },
		"license: ":                    func(r *Record) { r.Definition.License = "\xff" },
		"definition: ":                 func(r *Record) { r.DefinitionSHA256 = hexOf("g") },
		"image: ":                      func(r *Record) { r.Image.SparseSHA256 = "" },
		"image size: 0":                func(r *Record) { r.Image.Size = 0 },
		"image data: -1":               func(r *Record) { r.Image.Data = -1 },
		"image data of":                func(r *Record) { r.Image.Data = r.Image.Size + 1 },
		`side file "template.conf" is`: func(r *Record) { r.Files = []File{r.Files[1], r.Files[0]} },
		"out of order or repeated":     func(r *Record) { r.Files = []File{r.Files[1], r.Files[1]} },
		"side file template.conf: ":    func(r *Record) { r.Files[0].SHA256 = "" },
		"reason for no log: ":          func(r *Record) { r.Log = nil },
		"a log and a reason for none":  func(r *Record) { r.NoLog = "x" },
		"open log size: 0":             func(r *Record) { r.Log.Open.Size = 0 },
		"log: ":                        func(r *Record) { r.Log.Compressed.SHA256 = "" },
		"container format: 0":          func(r *Record) { r.ContainerFormat = 0 },
		"codec version: ":              func(r *Record) { r.Codec.Version = "" },
		"are out of order":             func(r *Record) { r.Frames.Max = 1 },
		"frame block: 0":               func(r *Record) { r.Frames.Block = 0 },
		"frame hash: ":                 func(r *Record) { r.Frames.Hash = "" },
		"SOURCE_DATE_EPOCH: 0":         func(r *Record) { r.SourceDateEpoch = 0 },
		"tool version: ":               func(r *Record) { r.Tool = "" },
		"record has":                   func(r *Record) { r.Definition.Description = strings.Repeat("x", MaxRecord) },
	} {
		r := testRecord()
		edit(&r)
		if _, err := EncodeRecord(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	golden, err := EncodeRecord(testRecord())
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) []byte {
		if !bytes.Contains(golden, []byte(old)) {
			t.Fatalf("%q is not in the record", old)
		}
		return bytes.Replace(golden, []byte(old), []byte(new), 1)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, golden); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"empty":            nil,
		"null":             []byte("null\n"),
		"empty object":     []byte("{}\n"),
		"no LF":            golden[:len(golden)-1],
		"two LF":           append(bytes.Clone(golden), '\n'),
		"more":             append(bytes.Clone(golden), "{}\n"...),
		"compact":          compact.Bytes(),
		"unknown key":      edit(`"noLog"`, `"color": "red", "noLog"`),
		"duplicate key":    edit(`"noLog": ""`, `"noLog": "", "noLog": ""`),
		"other version":    edit(`"recordVersion": 1`, `"recordVersion": 2`),
		"other type":       edit(`Statement/v1`, `Statement/v2`),
		"other predicate":  edit(`provenance/v1`, `provenance/v2`),
		"other build type": edit(`pack:1`, `pack:2`),
		"other builder":    edit(`builder:1`, `builder:2`),
		"second subject":   edit(`"name": "content"`, `"name": "contents"`),
		"image name":       edit(`"name": "root.img"`, `"name": "root.image"`),
		"log name":         edit(`"name": "build.log"`, `"name": "build.txt"`),
		"file name":        edit(`"template.conf"`, `"template.com"`),
		"no data bytes":    edit(`"dataBytes"`, `"dataByte"`),
		"two digests":      edit(`"sparseSha256"`, `"sha256": "", "sparseSha256"`),
		"escape":           edit(`Debian 12`, `Debian \u0031\u0032`),
		"html escape":      edit(`<minimal>`, `\u003cminimal>`),
		"too large":        append(bytes.Clone(golden), make([]byte, MaxRecord)...),
		"deep":             []byte(strings.Repeat(`{"predicate":`, 20000)),
	} {
		if r, err := DecodeRecord(data); err == nil {
			t.Errorf("%s: accepted as %+v", name, r)
		}
	}
}

// TestDecodeRecordWithout leaves out every part of the record, one at a time, and
// puts null in its place: an error each time, and no panic.
func TestDecodeRecordWithout(t *testing.T) {
	golden, err := EncodeRecord(testRecord())
	if err != nil {
		t.Fatal(err)
	}
	var whole any
	if err := json.Unmarshal(golden, &whole); err != nil {
		t.Fatal(err)
	}
	tried := 0
	try := func() {
		tried++
		data, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := DecodeRecord(data); err == nil {
			t.Errorf("%s: accepted as %+v", data, r)
		}
	}
	var walk func(part any, replace func(any))
	walk = func(part any, replace func(any)) {
		replace(nil)
		try()
		replace(part)
		switch part := part.(type) {
		case map[string]any:
			for key, value := range part {
				delete(part, key)
				try()
				walk(value, func(v any) { part[key] = v })
			}
		case []any:
			for i, value := range part {
				replace(append(append([]any{}, part[:i]...), part[i+1:]...))
				try()
				replace(part)
				walk(value, func(v any) { part[i] = v })
			}
		}
	}
	walk(whole, func(v any) { whole = v })
	if tried < 100 {
		t.Errorf("only %d parts were tried", tried)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	r := testRecord()
	for range 2 {
		data, err := EncodeRecord(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		r.Log, r.NoLog, r.Files = nil, "none", nil
	}
	f.Add([]byte(`{"subject":[{},{}],"predicate":{"buildDefinition":{"resolvedDependencies":[{"annotations":{"dataBytes":1}},{},{"name":"files/"},{}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRecord(data)
		if err != nil {
			return
		}
		if again, err := EncodeRecord(r); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q became %q, %v", data, again, err)
		}
	})
}
