package host

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestKept holds the writer against a model that keeps everything.
func TestKept(t *testing.T) {
	for seed := range uint64(2_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		k := &kept{limit: 1 + r.IntN(40)}
		var all strings.Builder
		for range r.IntN(12) {
			part := strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(30)) + "."
			all.WriteString(part)
			if n, err := k.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("seed %d: wrote %d of %d: %v", seed, n, len(part), err)
			}
		}
		whole, text := all.String(), k.text()
		last := k.limit / 4
		first := k.limit - last
		if len(whole) <= k.limit {
			if text != whole || k.truncated() {
				t.Fatalf("seed %d: of %q it kept %q, truncated %t", seed, whole, text, k.truncated())
			}
			continue
		}
		if !k.truncated() || !strings.HasPrefix(text, whole[:first]+"\n[") || !strings.HasSuffix(text, "]\n"+whole[len(whole)-last:]) {
			t.Fatalf("seed %d: of %q, limit %d, it kept %q", seed, whole, k.limit, text)
		}
	}
}
