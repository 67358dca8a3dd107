package awss3site

import (
	"strings"
	"testing"
)

// What is said of the caches before a bucket is what is done about them.
func TestCachesInNotes(t *testing.T) {
	for want, s := range map[string]Settings{
		"":                           {Bucket: "b", Distribution: "E2QWRUHEXAMPLE"},
		"are not told":               {Bucket: "b", Edge: "https://www.example.org"},
		"are neither told nor asked": {Bucket: "b"},
	} {
		j := &journey{p: place{Settings: s}, revision: "v1"}
		j.edge()
		notes := strings.Join(j.out.Notes, "\n")
		if !strings.HasSuffix(notes, want) || (notes == "") != (want == "") {
			t.Errorf("%+v: the notes are %q", s, notes)
		}
	}
	for want, f := range map[string]front{"none has the bucket as its origin": {}, "the edge is the distribution's own domain": {"E1", "d1.cloudfront.net"}} {
		if d := discovered(Settings{}.Settings, "b", f, ""); !strings.Contains(strings.Join(d.Guessed, "\n"), want) {
			t.Errorf("%+v: guessed %q", f, d.Guessed)
		}
	}
}
