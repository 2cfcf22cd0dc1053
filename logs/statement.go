package logs

import (
	"errors"
	"strings"
)

// Names that readers of the record go by. The two that are ours are URNs: they
// name a format and a program, and no host has to answer for them.
const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
	buildType     = "urn:colophon:pack:1"
	builderID     = "urn:colophon:builder:1"

	contentName    = "content"
	imageName      = "root.img"
	definitionName = "template.yaml"
	filePrefix     = "files/" // keeps side files apart from the other names
	logName        = "build.log"
)

// The structs below are the shape of the JSON, hand-written: the libraries of
// both specifications bring a protocol buffer runtime and nothing that a reader
// of a fixed form needs. The record version stands among the internal
// parameters because that object is free-form: a key of ours at the top would
// make strict readers of statements refuse it.

type statement struct {
	Type          string       `json:"_type"`
	Subject       []descriptor `json:"subject"`
	PredicateType string       `json:"predicateType"`
	Predicate     predicate    `json:"predicate"`
}

type predicate struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType    string             `json:"buildType"`
	External     externalParameters `json:"externalParameters"`
	Internal     internalParameters `json:"internalParameters"`
	Dependencies []descriptor       `json:"resolvedDependencies"`
}

type externalParameters struct {
	Definition
	Files []string `json:"files"`
	NoLog string   `json:"noLog"`
}

type internalParameters struct {
	RecordVersion   int    `json:"recordVersion"`
	ContainerFormat int    `json:"containerFormat"`
	Codec           Codec  `json:"codec"`
	Frames          Frames `json:"frames"`
	SourceDateEpoch int64  `json:"SOURCE_DATE_EPOCH"`
}

type runDetails struct {
	Builder    builder      `json:"builder"`
	Byproducts []descriptor `json:"byproducts"`
}

type builder struct {
	ID      string         `json:"id"`
	Version builderVersion `json:"version"`
}

type builderVersion struct {
	Colophon string `json:"colophon"`
}

type descriptor struct {
	Name        string       `json:"name"`
	Digest      digestSet    `json:"digest"`
	Annotations *annotations `json:"annotations,omitempty"`
}

type digestSet struct {
	SHA256       string `json:"sha256,omitempty"`
	SparseSHA256 string `json:"sparseSha256,omitempty"`
}

type annotations struct {
	Size int64  `json:"sizeBytes"`
	Data *int64 `json:"dataBytes,omitempty"`
}

func (r Record) statement() statement {
	file := func(name, sha256 string) descriptor { return descriptor{Name: name, Digest: digestSet{SHA256: sha256}} }
	sized := func(name string, d Digest) descriptor {
		return descriptor{name, digestSet{SHA256: d.SHA256}, &annotations{Size: d.Size}}
	}
	names := []string{}
	dependencies := []descriptor{
		{imageName, digestSet{SparseSHA256: r.Image.SparseSHA256}, &annotations{r.Image.Size, &r.Image.Data}},
		file(definitionName, r.DefinitionSHA256),
	}
	for _, f := range r.Files {
		names = append(names, f.Name)
		dependencies = append(dependencies, file(filePrefix+f.Name, f.SHA256))
	}
	byproducts := []descriptor{}
	if r.Log != nil {
		dependencies = append(dependencies, sized(logName, r.Log.Open))
		byproducts = append(byproducts, sized(r.FileName+LogSuffix, r.Log.Compressed))
	}
	return statement{
		Type:          statementType,
		Subject:       []descriptor{file(r.FileName, r.SHA256), file(contentName, r.ContentID)},
		PredicateType: predicateType,
		Predicate: predicate{
			BuildDefinition: buildDefinition{
				BuildType: buildType,
				External:  externalParameters{r.Definition, names, r.NoLog},
				Internal: internalParameters{
					RecordVersion, r.ContainerFormat, r.Codec, r.Frames, r.SourceDateEpoch,
				},
				Dependencies: dependencies,
			},
			RunDetails: runDetails{builder{builderID, builderVersion{r.Tool}}, byproducts},
		},
	}
}

// record takes a statement apart. It looks only where statement puts things; the
// caller compares the bytes, which covers the names, the order and the rest.
func (s statement) record() (Record, error) {
	b, run := s.Predicate.BuildDefinition, s.Predicate.RunDetails
	deps := b.Dependencies
	if len(s.Subject) != 2 || len(deps) < 2 || deps[0].Annotations == nil || deps[0].Annotations.Data == nil {
		return Record{}, errors.New("subject or resolved dependencies are incomplete")
	}
	r := Record{
		FileName:         s.Subject[0].Name,
		SHA256:           s.Subject[0].Digest.SHA256,
		ContentID:        s.Subject[1].Digest.SHA256,
		Definition:       b.External.Definition,
		DefinitionSHA256: deps[1].Digest.SHA256,
		Image:            Image{deps[0].Digest.SparseSHA256, deps[0].Annotations.Size, *deps[0].Annotations.Data},
		NoLog:            b.External.NoLog,
		ContainerFormat:  b.Internal.ContainerFormat,
		Codec:            b.Internal.Codec,
		Frames:           b.Internal.Frames,
		SourceDateEpoch:  b.Internal.SourceDateEpoch,
		Tool:             run.Builder.Version.Colophon,
	}
	deps = deps[2:]
	for len(deps) > 0 && strings.HasPrefix(deps[0].Name, filePrefix) {
		r.Files = append(r.Files, File{strings.TrimPrefix(deps[0].Name, filePrefix), deps[0].Digest.SHA256})
		deps = deps[1:]
	}
	if len(deps) == 0 {
		return r, nil
	}
	if len(deps) != 1 || len(run.Byproducts) != 1 || deps[0].Annotations == nil || run.Byproducts[0].Annotations == nil {
		return Record{}, errors.New("resolved dependencies or byproducts are not those of one log")
	}
	r.Log = &LogDigests{
		Open:       Digest{deps[0].Digest.SHA256, deps[0].Annotations.Size},
		Compressed: Digest{run.Byproducts[0].Digest.SHA256, run.Byproducts[0].Annotations.Size},
	}
	return r, nil
}
