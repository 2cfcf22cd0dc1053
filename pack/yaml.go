package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// InputError is a mistake in what the user wrote or pointed to: a
// configuration, a definition, an image, a key. Nothing was done yet.
type InputError struct {
	File   string // as the user would name it
	Line   int    // 0 when the whole file is meant
	Reason string
	Advice string // what to do, one line
}

func (e *InputError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s: %s", e.File, e.Reason)
}

// Hint says what to do.
func (e *InputError) Hint() string { return e.Advice }

// maxYAML bounds a configuration file, in bytes.
const maxYAML = 1 << 20

// DecodeYAML reads the file strictly into the value that out points to: a key
// that out's type does not know is an error with its line number, as are
// repeated keys and further documents. It returns the file's bytes.
func DecodeYAML(path string, out any) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &InputError{path, 0, "cannot be read: " + reason(err), "check the path"}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxYAML+1))
	if err != nil {
		return nil, &InputError{path, 0, "cannot be read: " + reason(err), "check the path"}
	}
	if len(data) > maxYAML {
		return nil, &InputError{path, 0, fmt.Sprintf("is larger than %d bytes", maxYAML), "is this the right file?"}
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	switch err := d.Decode(out); {
	case errors.Is(err, io.EOF):
		return nil, &InputError{path, 0, "is empty", "see docs/configuration.md for the keys"}
	case err != nil:
		return nil, yamlError(path, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &InputError{path, 0, "holds more than one document", "remove everything from the second --- on"}
	}
	return data, nil
}

var (
	yamlLine    = regexp.MustCompile(`line (\d+): (.*)`)
	yamlUnknown = regexp.MustCompile(`^field (\S+) not found in type .*`)
)

// yamlError words the library's first complaint for people.
func yamlError(path string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var typed *yaml.TypeError
	if errors.As(err, &typed) && len(typed.Errors) > 0 {
		text = typed.Errors[0]
	}
	e := &InputError{File: path, Reason: text, Advice: "check the indentation and quoting of that line"}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Reason = m[2]
	}
	if m := yamlUnknown.FindStringSubmatch(e.Reason); m != nil {
		e.Reason = fmt.Sprintf("unknown key %q", m[1])
		e.Advice = "see docs/configuration.md for the keys"
	}
	return e
}

// reason drops the path from a file error, because messages name it already.
func reason(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
