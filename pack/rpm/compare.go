package rpm

import (
	"cmp"
	"strings"
)

// CompareVersions orders two versions, or two releases, as rpm does: negative
// when a is older, 0 when they count as equal. Both are cut into runs of digits
// and runs of ASCII letters at everything else; digits compare as numbers and
// are newer than letters, and of two that start alike the longer is newer. "~"
// sorts before the end of a version, "^" right behind it. Source: rpm's
// rpmvercmp.
func CompareVersions(a, b string) int {
	for a != "" || b != "" {
		a, b = strings.TrimLeftFunc(a, isSeparator), strings.TrimLeftFunc(b, isSeparator)
		markA, markB := mark(a), mark(b)
		if markA == '~' || markB == '~' {
			if markA != markB {
				return when(markB == '~')
			}
			a, b = a[1:], b[1:]
			continue
		}
		if markA == '^' || markB == '^' {
			switch {
			case a == "" || b == "":
				return when(b == "")
			case markA != markB:
				return when(markB == '^')
			}
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			break
		}
		run, number := isLetter, isDigit(rune(a[0]))
		if number {
			run = isDigit
		}
		runA, restA := cutRun(a, run)
		runB, restB := cutRun(b, run)
		if runB == "" {
			return when(number)
		}
		if number {
			runA, runB = strings.TrimLeft(runA, "0"), strings.TrimLeft(runB, "0")
			if c := cmp.Compare(len(runA), len(runB)); c != 0 {
				return c
			}
		}
		if c := strings.Compare(runA, runB); c != 0 {
			return c
		}
		a, b = restA, restB
	}
	return cmp.Compare(len(a), len(b))
}

// Compare orders releases of one name by epoch, version and release, as rpm does.
func (n NEVRA) Compare(o NEVRA) int {
	return cmp.Or(cmp.Compare(n.Epoch, o.Epoch), CompareVersions(n.Version, o.Version), CompareVersions(n.Release, o.Release))
}

func when(newer bool) int {
	if newer {
		return 1
	}
	return -1
}

func mark(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

func cutRun(s string, in func(rune) bool) (run, rest string) {
	rest = strings.TrimLeftFunc(s, in)
	return s[:len(s)-len(rest)], rest
}

func isDigit(r rune) bool  { return '0' <= r && r <= '9' }
func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
func isSeparator(r rune) bool {
	return !isDigit(r) && !isLetter(r) && r != '~' && r != '^'
}
