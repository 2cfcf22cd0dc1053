package pack

import (
	"fmt"
	"regexp"

	"github.com/goreleaser/nfpm/v2"

	"colophon/pack/rpm"
)

// relation is what one package says about another.
type relation struct {
	name, version string
	flags         uint32
}

// relations are all relations of a kind, with the three tags that hold them.
type relations struct {
	names, flags, versions rpm.Tag
	list                   []relation
}

var (
	relationRE = regexp.MustCompile(`^([^\s<>=()|&,]+(?:\([^\s<>=|&,]*\))*)(?:\s*(<=|>=|<|>|=)\s*([A-Za-z0-9._+~^:-]+))?$`)
	senses     = map[string]uint32{
		"": 0, "<": rpm.SenseLess, ">": rpm.SenseGreater, "=": rpm.SenseEqual,
		"<=": rpm.SenseLess | rpm.SenseEqual, ">=": rpm.SenseGreater | rpm.SenseEqual,
	}
)

func relationsOf(info *nfpm.Info) ([]relations, error) {
	var all []relations
	for _, k := range []struct {
		name   string
		kind   relations
		values []string
	}{
		{"provides", relations{names: rpm.ProvideName, flags: rpm.ProvideFlags, versions: rpm.ProvideVersion}, info.Provides},
		{"depends", relations{names: rpm.RequireName, flags: rpm.RequireFlags, versions: rpm.RequireVersion}, info.Depends},
		{"conflicts", relations{names: rpm.ConflictName, flags: rpm.ConflictFlags, versions: rpm.ConflictVersion}, info.Conflicts},
		{"replaces", relations{names: rpm.ObsoleteName, flags: rpm.ObsoleteFlags, versions: rpm.ObsoleteVersion}, info.Replaces},
		{"recommends", relations{names: rpm.RecommendName, flags: rpm.RecommendFlags, versions: rpm.RecommendVersion}, info.Recommends},
		{"suggests", relations{names: rpm.SuggestName, flags: rpm.SuggestFlags, versions: rpm.SuggestVersion}, info.Suggests},
	} {
		for _, v := range k.values {
			m := relationRE.FindStringSubmatch(v)
			if m == nil {
				return nil, fmt.Errorf("%s %q is not a relation that this packager knows", k.name, v)
			}
			k.kind.list = append(k.kind.list, relation{m[1], m[3], senses[m[2]]})
		}
		all = append(all, k.kind)
	}
	return all, nil
}

// set writes the relations, each once.
func (r relations) set(h *rpm.Header) {
	var names, versions []string
	var flags []uint32
	seen := map[relation]bool{}
	for _, x := range r.list {
		if !seen[x] {
			seen[x] = true
			names, versions, flags = append(names, x.name), append(versions, x.version), append(flags, x.flags)
		}
	}
	h.SetStrings(r.names, names)
	h.SetStrings(r.versions, versions)
	h.SetInt32(r.flags, flags...)
}
