package publish

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"colophon/pack"
	"colophon/publish/store"
)

// Config is a colophon.yaml. Paths are absolute or relative to the file.
type Config struct {
	Site         Site         `yaml:"site"`
	Store        string       `yaml:"store"`   // address line, such as file:public
	History      string       `yaml:"history"` // folder
	Keys         KeyConfig    `yaml:"keys"`
	Repositories []Repository `yaml:"repositories"`
	Templates    []string     `yaml:"templates"` // paths of template.yaml files
	Verify       string       `yaml:"verify"`    // "public" or "store": where a publish reads back what it wrote

	path string
}

// Site is the public tree as its readers see it.
type Site struct {
	Name string `yaml:"name"`
	URL  string `yaml:"url"` // http or https, without a slash at the end
}

// KeyConfig says where the publisher's keys are.
type KeyConfig struct {
	Generate bool   `yaml:"generate"` // make missing keys on first use
	Folder   string `yaml:"folder"`
}

// Repository is a list of packages that clients point at.
type Repository struct {
	Name      string `yaml:"name"`
	MaxGrowth int    `yaml:"maxGrowth"` // percent that a package may be larger than the release before it; 0 sets no bound
	Rollback  bool   `yaml:"rollback"`  // allow releases that are older than the newest one
}

// Values of Config.Verify.
const (
	VerifyPublic = "public"
	VerifyStore  = "store"
)

var (
	repositoryName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
	reservedNames  = []string{"packages", "ledger", "keys"}
)

// LoadConfig reads and checks a colophon.yaml. Its mistakes are *pack.InputError.
func LoadConfig(path string) (*Config, error) {
	c := &Config{path: path}
	if _, err := pack.DecodeYAML(path, c); err != nil {
		return nil, err
	}
	c.Site.URL = strings.TrimRight(c.Site.URL, "/")
	if c.Verify == "" {
		c.Verify = VerifyPublic
		if a, err := store.ParseAddress(c.Store); err == nil && a.Scheme == "file" {
			c.Verify = VerifyStore
		}
	}
	return c, c.check()
}

func (c *Config) bad(reason, advice string) error {
	return &pack.InputError{File: c.path, Reason: reason, Advice: advice}
}

func (c *Config) check() error {
	for _, k := range [][2]string{
		{"site.name", c.Site.Name}, {"site.url", c.Site.URL}, {"store", c.Store},
		{"history", c.History}, {"keys.folder", c.Keys.Folder},
	} {
		if k[1] == "" {
			return c.bad(k[0]+" is missing", "see docs/configuration.md for the keys")
		}
	}
	if strings.ContainsFunc(c.Site.Name, func(r rune) bool { return r < 32 || r > 126 || strings.ContainsRune("()<>", r) }) {
		return c.bad(fmt.Sprintf("site.name %q is not plain ASCII without ()<>", c.Site.Name), "it goes into client configuration and key names")
	}
	u, err := url.Parse(c.Site.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return c.bad(fmt.Sprintf("site.url %q is not an address of a site", c.Site.URL), "write it like https://templates.example.org/pub")
	}
	if c.Verify != VerifyPublic && c.Verify != VerifyStore {
		return c.bad(fmt.Sprintf("verify %q is neither public nor store", c.Verify), "public reads back through site.url, store directly")
	}
	if len(c.Repositories) == 0 {
		return c.bad("repositories is missing", "name at least one: repositories: [{name: templates}]")
	}
	for i, r := range c.Repositories {
		if !repositoryName.MatchString(r.Name) || slices.Contains(reservedNames, r.Name) || len(r.Name) > 100 {
			return c.bad(fmt.Sprintf("repository name %q cannot be used", r.Name),
				"use "+repositoryName.String()+", and none of "+strings.Join(reservedNames, ", "))
		}
		if r.MaxGrowth < 0 {
			return c.bad(fmt.Sprintf("maxGrowth of %q is negative", r.Name), "write a percentage, such as 50, or 0 for no bound")
		}
		if has(c.Repositories[:i], r.Name) {
			return c.bad(fmt.Sprintf("repository %q stands twice", r.Name), "remove one of the two")
		}
	}
	return nil
}

func has(list []Repository, name string) bool {
	return slices.ContainsFunc(list, func(r Repository) bool { return r.Name == name })
}

// Resolve makes a path of the configuration usable from here.
func (c *Config) Resolve(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(c.path), p)
}

// origin names the ledger: the address of its folder without the scheme.
func (c *Config) origin() string {
	_, rest, _ := strings.Cut(c.Site.URL, "://")
	return rest + "/ledger"
}

// definitions loads all templates, or those of one name, and checks that their
// repositories exist.
func (c *Config) definitions(only string) ([]*pack.Definition, error) {
	if len(c.Templates) == 0 {
		return nil, c.bad("templates is missing", "name at least one template.yaml")
	}
	var list []*pack.Definition
	for _, path := range c.Templates {
		d, err := pack.LoadDefinition(c.Resolve(path))
		if err != nil {
			return nil, err
		}
		if !has(c.Repositories, d.Repository) {
			return nil, &pack.InputError{File: c.Resolve(path), Reason: fmt.Sprintf("repository %q is not in %s", d.Repository, c.path), Advice: "add it there, or name another one"}
		}
		for _, other := range list {
			if other.NEVRA() == d.NEVRA() {
				return nil, c.bad(fmt.Sprintf("two templates give the package %s", d.NEVRA()), "give one of them another name, version or release")
			}
		}
		if only == "" || d.Name == only {
			list = append(list, d)
		}
	}
	if len(list) == 0 {
		return nil, c.bad(fmt.Sprintf("no template is called %q", only), "see the name: of the files under templates:")
	}
	return list, nil
}

// listenAddress is where serve listens when nothing else is said: the host and
// port of site.url.
func (c *Config) listenAddress() (string, error) {
	u, err := url.Parse(c.Site.URL)
	if err != nil {
		return "", c.bad("site.url: "+err.Error(), "write it like http://127.0.0.1:8484")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}
