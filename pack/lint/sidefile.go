package lint

import (
	"bytes"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// text is a small file that clients parse.
type text struct {
	size int64
	data []byte // nil when it is too large
}

// Bounds of what is kept of small files.
const (
	maxText  = 1 << 20
	maxTexts = 16
)

// Keys of template.conf that the client knows (qvm-template-postprocess), and
// values that it does not ignore.
var confKeys = map[string]*regexp.Regexp{
	"no-monitor-layout": isOne, "pci-e820-host": isOne, "linux-stubdom": isOne, "gui": isOne, "selinux": isOne,
	"gui-emulated": isOne, "qrexec": isOne,
	"net.fake-ip": isAddress, "net.fake-gateway": isAddress, "net.fake-netmask": isAddress,
	"virt-mode": regexp.MustCompile(`^(pvh|hvm)$`), "kernel": regexp.MustCompile(`^$`),
}

var (
	isOne     = regexp.MustCompile(`^1$`)
	isAddress = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3}){3}$`)
)

func scanSideFiles(s *Subject, f *findings) {
	if s.Payload == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.Payload.texts)) {
		t, base := s.Payload.texts[name], path.Base(name)
		if t.data == nil && t.size > 0 {
			f.fail("L13", "%s has %d bytes; at most %d are looked at, of at most %d files", short(base), t.size, maxText, maxTexts)
			continue
		}
		if bytes.ContainsFunc(t.data, func(r rune) bool { return r > unicode.MaxASCII }) {
			f.fail("L13", "%s is not ASCII", short(base))
		}
		if base == "template.conf" {
			checkConf(string(t.data), f)
		}
	}
}

// checkConf wants KEY=VALUE in every line: the client stops at any other.
func checkConf(conf string, f *findings) {
	number := 0
	for line := range strings.Lines(conf) {
		number++
		line = strings.TrimRight(line, "\r\n")
		key, value, ok := strings.Cut(line, "=")
		switch good, known := confKeys[key]; {
		case !ok:
			f.fail("L13", "template.conf, line %d: %s is not KEY=VALUE", number, short(line))
		case !known:
			f.warn("L13", "template.conf, line %d: clients do not know the key %s", number, short(key))
		case !good.MatchString(value):
			f.warn("L13", "template.conf, line %d: clients ignore the value %s of %s", number, short(value), key)
		}
	}
}
