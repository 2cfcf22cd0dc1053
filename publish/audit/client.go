package audit

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"colophon/mirror/rpmmd"
)

// parseClient reads a <repository>.repo and accepts exactly what
// rpmmd.ClientConfig writes: this file decides whether clients check signatures
// at all, and by which keys.
func parseClient(repository string, data []byte) (rpmmd.ClientConfig, error) {
	c := rpmmd.ClientConfig{Repository: repository}
	keys := false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, "=")
		if keys = keys && strings.HasPrefix(line, " "); keys {
			c.Keys = append(c.Keys, strings.TrimLeft(line, " "))
			continue
		}
		switch name {
		case "name":
			c.Name = value
		case "metalink":
			c.Site = strings.TrimSuffix(value, "/"+headKey(repository))
		case "#baseurl":
			// The second one is the example of a snapshot.
			folder := strings.TrimSuffix(value, "/")
			c.Serial, _ = strconv.Atoi(folder[strings.LastIndex(folder, "/")+1:])
		case "gpgkey":
			c.Keys, keys = []string{value}, true
		case "metadata_expire":
			seconds, _ := strconv.ParseInt(value, 10, 32)
			c.MetadataExpire = time.Duration(seconds) * time.Second
		}
	}
	again, err := c.Marshal()
	if err != nil {
		return c, err
	}
	if string(again) != string(data) {
		return c, errors.New("is not in the form that this program writes")
	}
	return c, nil
}
