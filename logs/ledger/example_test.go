package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log"
	"strings"
	"time"

	"colophon/logs/ledger"
)

// files stands for a store: a folder, a bucket, a web server.
type files map[string][]byte

func (f files) ReadFile(_ context.Context, key string) ([]byte, error) {
	if data, ok := f[key]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

// A publisher logs the first snapshot of a repository; an auditor with the files
// and the public key checks all of it.
func Example() {
	ctx := context.Background()
	random := bytes.NewReader(make([]byte, 32)) // crypto/rand.Reader in a program
	skey, vkey, err := ledger.GenerateKey(random, "example.org/ledger")
	if err != nil {
		log.Fatal(err)
	}

	// The publisher: entry, tree, signed checkpoint, files, in this order.
	digest := strings.Repeat("ab", 32)
	xml := ledger.XML{OpenSHA256: digest, OpenSize: 169, SHA256: digest, Size: 134}
	entry, err := ledger.Encode(ledger.Entry{
		Added: []ledger.Package{}, Kind: ledger.KindPublish,
		Next: ledger.State{
			Filelists: xml, Format: 1, Other: xml, Primary: xml,
			Repomd: ledger.Digest{SHA256: digest, Size: 1500}, Revision: 1795453200,
		},
		Removed: []ledger.Removal{}, Repository: "templates", Serial: 1,
		Signer: strings.Repeat("0F", 20), Time: time.Unix(1795453200, 0).UTC(),
		Tool: ledger.Tool{Name: "colophon", Version: "0.1.0"}, Version: ledger.EntryVersion,
	})
	if err != nil {
		log.Fatal(err)
	}
	public := files{}
	grown, err := ledger.Extend(ctx, public, ledger.EmptyTree("example.org/ledger"), [][]byte{entry})
	if err != nil {
		log.Fatal(err)
	}
	signer, err := ledger.ParseSigner(skey)
	if err != nil {
		log.Fatal(err)
	}
	text, err := ledger.CheckpointText(grown.Checkpoint)
	if err != nil {
		log.Fatal(err)
	}
	signed, err := ledger.Sign(text, signer)
	if err != nil {
		log.Fatal(err)
	}
	for _, o := range grown.Objects {
		public[o.Key] = o.Data
	}
	public[ledger.CheckpointKey] = signed

	// The auditor.
	verifier, err := ledger.ParseVerifier(vkey)
	if err != nil {
		log.Fatal(err)
	}
	tree, err := ledger.Open(public[ledger.CheckpointKey], verifier)
	if err != nil {
		log.Fatal(err)
	}
	wrong, err := ledger.VerifyTree(ctx, public, tree)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(wrong), "files of the tree are wrong")
	var chain ledger.Chain
	err = ledger.ReadEntries(ctx, public, tree, 0, tree.Size, func(index int64, data []byte) error {
		e, err := ledger.Decode(data)
		if err != nil {
			return err
		}
		fmt.Printf("entry %d: %s %s %06d at %s\n", index, e.Kind, e.Repository, e.Serial, e.Time.Format(time.RFC3339))
		return chain.Add(e)
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 0 files of the tree are wrong
	// entry 0: publish templates 000001 at 2026-11-23T17:00:00Z
}
