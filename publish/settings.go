package publish

import (
	"context"
	"fmt"
	"path"

	"colophon/logs/ledger"
	"colophon/mirror/rpmmd"
	"colophon/pack/openpgp"
	"colophon/publish/store"
)

// publishKeys writes the public keys, before anything that they have signed.
func (r *run) publishKeys(ctx context.Context) error {
	policy, err := ledger.PolicyText(r.keys.VKey)
	if err != nil {
		return err
	}
	if err := r.update(ctx, ledger.PolicyKey, []byte(policy)); err != nil {
		return err
	}
	for _, key := range []*openpgp.Key{r.keys.PackageKey, r.keys.MetadataKey} {
		if err := r.update(ctx, keyOf(key.Fingerprint()), key.Public()); err != nil {
			return err
		}
	}
	return nil
}

// publishSettings writes what clients are configured with.
func (r *run) publishSettings(ctx context.Context) error {
	for _, repository := range r.config.Repositories {
		last, ok := r.local.chain.Last(repository.Name)
		if !ok {
			continue
		}
		text, err := rpmmd.ClientConfig{
			Repository: repository.Name,
			Name:       r.config.Site.Name + " - " + repository.Name,
			Site:       r.config.Site.URL,
			Serial:     int(last.Serial),
			Keys: []string{
				r.config.Site.URL + "/" + keyOf(r.keys.PackageKey.Fingerprint()),
				r.config.Site.URL + "/" + keyOf(r.keys.MetadataKey.Fingerprint()),
			},
		}.Marshal()
		if err != nil {
			return fmt.Errorf("client configuration of %s: %w", repository.Name, err)
		}
		if err := r.update(ctx, path.Join(repository.Name, repository.Name+".repo"), text); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(fingerprint string) string { return "keys/" + fingerprint + ".asc" }

// update writes a small object that may have been there with other bytes.
func (r *run) update(ctx context.Context, key string, data []byte) error {
	kind, ok := store.KindOf(key)
	if !ok {
		return fmt.Errorf("upload %q: no object of the public tree", key)
	}
	changed, err := store.Update(ctx, r.store, key, data, kind)
	if err != nil {
		return fmt.Errorf("upload %q: %w", key, err)
	}
	if changed {
		r.result.Objects++
		r.result.Bytes += int64(len(data))
	}
	return nil
}
