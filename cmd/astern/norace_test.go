//go:build !race

package main

// detectorFactor is how many times the memory the race detector may take.
const detectorFactor = 1
