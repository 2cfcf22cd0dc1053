package pack

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"

	"colophon/pack/rpm"
)

// NFPM is an nfpm.yaml (nfpm.goreleaser.com/configuration): an ordinary package,
// such as a NAME-release package with a repository's .repo file and keys.
//
// It is read more strictly than nfpm itself does: paths are relative to the file,
// environment variables are not expanded, unknown keys are mistakes, and what the
// package has beside its contents comes from the file alone.
type NFPM struct {
	config nfpm.Config
	nevra  rpm.NEVRA
	path   string
	digest string
}

var _, _ Source = (*Definition)(nil), (*NFPM)(nil)

// LoadNFPM reads and checks an nfpm.yaml. Its mistakes are *InputError. Contents
// are not looked at yet.
func LoadNFPM(file string) (*NFPM, error) {
	n := &NFPM{path: file}
	data, err := DecodeYAML(file, &n.config)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	n.digest = hex.EncodeToString(sum[:])
	for _, k := range [][2]string{{"name", n.config.Name}, {"version", n.config.Version}, {"arch", n.config.Arch}} {
		if k[1] == "" {
			return nil, &InputError{file, 0, k[0] + " is missing", "add the key " + k[0]}
		}
	}
	info, err := n.info(time.Unix(0, 0))
	if err != nil {
		return nil, err
	}
	if n.nevra, err = nevraOf(info); err != nil {
		return nil, &InputError{file, 0, err.Error(), "correct name, version, release, arch or epoch"}
	}
	return n, nil
}

// NEVRA is the name of the package.
func (n *NFPM) NEVRA() rpm.NEVRA { return n.nevra }

// File is the path of the nfpm.yaml.
func (n *NFPM) File() string { return n.path }

// Digest is the SHA-256 of the nfpm.yaml, hex.
func (n *NFPM) Digest() string { return n.digest }

// Info is the configuration for rpm, with defaults and paths that are usable from
// here. A time at that is not zero replaces mtime.
func (n *NFPM) Info(at time.Time) (*nfpm.Info, error) {
	if at.IsZero() {
		at = n.config.MTime
	}
	if at.IsZero() {
		return nil, &InputError{n.path, 0, "mtime is missing", "add the build date, such as mtime: 2026-01-31T00:00:00Z, or set SOURCE_DATE_EPOCH"}
	}
	info, err := n.info(at)
	if err != nil {
		return nil, err
	}
	folder := filepath.Dir(n.path)
	if !info.DisableGlobbing && strings.ContainsAny(folder, `*?[]{}\`) {
		return nil, &InputError{n.path, 0, "lies in a folder whose name is a glob", "add disable_globbing: true, or rename the folder"}
	}
	resolve := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
	var contents files.Contents
	for _, c := range info.Contents {
		copied := *c
		if c.Type != files.TypeSymlink && c.Type != files.TypeRPMGhost {
			resolve(&copied.Source)
		}
		contents = append(contents, &copied)
	}
	info.Contents = contents
	for _, p := range []*string{
		&info.Scripts.PreInstall, &info.Scripts.PostInstall, &info.Scripts.PreRemove, &info.Scripts.PostRemove,
		&info.RPM.Scripts.PreTrans, &info.RPM.Scripts.PostTrans,
	} {
		resolve(p)
	}
	return info, nil
}

// info applies nfpm's overrides and defaults. With a time nfpm does not ask the
// environment for one.
func (n *NFPM) info(at time.Time) (*nfpm.Info, error) {
	info, err := n.config.Get("rpm")
	if err != nil {
		return nil, &InputError{n.path, 0, err.Error(), "correct the overrides"}
	}
	info.MTime = at
	return nfpm.WithDefaults(info), nil
}
