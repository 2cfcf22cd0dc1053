package lint

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

// namePrefix starts the names that the client lists at all.
const namePrefix = "qubes-template-"

// Patterns of qvm-template and qvm-template-repo-query.
var (
	templateName = regexp.MustCompile(`^[A-Za-z0-9._+][A-Za-z0-9._+-]*$`)
	versionPart  = regexp.MustCompile(`^[A-Za-z0-9._+~]+$`)
	licenseToken = regexp.MustCompile(`^[A-Za-z0-9._+()][A-Za-z0-9._+()-]*$`)
	vmName       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,30}$`)
)

func scanNames(s *Subject, f *findings) {
	full := s.Header.String(rpm.Name)
	name, ok := strings.CutPrefix(full, namePrefix)
	if !ok || !templateName.MatchString(name) {
		f.fail("L1", "name %s is not %s and one that fits %s", short(full), namePrefix, templateName)
	} else if !vmName.MatchString(name) {
		f.warn("L19", "a VM cannot be called %s: up to 31 letters, digits, - and _, a letter first", short(name))
	}
	for _, v := range []string{s.Header.String(rpm.Version), s.Header.String(rpm.Release)} {
		if !versionPart.MatchString(v) {
			f.fail("L2", "%s does not fit %s", short(v), versionPart)
		}
	}
	if l := s.Header.String(rpm.License); !licenseToken.MatchString(l) {
		f.fail("L3", "license %s does not fit %s", short(l), licenseToken)
	}
}

// short quotes a value that may be of any length.
func short(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("%q...", s[:60])
	}
	return fmt.Sprintf("%q", s)
}

func scanTexts(s *Subject, f *findings) {
	for _, x := range []struct {
		tag   rpm.Tag
		name  string
		lines bool
	}{{rpm.Summary, "summary", false}, {rpm.Description, "description", true}, {rpm.URL, "URL", false}} {
		text := s.Header.String(x.tag)
		if text == "" {
			f.fail("L4", "%s is missing", x.name)
		}
		if strings.HasPrefix(text, "\n") {
			f.fail("L4", "%s starts with an empty line", x.name)
		}
		for _, r := range text {
			if r == '|' || r > 126 || r < 32 && (r != '\n' || !x.lines) {
				f.fail("L4", "%s holds %q", x.name, r)
			}
		}
	}
}

func scanTimes(s *Subject, f *findings) {
	built := s.Header.Ints(rpm.BuildTime)
	if len(built) != 1 || built[0] > 1<<31-1 {
		f.fail("L5", "build time is missing or out of range")
		return
	}
	if s.Package == nil {
		return
	}
	at := time.Unix(int64(built[0]), 0).UTC()
	c, err := openpgp.ReadClaim(s.Package.HeaderSignature())
	if err == nil && !c.Created.IsZero() && at.After(c.Created) {
		f.fail("L5", "built on %s, but signed on %s", at.Format(time.RFC3339), c.Created.Format(time.RFC3339))
	}
}

// Bounds of a listing: a client reads 1 MiB of it and no more.
const (
	maxListing = 1 << 20
	maxRecord  = 16 << 10 // of one package, so that at least 60 fit
)

// RecordSize is the number of bytes that a package takes of its repository's
// listing: eleven fields, a bar behind each, and a newline. size is that of the
// file.
func RecordSize(h *rpm.Header, repository string, size int64) int64 {
	n := h.NEVRA()
	const buildTime = len("2006-01-02 15:04")
	total := len(repository) + buildTime + 11 + 1
	for _, field := range []string{
		n.Name, fmt.Sprint(n.Epoch), n.Version, n.Release, fmt.Sprint(size),
		h.String(rpm.License), h.String(rpm.URL), h.String(rpm.Summary), h.String(rpm.Description),
	} {
		total += len(field)
	}
	return int64(total)
}

func scanListing(s *Subject, f *findings) {
	if n := RecordSize(s.Header, "", 0); n > maxRecord {
		f.fail("L6", "texts take %d bytes of the repository's listing; at most %d are allowed", n, maxRecord)
	}
	if s.Context.Repository == nil {
		return
	}
	switch n := s.Context.Repository.Listing; {
	case n > maxListing*9/10:
		f.fail("L6", "repository's listing would have %d bytes; clients read %d", n, maxListing)
	case n > maxListing/2:
		f.warn("L6", "repository's listing would have %d bytes; clients read %d", n, maxListing)
	}
}

// scanReleases compares with what is listed.
func scanReleases(s *Subject, f *findings) {
	r := s.Context.Repository
	if r == nil || r.Newest == nil {
		return
	}
	n, before := s.Header.NEVRA(), *r.Newest
	if c := n.Compare(before.NEVRA); n != before.NEVRA && (c < 0 && !r.Rollback || c == 0) {
		f.fail("L18", "%s is not newer than %s, which is listed", n.EVR(), before.NEVRA.EVR())
	}
	size := s.Digests.Size
	switch {
	case r.MaxGrowth <= 0 || before.Size <= 0:
	case size == 0:
		f.skip("L17", "size of the file is not known")
	case grown(before.Size, size) > int64(r.MaxGrowth):
		f.fail("L17", "file has %d bytes, %d %% more than %s; at most %d %% are allowed", size, grown(before.Size, size), before.NEVRA.EVR(), r.MaxGrowth)
	case grown(size, before.Size) > int64(r.MaxGrowth):
		f.warn("L17", "file has %d bytes, %s had %d: was the build complete?", size, before.NEVRA.EVR(), before.Size)
	}
}

// grown is how much more b is than a, in percent, rounded up.
func grown(a, b int64) int64 {
	if b <= a {
		return 0
	}
	percent := float64(b-a) * 100 / float64(a)
	return int64(min(percent+0.999999, 1e9))
}
