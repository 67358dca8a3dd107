package jsonexec_test

import "testing"

func TestHostileTexts(t *testing.T) {
	fullConformance().HostileTexts(t, nil)
}
