package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"colophon/pack"
	"colophon/pack/lint"
	"colophon/pack/openpgp"
	"colophon/pack/rpm"
)

// InspectOptions say which file to look at, and by which rules.
type InspectOptions struct {
	File    string
	KeyFile string    // OpenPGP key that should have signed it; "" verifies no signature
	Profile string    // template (default), stock or plain
	Now     time.Time // signatures of a later time are refused
}

// Inspection is all that can be said about a package file.
type Inspection struct {
	File      string        `json:"file"`
	NEVRA     string        `json:"nevra"`
	Fields    Fields        `json:"fields"`
	Digests   FileDigests   `json:"digests"`
	Verified  Verified      `json:"verified"`
	Signature *SignedBy     `json:"signature"` // null when there is none, or it cannot be read
	Payload   PayloadInfo   `json:"payload"`
	Image     *ImageInfo    `json:"image"` // null when there is none
	Files     []FileInfo    `json:"files"`
	Profile   string        `json:"profile"`
	Rules     []lint.Result `json:"rules"`
}

// Fields are header values that people look for.
type Fields struct {
	Summary   string    `json:"summary"`
	License   string    `json:"license"`
	URL       string    `json:"url"`
	BuildTime time.Time `json:"build_time,omitzero"`
	BuildHost string    `json:"build_host"`
	SourceRPM string    `json:"source_rpm"`
	Cookie    string    `json:"cookie"` // of our packages: container format, codec, cut format, frame size
}

// FileDigests are SHA-256, in hex, of what is there.
type FileDigests struct {
	File      string `json:"sha256"`
	ContentID string `json:"content_id"`
	Header    string `json:"header"`
	Payload   string `json:"payload"`
	Size      int64  `json:"size"`
}

// Verified says what matches: the header its digest in the signature header, the
// payload and the files in it their digests in the header, and the header's
// signature the key that was given.
type Verified struct {
	Header    bool `json:"header"`
	Payload   bool `json:"payload"`
	Files     bool `json:"files"`
	Signature bool `json:"signature"`
}

// SignedBy is what the header's signature says of itself.
type SignedBy struct {
	Algorithm string    `json:"algorithm"`
	Hash      string    `json:"hash"`
	Created   time.Time `json:"created"`
	KeyID     string    `json:"key_id"`
	Signer    string    `json:"signer"` // fingerprint of the key that verifies it; "" when none did
	Problem   string    `json:"problem,omitempty"`
}

// PayloadInfo is about the payload. Sizes are in bytes.
type PayloadInfo struct {
	Compressor   string `json:"compressor"`
	Level        string `json:"level"`
	Size         int64  `json:"size"`
	Uncompressed int64  `json:"uncompressed"`
	Members      int    `json:"members"`
	Frames       Frames `json:"frames"`
}

// Frames are the independent frames of a zstd payload. Where a frame's content
// is not known, it is neither of the image nor of the container.
type Frames struct {
	Count        int   `json:"count"`
	Image        int   `json:"image"`     // hold image data and nothing else
	Container    int   `json:"container"` // hold none
	ImageAverage int64 `json:"image_average"`
}

// ImageInfo is about the root image.
type ImageInfo struct {
	Name      string `json:"name"`  // in its tar
	Size      int64  `json:"size"`  // when it is unpacked
	Data      int64  `json:"data"`  // bytes outside of holes
	Holes     int    `json:"holes"` // number of them
	HoleBytes int64  `json:"hole_bytes"`
	Parts     int    `json:"parts"`
}

// FileInfo is a file that the header lists.
type FileInfo struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Mode   string `json:"mode"` // as ls shows it
	Owner  string `json:"owner"`
	Digest string `json:"digest"`
	Link   string `json:"link,omitempty"`
	Ghost  bool   `json:"ghost,omitempty"` // not in the payload
}

// NoPackageError means that a file is no package that anything can be said about.
type NoPackageError struct {
	File string
	Err  error
}

func (e *NoPackageError) Error() string { return e.File + ": " + e.Err.Error() }

// Unwrap returns what is wrong with its bytes.
func (e *NoPackageError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *NoPackageError) Hint() string {
	if strings.Contains(e.Err.Error(), "cut off") {
		return "the file is not whole: copy or download it again"
	}
	return "name an .rpm file; if it was one, copy or download it again"
}

// Inspect reads a package file once and says everything about it. Broken rules
// stand in the result; an error means that there is nothing to say.
func Inspect(ctx context.Context, o InspectOptions) (*Inspection, error) {
	profile := lint.Template
	if o.Profile != "" {
		var err error
		if profile, err = lint.ParseProfile(o.Profile); err != nil {
			return nil, &pack.InputError{File: "-profile", Reason: err.Error(), Advice: "use -profile=template, stock or plain"}
		}
	}
	c := lint.Context{Now: o.Now}
	if o.KeyFile != "" {
		key, err := readPublicKey(o.KeyFile)
		if err != nil {
			return nil, &pack.InputError{File: o.KeyFile, Reason: "cannot be used as a key: " + err.Error(), Advice: "name a file with one OpenPGP key, such as keys/*.asc of a public tree"}
		}
		c.Keys = openpgp.Keyring{key}
	}
	f, err := os.Open(o.File)
	if err != nil {
		return nil, &pack.InputError{File: o.File, Reason: "cannot be read: " + cause(err), Advice: "check the path"}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("inspect %q: %w", o.File, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &pack.InputError{File: o.File, Reason: "is not a file", Advice: "name an .rpm file"}
	}
	report, err := lint.File(ctx, f, info.Size(), profile, c)
	var format *rpm.FormatError
	if errors.As(err, &format) {
		return nil, &NoPackageError{o.File, err}
	}
	if err != nil {
		return nil, fmt.Errorf("inspect %q: %w", o.File, err)
	}
	return newInspection(o.File, profile, c, report), nil
}

func readPublicKey(path string) (*openpgp.Key, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.New(cause(err))
	}
	return openpgp.Read(data)
}

// cause drops the path from a file error, because messages name it already.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func newInspection(file string, profile lint.Profile, c lint.Context, r *lint.Report) *Inspection {
	h, p, d := r.Package.Header, r.Payload, r.Digests
	x := &Inspection{
		File: file, NEVRA: h.NEVRA().String(), Profile: profile.String(), Rules: r.Results,
		Fields: Fields{
			Summary: h.String(rpm.Summary), License: h.String(rpm.License), URL: h.String(rpm.URL),
			BuildHost: h.String(rpm.BuildHost),
			SourceRPM: h.String(rpm.SourceRPM), Cookie: h.String(rpm.Cookie),
		},
		Digests: FileDigests{d.File, d.Content, d.Header, d.Payload, d.Size},
		Verified: Verified{
			Header:  r.Package.Signature.String(rpm.SigSHA256Header) == d.Header,
			Payload: h.String(rpm.PayloadDigest) == d.Payload,
			Files:   p.Err == nil,
		},
		Payload: PayloadInfo{
			Compressor: h.String(rpm.PayloadCompressor), Level: h.String(rpm.PayloadFlags),
			Size: d.Size - r.Package.HeaderEnd(), Uncompressed: p.Bytes, Members: p.Members, Frames: countFrames(p),
		},
	}
	if built, ok := h.Int(rpm.BuildTime); ok {
		x.Fields.BuildTime = time.Unix(int64(built), 0).UTC()
	}
	x.Signature = x.signedBy(r.Package, c)
	if im := p.Image; im != nil && im.Head.Size > 0 {
		holes, bytes := im.Head.Holes()
		x.Image = &ImageInfo{im.Head.Name, im.Head.Size, im.Head.Stored, holes, bytes, len(im.Parts)}
	}
	files, _ := h.Files() // where it fails, rule P2 says so
	for _, f := range files {
		x.Files = append(x.Files, FileInfo{f.Name, f.Size, modeText(f.Mode), f.User + ":" + f.Group, f.Digest, f.Link, f.Ghost()})
	}
	return x
}

// signedBy reads the header's signature and verifies it when there is a key.
func (x *Inspection) signedBy(p *rpm.Package, c lint.Context) *SignedBy {
	claim, err := openpgp.ReadClaim(p.HeaderSignature())
	if err != nil {
		return nil
	}
	s := &SignedBy{
		Algorithm: named(claim.Algorithm, map[int]string{1: "RSA", 3: "RSA", 17: "DSA", 19: "ECDSA", 22: "EdDSA", 27: "Ed25519"}),
		Hash:      named(claim.Hash, map[int]string{1: "MD5", 2: "SHA-1", 8: "SHA-256", 9: "SHA-384", 10: "SHA-512"}),
		Created:   claim.Created, KeyID: claim.KeyID,
	}
	if c.Keys == nil {
		return s
	}
	verified, err := p.VerifySignature(c.Keys, c.Now)
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	s.Signer, x.Verified.Signature = verified.Fingerprint, true
	return s
}

func named(n int, names map[int]string) string {
	if s, ok := names[n]; ok {
		return s
	}
	return fmt.Sprintf("algorithm %d", n)
}

// countFrames tells frames of image data from those of the container around it.
func countFrames(p *lint.Payload) Frames {
	n := Frames{Count: len(p.Frames)}
	if p.Image == nil {
		return n
	}
	data := p.Image.Data()
	at, total := int64(0), int64(0)
	for _, f := range p.Frames {
		if f.Content < 0 {
			break // from here on nobody knows where a frame's content belongs
		}
		for len(data) > 0 && data[0].Offset+data[0].Size <= at {
			data = data[1:]
		}
		end := at + f.Content
		switch {
		case len(data) == 0 || end <= data[0].Offset:
			n.Container++
		case at >= data[0].Offset && end <= data[0].Offset+data[0].Size:
			n.Image++
			total += f.Content
		}
		at = end
	}
	if n.Image > 0 {
		n.ImageAverage = total / int64(n.Image)
	}
	return n
}

// OK reports whether no rule failed; a signature that a given key does not
// verify fails one.
func (x *Inspection) OK() bool { return x.Err() == nil }

// Err is a *BrokenError when a rule failed.
func (x *Inspection) Err() error {
	var failed []string
	for _, r := range x.Rules {
		if r.Status == lint.Fail {
			failed = append(failed, r.ID)
		}
	}
	if failed == nil {
		return nil
	}
	return &BrokenError{x.File, x.Profile, failed}
}

// BrokenError means that a package fails rules of a profile.
type BrokenError struct {
	File    string
	Profile string
	Rules   []string // ids
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("%s fails %s of profile %s: %s", e.File, count(len(e.Rules), "rule"), e.Profile, strings.Join(e.Rules, ", "))
}

// Hint says what to do.
func (e *BrokenError) Hint() string {
	return "the report says what is wrong; docs/lint.md explains the rules and profiles"
}
