package logs_test

import (
	"bytes"
	"fmt"
	"log"
	"strings"

	"colophon/logs"
)

// A publisher prepares a build log; an auditor opens what was published.
func Example() {
	l, err := logs.ReadLog(strings.NewReader("step 1: debootstrap\nstep 2: mkfs.ext4\n"), 0)
	if err != nil {
		log.Fatal(err)
	}
	var plain bytes.Buffer
	digests, err := logs.OpenLog(&plain, bytes.NewReader(l.Data), 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(plain.String())
	fmt.Println(digests == l.LogDigests, digests.Open.Size)
	// Output:
	// step 1: debootstrap
	// step 2: mkfs.ext4
	// true 38
}
