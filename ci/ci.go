// Package ci holds the tests that need more than one room of the house, or a real peer: the program as it is shipped,
// run from the outside against dnf, rpm and tar on a real Debian image, and the rules that the source itself must
// keep. It has no code that anything else uses, and nothing may import it.
//
// The tests are ordinary Go tests (go test ./ci). They need what ci/setup installs, and root for debootstrap. A
// missing peer is a failure, never a skip: a test that does not run proves nothing.
package ci
