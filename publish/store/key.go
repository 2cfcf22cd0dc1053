package store

import (
	"fmt"
	"strings"

	"colophon/mirror/disk"
)

const (
	maxKey     = 1024 // bytes, as in S3
	maxSegment = 255  // bytes, as in every file system
	// ownPrefix begins names that this package keeps for itself, such as the lock file.
	ownPrefix = ".colophon"
	lockName  = ownPrefix + ".lock"
)

// CheckKey refuses everything that is not a key: 1 to 1024 bytes, made of segments between single slashes, each of
// 1 to 255 bytes from A-Z a-z 0-9 . _ + ~ ^ -, none of them "." or "..", none beginning with ".tmp-" or ".colophon".
func CheckKey(key string) error {
	if err := checkSegments(key); err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	return nil
}

// checkPrefix accepts what a key can begin with.
func checkPrefix(prefix string) error {
	whole := prefix
	if whole == "" || strings.HasSuffix(whole, "/") || strings.HasSuffix(whole, ".") {
		whole += "x" // an unfinished segment; "." may become ".x", and ".." is no worse as the start of "..x"
	}
	if err := checkSegments(whole); err != nil {
		return fmt.Errorf("prefix %q: %w", prefix, err)
	}
	return nil
}

func checkSegments(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("longer than %d bytes", maxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return fmt.Errorf("empty segment")
		case segment == "." || segment == "..":
			return fmt.Errorf("segment %q", segment)
		case len(segment) > maxSegment:
			return fmt.Errorf("a segment is longer than %d bytes", maxSegment)
		case strings.HasPrefix(segment, disk.TemporaryPrefix) || strings.HasPrefix(segment, ownPrefix):
			return fmt.Errorf("segment %q is reserved", segment)
		}
		for i := range len(segment) {
			if !keyByte(segment[i]) {
				return fmt.Errorf("character %q is not allowed", segment[i])
			}
		}
	}
	return nil
}

func keyByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._+~^-", c) >= 0
}
