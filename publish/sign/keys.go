package sign

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"colophon/logs/ledger"
	"colophon/mirror/disk"
	"colophon/pack/openpgp"
)

// Keys are the three keys of a publisher.
type Keys struct {
	PackageKey  *openpgp.Key // signs package headers
	MetadataKey *openpgp.Key // signs repomd.xml, behind the gate
	Ledger      note.Signer  // signs checkpoints
	Verifier    note.Verifier
	VKey        string // the ledger's public key, one line without LF
	VKeyFile    string // where Load wrote it
}

// Folder is where keys lie: package.key and metadata.key (armored OpenPGP) and
// ledger.key (a signed-note key), each readable by its owner only. Load writes
// the public part of the last beside it, as ledger.vkey.
type Folder struct {
	Path     string
	Generate bool   // make keys that are missing
	Name     string // user id of keys that are made
	Origin   string // name of a ledger key that is made
}

// KeyError reports a key that is missing or cannot be used. Nothing was changed.
type KeyError struct{ Path, Reason, Advice string }

func (e *KeyError) Error() string { return fmt.Sprintf("key %q %s", e.Path, e.Reason) }

// Hint says what to do.
func (e *KeyError) Hint() string { return e.Advice }

// Generated keys say they were created then, so that the date of any definition
// is a valid signature time.
var keyCreation = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// maxKey bounds a key file, in bytes.
const maxKey = 1 << 20

// Load reads the keys, and makes the missing ones where that is wished. An
// existing key is never overwritten. Mistakes are *KeyError.
func (f Folder) Load(random io.Reader, d disk.Disk) (*Keys, error) {
	k := &Keys{}
	for _, x := range []struct {
		name string
		key  **openpgp.Key
	}{{"package", &k.PackageKey}, {"metadata", &k.MetadataKey}} {
		path := filepath.Join(f.Path, x.name+".key")
		data, err := f.read(path, d, func() ([]byte, error) {
			key, err := openpgp.Generate(random, fmt.Sprintf("%s %s key", f.Name, x.name), keyCreation)
			if err != nil {
				return nil, err
			}
			return key.PrivateArmor()
		})
		if err != nil {
			return nil, err
		}
		if *x.key, err = openpgp.Read(data); err != nil {
			return nil, &KeyError{path, "cannot be used: " + err.Error(), "name a folder with other keys, or move the file away to have one made"}
		}
		if !(*x.key).Private() {
			return nil, &KeyError{path, "has no usable private part", "export it unencrypted: gpg --export-secret-keys --armor"}
		}
	}
	path := filepath.Join(f.Path, "ledger.key")
	data, err := f.read(path, d, func() ([]byte, error) {
		skey, _, err := ledger.GenerateKey(random, f.Origin)
		return []byte(skey + "\n"), err
	})
	if err != nil {
		return nil, err
	}
	if k.Ledger, err = ledger.ParseSigner(string(data)); err == nil {
		k.VKey, err = ledger.PublicKey(string(data))
	}
	if err != nil {
		return nil, &KeyError{path, "cannot be used: " + err.Error(), "restore the ledger key from its backup: a new one starts a new ledger"}
	}
	if k.Verifier, err = ledger.ParseVerifier(k.VKey); err != nil {
		return nil, err
	}
	// The public part beside it, to be given to auditors.
	k.VKeyFile = filepath.Join(f.Path, "ledger.vkey")
	if err := d.CreateIdempotent(k.VKeyFile, []byte(k.VKey+"\n"), 0); err != nil {
		return nil, fmt.Errorf("write %q: %w", k.VKeyFile, err)
	}
	return k, nil
}

// read returns a key file, which it makes first where it may.
func (f Folder) read(path string, d disk.Disk, generate func() ([]byte, error)) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !f.Generate {
			return nil, &KeyError{path, "does not exist", "set keys: {generate: true} to have it made, or name the folder that holds it"}
		}
		data, err := generate()
		if err == nil {
			err = d.MkdirAll(f.Path, 0o700)
		}
		if err == nil {
			err = d.CreateExclusive(path, data, 0o600)
		}
		if err != nil {
			return nil, fmt.Errorf("make key %q: %w", path, err)
		}
		return data, nil
	}
	switch {
	case err != nil:
		return nil, &KeyError{path, "cannot be read: " + cause(err), "check keys: in colophon.yaml"}
	case !info.Mode().IsRegular() || info.Size() > maxKey:
		return nil, &KeyError{path, "is not a key file", "check keys: in colophon.yaml"}
	case info.Mode().Perm()&0o077 != 0:
		return nil, &KeyError{path, "can be read by others", "chmod 600 " + path}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &KeyError{path, "cannot be read: " + cause(err), "run as the user who owns the key"}
	}
	return data, nil
}

func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
