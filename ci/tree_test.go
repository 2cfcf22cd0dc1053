package ci

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// treeDigests returns the digest of every file below dir by its path.
func treeDigests(t *testing.T, dir string) map[string]string {
	t.Helper()
	digests := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		digest := sha256.New()
		if _, err := io.Copy(digest, file); err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		digests[relative] = fmt.Sprintf("%x", digest.Sum(nil))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(digests) == 0 {
		t.Fatalf("%s is empty", dir)
	}
	return digests
}

// checkSame wants two states of a tree to be equal, file by file.
func checkSame(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if before[name] != after[name] {
			t.Errorf("%s: %s was %q, is %q", what, name, before[name], after[name])
		}
	}
}

// checkKept wants the files that may never change to be as they were.
func checkKept(t *testing.T, before, after map[string]string) {
	t.Helper()
	kept := 0
	for name, digest := range before {
		if strings.HasPrefix(name, "packages/") || strings.HasPrefix(name, "templates/000001/") ||
			strings.HasPrefix(name, "keys/") || name == "ledger/key.vkey" {
			kept++
			if after[name] != digest {
				t.Errorf("%s may never change: was %q, is %q", name, digest, after[name])
			}
		}
	}
	if kept < 8 { // package, log, record, repomd.xml, its signature, three lists
		t.Errorf("only %d files in the first release's tree may never change", kept)
	}
}

// flip changes one bit in the middle of a file; done twice the file is as before.
func flip(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil || len(data) == 0 {
		t.Fatalf("%s: %d bytes, %v", name, len(data), err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
