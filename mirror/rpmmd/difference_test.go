package rpmmd

import (
	"bytes"
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"colophon/pack/rpm"
)

// randomState makes a state of a few packages of a small world, so that states
// share packages.
func randomState(random *rand.Rand) []PackageInfo {
	var d Diff
	seen := map[string]bool{}
	for range random.Intn(12) {
		p := PackageInfo{
			NEVRA: rpm.NEVRA{
				Name:    fmt.Sprintf("p%d", random.Intn(4)),
				Version: fmt.Sprintf("%d", random.Intn(2)), Release: "1", Arch: "noarch",
			},
			SHA256:    DigestOf([]byte{byte(random.Intn(2))}).SHA256,
			Size:      int64(100 + random.Intn(2)),
			HeaderEnd: 50,
			Summary:   []string{"a", "b"}[random.Intn(2)],
		}
		if random.Intn(2) == 0 {
			p.Requires = []Dependency{{Name: "x", Flags: "EQ", Epoch: "0", Version: fmt.Sprint(random.Intn(2))}}
			p.Files = []FileEntry{{"/etc/x", []string{"", "dir"}[random.Intn(2)]}}
		}
		if !seen[p.NEVRA.String()] {
			seen[p.NEVRA.String()] = true
			d.Added = append(d.Added, p)
		}
	}
	return d.Apply(nil)
}

// TestDifferenceApplied is the law of a difference: applied to old it gives new.
func TestDifferenceApplied(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for range 2000 {
		old, new := randomState(random), randomState(random)
		d := Difference(old, new)
		if !bytes.Equal(encodePrimary(t, d.Apply(old)), encodePrimary(t, new)) {
			t.Fatalf("difference %+v of\n%+v and\n%+v leads elsewhere", d, old, new)
		}
		same := bytes.Equal(encodePrimary(t, old), encodePrimary(t, new))
		if d.Empty() != same {
			t.Fatalf("difference %+v, states equal: %t", d, same)
		}
		for _, list := range [][]PackageInfo{d.Added, d.Removed} {
			if !slices.IsSortedFunc(list, compareNEVRA) {
				t.Fatalf("the difference is not sorted: %+v", list)
			}
		}
		if !slices.IsSortedFunc(d.Changed, func(a, b Change) int { return compareNEVRA(a.Old, b.Old) }) {
			t.Fatalf("the changes are not sorted: %+v", d.Changed)
		}
		back := Difference(new, old)
		if len(back.Added) != len(d.Removed) || len(back.Removed) != len(d.Added) || len(back.Changed) != len(d.Changed) {
			t.Fatalf("the way back is not the mirror of the way there")
		}
	}
}

// TestFieldsAreComplete demands that no value of a package can change unseen.
func TestFieldsAreComplete(t *testing.T) {
	var check func(path string, p *PackageInfo, v reflect.Value)
	check = func(path string, p *PackageInfo, v reflect.Value) {
		before := *p
		switch v.Kind() {
		case reflect.String:
			v.SetString("changed")
		case reflect.Int64:
			v.SetInt(77)
		case reflect.Uint32:
			v.SetUint(77)
		case reflect.Struct:
			for i := range v.NumField() {
				check(path+"."+v.Type().Field(i).Name, p, v.Field(i))
			}
			return
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		default:
			t.Fatalf("%s is of a kind this test does not know", path)
		}
		if len(CompareFields(before, *p)) != 1 {
			t.Errorf("a change of %s shows as %+v", path, CompareFields(before, *p))
		}
	}
	p := &PackageInfo{}
	check("PackageInfo", p, reflect.ValueOf(p).Elem())
	for _, v := range []reflect.Value{reflect.ValueOf(&p.Requires[0]).Elem()} {
		for i := range v.NumField() {
			before := v.Interface().(Dependency).String()
			v.Field(i).SetString("changed")
			if v.Interface().(Dependency).String() == before && v.Type().Field(i).Name != "Epoch" {
				t.Errorf("a change of %s does not show", v.Type().Field(i).Name)
			}
		}
	}
}

func TestCompareFields(t *testing.T) {
	old := PackageInfo{
		NEVRA:    rpm.NEVRA{Name: "a", Version: "1", Release: "1", Arch: "noarch"},
		Requires: []Dependency{{Name: "x", Flags: "GE", Epoch: "1", Version: "2", Release: "3", Pre: "1"}, {Name: "a b"}},
		Files:    []FileEntry{{"/etc/a", ""}, {"/etc/d", "dir"}},
	}
	new := old
	new.NEVRA.Release, new.Requires, new.Files = "2", nil, nil
	want := []Field{
		{"release", "1", "2"},
		{"requires", "x >= 1:2-3 (pre)\n\"a b\"\n", ""},
		{"files", "\"/etc/a\"\ndir \"/etc/d\"\n", ""},
	}
	if got := CompareFields(old, new); !reflect.DeepEqual(got, want) {
		t.Errorf("fields %+v, want %+v", got, want)
	}
	if d := Difference([]PackageInfo{old}, []PackageInfo{new}); len(d.Added) != 1 || len(d.Removed) != 1 || len(d.Changed) != 0 {
		t.Errorf("another release is %+v", d)
	}
}
