package prometheus

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzPlain compares the quick reading of a series with that of the standard library.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{`{"metric":{"a":"b","le":"+Inf"},"value":[1700000000.123,"7"]}`, `{"metric":{},"value":[1,"NaN"]}`,
		`{"metric":{"a":"\u00e9"},"value":[1,"7"]}`, `{"metric":{"a":"b" },"value":[1,"7"]}`, `{"metric":{"a":"b"},"value":[1,"7"],"x":"]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) { // the decoder has seen to that
			return
		}
		quick, ok := plain(raw)
		if !ok {
			return
		}
		var slow element
		if err := json.Unmarshal(raw, &slow); err != nil {
			t.Fatalf("%s is read, and the library says %v", raw, err)
		}
		same := cmp.Comparer(func(a, b number) bool {
			return a.at == b.at && (a.value == b.value || a.value != a.value && b.value != b.value)
		})
		if diff := cmp.Diff(slow, quick, same); diff != "" {
			t.Fatalf("%s (-slow +quick)\n%s", raw, diff)
		}
	})
}
