package rpmmd_test

import (
	"bytes"
	"fmt"

	"colophon/mirror/rpmmd"
	"colophon/pack/rpm"
)

// From headers to metadata, and back from what a server gave.
func Example() {
	h := rpm.Header{}
	h.SetString(rpm.Name, "hello")
	h.SetString(rpm.Version, "1.0")
	h.SetString(rpm.Release, "1")
	h.SetString(rpm.Summary, "Says hello")
	h.SetString(rpm.Arch, "noarch")
	h.SetString(rpm.SourceRPM, "hello-1.0-1.src.rpm")
	headers := &rpm.Package{Header: &h, Signature: &rpm.Header{}} // of rpm.Read, in real life
	file := rpmmd.DigestOf([]byte("the whole file"))

	fragment, err := rpmmd.NewFragment(rpmmd.Input{Package: headers, SHA256: file.SHA256, Size: 4096})
	if err != nil {
		panic(err)
	}
	metadata, err := rpmmd.Build([]rpmmd.Fragment{fragment}, 1_700_000_000)
	if err != nil {
		panic(err)
	}
	for _, f := range metadata.Files {
		fmt.Println(f.OpenSHA256[:8], f.Name[64:], f.OpenSize)
	}

	repomd, err := rpmmd.ParseRepomd(metadata.Repomd)
	if err != nil {
		panic(err)
	}
	primary, err := rpmmd.OpenGzip(bytes.NewReader(metadata.Files[0].Data), repomd.Primary)
	if err != nil {
		panic(err)
	}
	packages, err := rpmmd.ParsePrimary(primary)
	if err != nil {
		panic(err)
	}
	for _, p := range rpmmd.Difference(nil, packages).Added {
		fmt.Println("added", p.NEVRA, p.Summary, rpmmd.Href(p.NEVRA))
	}
	// Output:
	// 83c7b205 -primary.xml.gz 890
	// 3ce34b7d -filelists.xml.gz 287
	// f261ed1a -other.xml.gz 283
	// added hello-1.0-1.noarch Says hello ../../packages/hello/hello-1.0-1.noarch.rpm
}
