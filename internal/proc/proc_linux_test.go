package proc

import (
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " 1 2 3 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 4711 100 200"
	for _, c := range []struct {
		stat      string
		start     string
		ended, ok bool
	}{
		{"12 (astern) S" + rest, "4711", false, true},
		{"12 (a) b) (S) Z" + rest, "4711", true, true},
		{"12 (last thread) Z" + strings.Replace(rest, " 20 0 1 0 ", " 20 0 0 0 ", 1), "4711", true, true},
		{"12 (first thread) Z" + strings.Replace(rest, " 20 0 1 0 ", " 20 0 12 0 ", 1), "4711", false, true},
		{"12 (gone) X" + rest, "4711", true, true},
		{"12 (x\ny z) R" + rest, "4711", false, true},
		{"12 (short) S 1 2", "", false, false},
		{"", "", false, false},
		{"12 (open S" + rest, "", false, false},
	} {
		start, ended, ok := parseStat(c.stat)
		if start != c.start || ended != c.ended || ok != c.ok {
			t.Errorf("%q: %q %v %v", c.stat, start, ended, ok)
		}
	}
}
