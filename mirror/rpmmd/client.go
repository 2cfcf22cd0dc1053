package rpmmd

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// ClientConfig is the configuration of one repository for dnf and zypper.
//
// skip_if_unavailable=0 is part of it for safety: with the defaults of some
// systems a repository with a bad signature would count as empty, silently. Both
// signature checks are on; autorefresh makes zypper ask by itself. gpgkey lists one address a line, the later ones
// indented; both clients read that.
type ClientConfig struct {
	Repository string   // section, and first part of the path: [a-z0-9][a-z0-9.-]*
	Name       string   // for people; the repository's name when empty
	Site       string   // public address of the tree, without a slash at the end
	Serial     int      // the snapshot that the commented example names; 1 when 0
	Keys       []string // addresses of the public keys, at least one

	// MetadataExpire is after what time clients ask again, in whole seconds.
	// Asking an unchanged repository costs one request. Zero means 6 hours.
	MetadataExpire time.Duration
}

var repositoryRE = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)

func (c ClientConfig) check() error {
	if !repositoryRE.MatchString(c.Repository) {
		return fmt.Errorf("repository name %q is not of the form [a-z0-9][a-z0-9.-]*", c.Repository)
	}
	if strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("name %q holds control characters", c.Name)
	}
	if len(c.Keys) == 0 {
		return errors.New("no key is named")
	}
	for _, s := range append([]string{c.Site}, c.Keys...) {
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" || u.String() != s || strings.ContainsAny(s, " ,;$#") || strings.HasSuffix(s, "/") {
			return fmt.Errorf("address %q is not absolute, not in normal form, or holds a character special to clients", s)
		}
	}
	if c.Serial < 0 || c.Serial > 999999 {
		return fmt.Errorf("serial %d has more than six digits", c.Serial)
	}
	if c.MetadataExpire < 0 || c.MetadataExpire%time.Second != 0 {
		return fmt.Errorf("expiry %s is not a number of whole seconds", c.MetadataExpire)
	}
	return nil
}

// Marshal is the text of <repository>.repo.
func (c ClientConfig) Marshal() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encode client configuration: %w", err)
	}
	if c.Name == "" {
		c.Name = c.Repository
	}
	if c.MetadataExpire == 0 {
		c.MetadataExpire = 6 * time.Hour
	}
	base := c.Site + "/" + c.Repository
	return fmt.Appendf(nil, `# For dnf: /etc/yum.repos.d/%[1]s.repo, for zypper: /etc/zypp/repos.d/%[1]s.repo
[%[1]s]
name=%[2]s
metalink=%[3]s/metalink
# Without metalink, the current state (clients may refuse it for a moment while it changes):
#baseurl=%[3]s/latest/
# Without metalink, one state for ever:
#baseurl=%[3]s/%06[4]d/
enabled=1
gpgcheck=1
repo_gpgcheck=1
skip_if_unavailable=0
autorefresh=1
gpgkey=%[5]s
metadata_expire=%[6]d
`, c.Repository, c.Name, base, max(c.Serial, 1), strings.Join(c.Keys, "\n       "), c.MetadataExpire/time.Second), nil
}
