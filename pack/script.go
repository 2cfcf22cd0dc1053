package pack

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goreleaser/nfpm/v2"

	"colophon/pack/rpm"
)

// shell runs the scripts of ordinary packages.
const shell = "/bin/sh"

// script is one script of an ordinary package.
type script struct {
	body, prog rpm.Tag
	sense      uint32 // of the requirement for the shell
	text       string
}

// Tags and dependency flags of scripts (rpmtag.h, rpmds.h).
var scriptKinds = []struct {
	name string
	of   func(*nfpm.Info) string
	script
}{
	{"preinstall", func(i *nfpm.Info) string { return i.Scripts.PreInstall }, script{rpm.PreIn, rpm.PreInProg, 1 << 9, ""}},
	{"postinstall", func(i *nfpm.Info) string { return i.Scripts.PostInstall }, script{rpm.PostIn, 1086, 1 << 10, ""}},
	{"preremove", func(i *nfpm.Info) string { return i.Scripts.PreRemove }, script{rpm.PreUn, 1087, 1 << 11, ""}},
	{"postremove", func(i *nfpm.Info) string { return i.Scripts.PostRemove }, script{rpm.PostUn, 1088, 1 << 12, ""}},
	{"rpm.scripts.pretrans", func(i *nfpm.Info) string { return i.RPM.Scripts.PreTrans }, script{rpm.PreTrans, 1153, 1 << 7, ""}},
	{"rpm.scripts.posttrans", func(i *nfpm.Info) string { return i.RPM.Scripts.PostTrans }, script{rpm.PostTrans, 1154, 1 << 5, ""}},
}

const senseInterpreter = 1 << 8

func readScripts(info *nfpm.Info) ([]script, error) {
	var list []script
	for _, k := range scriptKinds {
		path := k.of(info)
		if path == "" {
			continue
		}
		data, err := readRegular(path, maxSideFile)
		if err == nil {
			err = checkScript(string(data))
		}
		if err != nil {
			return nil, fmt.Errorf("script %s %q cannot be used: %s", k.name, path, reason(err))
		}
		s := k.script
		s.text = string(data)
		list = append(list, s)
	}
	return list, nil
}

// checkScript refuses what the shell would not run as its author meant: rpm runs
// a script by the program the header names, whatever its first line says.
func checkScript(s string) error {
	first, _, _ := strings.Cut(s, "\n")
	program, said := strings.CutPrefix(first, "#!")
	switch program = strings.TrimSpace(program); {
	case s == "":
		return errors.New("it is empty")
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return errors.New("it is not UTF-8 text")
	case said && program != shell && program != "/usr"+shell:
		return fmt.Errorf("it is written for %s, not %s", program, shell)
	}
	return nil
}

func (s script) set(h *rpm.Header) {
	h.SetString(s.body, s.text)
	h.SetString(s.prog, shell)
}
