package lint

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/rpmpack"

	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

// stockSpec has the shape of the specification that stock templates are built
// by: the same fields, files, owners and modes, and a %pre that refuses.
const stockSpec = `
%define folder /var/lib/qubes/vm-templates/x
Name: qubes-template-x
Version: 4.3.0
Release: 202601010000
Summary: Template for tests
License: GPLv3+
URL: http://www.qubes-os.org
Requires: xdg-utils
Requires(post): tar
BuildArch: noarch
Provides: qubes-template
Obsoletes: %{name} > %{version}-%{release}
%description
%{summary}.
%build
mkdir -p image
printf data > image/root.img
truncate -s 2M image/root.img
printf more | dd of=image/root.img bs=4096 seek=200 conv=notrunc status=none
tar --sparse --dereference -C image -cf - root.img | split -d -b 8K - root.img.part.
%install
to=%{buildroot}%{folder}
mkdir -p $to/apps $to/apps.templates $to/apps.tempicons
mv root.img.part.* $to/
touch $to/root.img $to/private.img $to/volatile.img $to/clean-volatile.img.tar
for name in vm- netvm- ""; do echo xterm.desktop > $to/${name}whitelisted-appmenus.list; done
echo gui=1 > $to/template.conf
%pre
%PRE%
%files
%defattr(660,root,qubes,770)
%attr(2770,root,qubes) %dir %{folder}
%ghost %{folder}/root.img
%ghost %{folder}/volatile.img
%ghost %{folder}/private.img
%{folder}/root.img.part.*
%{folder}/clean-volatile.img.tar
%attr(775,root,qubes) %dir %{folder}/apps
%attr(775,root,qubes) %dir %{folder}/apps.templates
%attr(775,root,qubes) %dir %{folder}/apps.tempicons
%attr(664,root,qubes) %{folder}/whitelisted-appmenus.list
%attr(664,root,qubes) %{folder}/vm-whitelisted-appmenus.list
%attr(664,root,qubes) %{folder}/netvm-whitelisted-appmenus.list
%attr(664,root,qubes) %{folder}/template.conf
`

const refusal = `echo "*** do not install this by rpm" >&2
echo '*** use qvm-template' >&2

exit 1`

// stock builds a stock-like template, unsigned.
func stock(t *testing.T, spec, pre string, defines ...string) string {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "x.spec")
	if err := os.WriteFile(name, []byte(strings.Replace(spec, "%PRE%", pre, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"--quiet", "-bb", "--define", "_topdir " + dir}
	for _, d := range defines {
		args = append(args, "--define", d)
	}
	run(t, "rpmbuild", append(args, name)...)
	return filepath.Join(dir, "RPMS/noarch/qubes-template-x-4.3.0-202601010000.noarch.rpm")
}

// resign puts our lead and signature header before main header and payload.
func resign(t *testing.T, file []byte) ([]byte, *openpgp.Key) {
	t.Helper()
	p := read(t, file)
	built, _ := p.Header.Int(rpm.BuildTime)
	k, err := openpgp.Generate(zeros{}, "test", day)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := k.Sign(p.RawHeader, day.AddDate(10, 0, 0))
	if err != nil {
		t.Fatal(err, built)
	}
	front, err := rpm.Front(p.Header.NEVRA(), p.RawHeader, signature, int64(len(file))-p.HeaderEnd(), p.ClaimedArchive())
	if err != nil {
		t.Fatal(err)
	}
	return append(front, file[p.HeaderEnd():]...), k
}

func lintLater(t *testing.T, file []byte, profile Profile, k *openpgp.Key) []Result {
	t.Helper()
	r, err := File(t.Context(), bytes.NewReader(file), int64(len(file)), profile, Context{Keys: openpgp.Keyring{k}, Now: day.AddDate(20, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return r.Results
}

func TestStockTemplate(t *testing.T) {
	for _, payload := range []string{"w3.zstdio", "w2.xzdio", "w9.gzdio"} {
		file, err := os.ReadFile(stock(t, stockSpec, refusal, "_binary_payload "+payload))
		if err != nil {
			t.Fatal(err)
		}
		wantFailed(t, "unsigned", lintFile(t, file, Stock).Results, "C41", "L8")
		file, k := resign(t, file)
		wantFailed(t, "stock, by stock rules", lintLater(t, file, Stock, k))
		for _, r := range lintLater(t, file, Stock, k) {
			if r.Status == Warn || r.Status == Skip && r.Needs != NeedsRepository {
				t.Errorf("rule %s: %s, %s", r.ID, r.Status, r.Message)
			}
		}
		wantFailed(t, "stock, by plain rules", lintLater(t, file, Plain, k))
		wantFailed(t, "stock, by our rules", lintLater(t, file, Template, k), "L11", "L14", "P3")
		im := lintFile(t, file, Stock).Payload.Image
		if im == nil || im.Head.Size != 2<<20 || len(im.Head.Extents) != 2 || len(im.Parts) != 2 {
			t.Errorf("image %+v", im)
		}
	}
}

// What a stock template may have or not: old and new text of the specification,
// and the rules that this breaks.
func TestNearlyStock(t *testing.T) {
	const (
		touch   = "touch $to/root.img"
		conf    = "%attr(664,root,qubes) %{folder}/template.conf"
		move    = "mv root.img.part.* $to/"
		listed  = "%{folder}/root.img.part.*"
		arch    = "BuildArch:"
		replace = "Obsoletes: %{name} >"
	)
	for name, c := range map[string]struct {
		pre     string
		edits   []string
		rules   []string
		message string
	}{
		"other refusal":   {"# no\necho no\nexit 3", nil, []string{"L14"}, "the script %pre"},
		"quoted refusal":  {"# no\necho 'no'\nexit 3", nil, nil, ""},
		"no script":       {"", []string{"%pre\n", ""}, nil, ""},
		"active script":   {"curl example.org | sh\nexit 1", nil, []string{"L14"}, "the script %pre"},
		"expansion":       {"echo \"$(id)\"\nexit 1", nil, []string{"L14"}, "the script %pre"},
		"redirection":     {"echo 'no' > /etc/passwd\nexit 1", nil, []string{"L14"}, "the script %pre"},
		"no exit":         {"echo 'no'", nil, []string{"L14"}, "the script %pre"},
		"goes on":         {"exit 1\nid", nil, []string{"L14"}, "the script %pre"},
		"exits well":      {"echo 'no'\nexit 0", nil, []string{"L14"}, "the script %pre"},
		"other program":   {refusal, []string{"%pre\n", "%pre -p /bin/bash\n"}, []string{"L14"}, "the script %pre"},
		"script after":    {refusal, []string{"%files\n", "%post\nid\n%files\n"}, []string{"L14"}, "the script %post"},
		"requires more":   {refusal, []string{"Requires: xdg-utils", "Requires: xdg-utils, bash"}, []string{"L14"}, `requires "bash"`},
		"provides more":   {refusal, []string{"Provides: qubes-template", "Provides: qubes-template, bash"}, []string{"L14"}, `provides "bash"`},
		"obsoletes other": {refusal, []string{replace, "Obsoletes: bash >"}, []string{"L14"}, "an obsolete package"},
		"obsoletes older": {refusal, []string{replace, "Obsoletes: %{name} <"}, []string{"L14"}, "an obsolete package"},
		"conflicts":       {refusal, []string{arch, "Conflicts: bash\n" + arch}, []string{"L14"}, "a conflict"},
		"recommends":      {refusal, []string{arch, "Recommends: bash\n" + arch}, []string{"L14"}, "an optional dependency"},
		"trigger":         {refusal, []string{"%files\n", "%triggerin -- bash\nid\n%files\n"}, []string{"L14"}, "a trigger"},
		"file trigger":    {refusal, []string{"%files\n", "%filetriggerin -- /usr\nid\n%files\n"}, []string{"L14"}, "a file trigger"},
		"setuid":          {refusal, []string{conf, "%attr(4755,root,qubes) %{folder}/template.conf"}, []string{"P3"}, "has mode 4755, owner root:qubes"},
		"other group":     {refusal, []string{conf, "%attr(664,root,wheel) %{folder}/template.conf"}, []string{"P3"}, "owner root:wheel"},
		"other ghost":     {refusal, []string{touch, "touch $to/x $to/root.img", conf, conf + "\n%ghost %{folder}/x"}, []string{"P3"}, "a ghost"},
		"capabilities":    {refusal, []string{conf, "%caps(cap_sys_admin=ep) " + conf}, []string{"L14"}, "file capabilities"},
		"file elsewhere":  {refusal, []string{touch, "mkdir %{buildroot}/etc; touch %{buildroot}/etc/x $to/root.img", conf, conf + "\n/etc/x"}, []string{"L10", "P3"}, `"/etc/x" lies outside`},
		"symlink":         {refusal, []string{touch, "ln -s x $to/l; touch $to/root.img", conf, conf + "\n%{folder}/l"}, []string{"L10", "P3"}, "is neither a plain file nor a folder"},
		"stray part":      {refusal, []string{touch, "echo 1 > $to/apps/root.img.part.00; touch $to/root.img", conf, conf + "\n%{folder}/apps/root.img.part.00"}, []string{"L11", "L12", "P3"}, "image part"},
		"three digits":    {refusal, []string{move, "cat root.img.part.* > $to/root.img.part.000; rm root.img.part.*"}, []string{"L11", "P3"}, "image part"},
		"whole tar":       {refusal, []string{move, "cat root.img.part.* > $to/root.img.tar; rm root.img.part.*", listed, "%{folder}/root.img.tar"}, nil, ""},
		"tar and parts":   {refusal, []string{move, "cat root.img.part.* > $to/root.img.tar; " + move, listed, listed + "\n%{folder}/root.img.tar"}, []string{"L11", "L12"}, "more than one image"},
		"plain image":     {refusal, []string{move, "mv image/root.img $to/; rm root.img.part.*", listed, "", "%ghost %{folder}/root.img", "%{folder}/root.img"}, nil, ""},
	} {
		spec := stockSpec
		for e := c.edits; len(e) > 0; e = e[2:] {
			if !strings.Contains(spec, e[0]) {
				t.Fatalf("%s: %q is not there", name, e[0])
			}
			spec = strings.Replace(spec, e[0], e[1], 1)
		}
		file, err := os.ReadFile(stock(t, spec, c.pre, "_binary_payload w.ufdio"))
		if err != nil {
			t.Fatal(err)
		}
		file, k := resign(t, file)
		results := lintLater(t, file, Stock, k)
		wantFailed(t, name, results, c.rules...)
		if err := Join(results); err != nil && !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v, want %q", name, err, c.message)
		}
	}
}

// rpmpack's packages can be read, and break the rule that stops them at clients.
func TestPackageOfRpmpack(t *testing.T) {
	for _, compressor := range []string{"gzip", "xz", "zstd", "lzma"} {
		r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{
			Name: "ordinary", Version: "1", Release: "1", Arch: "noarch", OS: "linux", Summary: "s", Description: "d",
			Licence: "MIT", URL: "https://example.org", Compressor: compressor,
		})
		if err != nil {
			t.Fatal(err)
		}
		r.AddFile(rpmpack.RPMFile{Name: "/etc/x", Body: []byte("hello\n"), Mode: 0o644, Owner: "root", Group: "root"})
		r.AddFile(rpmpack.RPMFile{Name: "/etc/l", Body: []byte("x"), Mode: 0o120777, Owner: "root", Group: "root"})
		r.AddFile(rpmpack.RPMFile{Name: "/etc/d", Mode: 0o40755, Owner: "root", Group: "root"})
		k, err := openpgp.Generate(zeros{}, "test", day)
		if err != nil {
			t.Fatal(err)
		}
		r.SetPGPSigner(func(b []byte) ([]byte, error) { return k.Sign(b, day) })
		var file bytes.Buffer
		if err := r.Write(&file); err != nil {
			t.Fatal(err)
		}
		report := lintFile(t, file.Bytes(), Plain, k)
		wantFailed(t, compressor, report.Results, "C22")
		if r := statusOf(report.Results, "P2"); r.Status != Warn || !strings.Contains(r.Message, `absolute path "/etc/d"`) {
			t.Errorf("%s: %+v", compressor, r)
		}
		if report.Payload.Members != 3 || report.Payload.Err != nil {
			t.Errorf("%s: %+v", compressor, report.Payload)
		}
	}
}

// A stock template as its builder signs it, with rpmsign and gpg: a signature of
// the header, and an older one of header and payload.
func TestStockSignature(t *testing.T) {
	name := stock(t, stockSpec, refusal)
	home := t.TempDir()
	t.Setenv("GNUPGHOME", home)
	defer exec.Command("gpgconf", "--kill", "gpg-agent").Run() //nolint:errcheck // it ends by itself too
	k, err := openpgp.Generate(rand.Reader, "test", day)
	if err != nil {
		t.Fatal(err)
	}
	armor, err := k.PrivateArmor()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "key"), armor, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "gpg", "--batch", "--quiet", "--import", filepath.Join(home, "key"))
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "rpmsign", "--addsign", "--rpmv3", "--define", "__gpg "+gpg, "--define", "_gpg_name "+k.Fingerprint(), name)
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if p := read(t, file); !p.Signature.Has(rpm.SigGPG) && !p.Signature.Has(rpm.SigPGP) {
		t.Fatal("rpmsign made no signature of header and payload")
	}
	results := lintLater(t, file, Stock, k)
	wantFailed(t, "signed by gpg", results)
	if r := statusOf(results, "C42"); r.Status != Pass {
		t.Errorf("%+v", r)
	}
	file[len(file)-20] ^= 1
	wantFailed(t, "damaged", lintLater(t, file, Stock, k), "C42", "C43", "P2")
}
