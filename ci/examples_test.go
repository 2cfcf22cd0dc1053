package ci

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// The committed sample is what its script makes.
func TestSampleIsReproducible(t *testing.T) {
	sample, dir := filepath.Join(top(t), "examples", "sample"), t.TempDir()
	must(t, filepath.Join(sample, "build"), dir)
	pipe(t, `cmp <(zstd -dc "$1/root.img.zst") <(zstd -dc "$2/root.img.zst")`, sample, dir)
	pipe(t, `cmp "$1/build.log" "$2/build.log"`, sample, dir)
}

// debianReleases builds the first n releases of the Debian example, side by side, and returns their folders. The
// packages come from the public mirror once; DEBIAN_CACHE names a folder that keeps them for the next run.
func debianReleases(t *testing.T, n int) []string {
	t.Helper()
	start := time.Now()
	script := filepath.Join(top(t), "examples", "debian-12-minimal", "build")
	dirs, errs := make([]string, n), make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		dirs[i] = filepath.Join(scratch, "debian", fmt.Sprintf("release-%d", i+1))
		group.Go(func() {
			cmd := exec.Command(script, fmt.Sprint(i+1), dirs[i])
			if cmd.Env = os.Environ(); os.Getenv("DEBIAN_CACHE") == "" {
				cmd.Env = append(cmd.Env, "DEBIAN_CACHE="+filepath.Join(scratch, "debian-cache"))
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				errs[i] = fmt.Errorf("build %d: %w\n%s", i+1, err, out)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("built %d Debian images in %s", n, time.Since(start).Round(time.Second))
	return dirs
}
