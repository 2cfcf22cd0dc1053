package rpm

import (
	"fmt"
	"math/rand"
	"os/exec"
	"strings"
	"testing"
)

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"1.0", "1.0", 0}, {"1.0", "2.0", -1}, {"2.0.1", "2.0", 1}, {"5.5p1", "5.5p10", -1},
		{"10xyz", "10.1xyz", -1}, {"xyz10", "xyz10.1", -1}, {"1.0", "1_0", 0}, {"1.010", "1.10", 0},
		{"a", "1", -1}, {"1.0~rc1", "1.0", -1}, {"1.0~rc1", "1.0~rc2", -1}, {"1.0^", "1.0", 1},
		{"1.0^git1", "1.01", -1}, {"1.0~rc1^git1", "1.0~rc1", 1}, {"1.0^git1~pre", "1.0^git1", -1},
		{"", "1", -1}, {"é1", "1", 0}, {"20101121", "20101122", -1}, {"999999999999999999999", "1", 1},
	} {
		if got := CompareVersions(c.a, c.b); got != c.want {
			t.Errorf("%q against %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := CompareVersions(c.b, c.a); got != -c.want {
			t.Errorf("%q against %q: %d, want %d", c.b, c.a, got, -c.want)
		}
	}
}

// TestCompareVersionsPeer asks rpm itself about random versions.
func TestCompareVersionsPeer(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	version := func() string {
		const letters = "0011299abZ.._+~~^^" // no "-" and ":", which rpm.vercmp takes for an EVR's
		var b strings.Builder
		for range random.Intn(8) {
			b.WriteByte(letters[random.Intn(len(letters))])
		}
		return b.String()
	}
	var script strings.Builder
	var want []string
	for range 3000 {
		a, b := version(), version()
		if a == "" || b == "" { // rpm's Lua refuses the empty string
			continue
		}
		fmt.Fprintf(&script, "print(rpm.vercmp(%q, %q) .. \" \")\n", a, b)
		want = append(want, fmt.Sprintf("%s %s %d", a, b, CompareVersions(a, b)))
	}
	out, err := exec.Command("rpm", "--eval", "%{lua:"+script.String()+"}").CombinedOutput()
	if err != nil {
		t.Fatalf("rpm is a peer of this test; ci/setup installs it: %v\n%.2000s", err, out)
	}
	got := strings.Fields(string(out))
	if len(got) != len(want) {
		t.Fatalf("rpm printed %d results for %d pairs: %.500s", len(got), len(want), out)
	}
	for i, line := range want {
		if !strings.HasSuffix(line, " "+got[i]) {
			t.Errorf("we say %s, rpm says %s", line, got[i])
		}
	}
}
