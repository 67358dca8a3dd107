//go:build !race

package planfile_test

// slowed is true where each byte that is read costs tens of times as much.
const slowed = false
