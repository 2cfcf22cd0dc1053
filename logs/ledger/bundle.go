package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// EncodeBundle writes entries one after the other, each with its length as a
// big-endian uint16 in front. A bundle of a tree holds at most 256 of them; the
// staging blob has the same form and no such limit.
func EncodeBundle(entries [][]byte) ([]byte, error) {
	size := 0
	for i, e := range entries {
		if err := checkLeaf(e); err != nil {
			return nil, fmt.Errorf("entry %d of the bundle: %w", i, err)
		}
		size += 2 + len(e)
	}
	data := make([]byte, 0, size)
	for _, e := range entries {
		data = binary.BigEndian.AppendUint16(data, uint16(len(e)))
		data = append(data, e...)
	}
	return data, nil
}

// DecodeBundle splits a bundle into its entries, which point into data. There is
// one form for a row of entries, so what it accepts encodes to the same bytes.
func DecodeBundle(data []byte) ([][]byte, error) {
	var entries [][]byte
	for len(data) > 0 {
		if len(data) < 2 {
			return nil, errors.New("bundle ends within a length")
		}
		n := int(binary.BigEndian.Uint16(data))
		if data = data[2:]; n > len(data) {
			return nil, fmt.Errorf("bundle ends within entry %d", len(entries))
		}
		e := data[:n:n]
		if err := checkLeaf(e); err != nil {
			return nil, fmt.Errorf("entry %d of the bundle: %w", len(entries), err)
		}
		entries = append(entries, e)
		data = data[n:]
	}
	return entries, nil
}

// checkLeaf bounds a leaf. That it is an entry is Decode's business: a tree
// holds bytes, and one bad leaf must not hide the others.
func checkLeaf(e []byte) error {
	if len(e) == 0 {
		return errors.New("empty entry")
	}
	if len(e) > MaxEntry {
		return &TooLargeError{len(e)}
	}
	return nil
}
