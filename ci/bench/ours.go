package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"colophon/pack"
	"colophon/pack/openpgp"
)

// ours prepares a run of the packer in a process of its own. Frames are looked
// up in and added to a folder; "" knows none.
func (b *benchmark) ours(image, compression, frames string) *exec.Cmd {
	return exec.Command(os.Args[0], "pack", b.dir, image, compression, frames)
}

const definition = `name: bench
version: "1"
release: "1"
date: 2026-01-01
summary: Bench
description: Bench
license: MIT
url: https://example.org/
image: %q
compression: {%s}
log: {none: bench}
repository: bench
`

// packOne is that process.
func packOne(args []string) error {
	dir, image, compression, frames := args[0], args[1], args[2], args[3]
	file := filepath.Join(dir, "template.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, definition, image, compression), 0o600); err != nil {
		return err
	}
	d, err := pack.LoadDefinition(file)
	if err != nil {
		return err
	}
	key, err := openpgp.Generate(rand.Reader, "bench", time.Unix(1577836800, 0))
	if err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(dir, "bench.rpm"))
	if err != nil {
		return err
	}
	defer out.Close()
	o := pack.Options{Sign: func(_ context.Context, header []byte, at time.Time) ([]byte, error) { return key.Sign(header, at) }}
	if frames != "" {
		o.Frames = folder(frames)
	}
	made, err := pack.Pack(context.Background(), d, out, o)
	if err != nil {
		return err
	}
	if frames != "" {
		if err := folder(frames).keep(out, made); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(run{Size: made.Digests.Size, Frames: made.Frames, Reused: made.Reused})
}

// folder is a store of frames, one file each: what a history will do better.
type folder string

func (f folder) path(digest [32]byte, codec string) string {
	return filepath.Join(string(f), hex.EncodeToString(digest[:])+strings.NewReplacer("/", "_", ":", "_").Replace(codec))
}

// Lookup implements pack.Frames.
func (f folder) Lookup(digest [32]byte, codec string) ([]byte, bool, error) {
	data, err := os.ReadFile(f.path(digest, codec))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return data, err == nil, err
}

func (f folder) keep(file *os.File, made *pack.Result) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	for _, s := range made.Segments {
		if !s.Frame || s.Reused {
			continue
		}
		data := make([]byte, s.Size)
		if _, err := file.ReadAt(data, made.Package.HeaderEnd()+s.Offset); err != nil {
			return err
		}
		if err := os.WriteFile(f.path(s.Digest, made.Codec.ID()), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
