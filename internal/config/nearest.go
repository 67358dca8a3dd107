package config

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean suggests the candidate nearest to what was written; without a near one it lists a few candidates as what
// is known ("keys", "hosts"), or says nothing.
func didYouMean(written string, candidates []string, known string) string {
	if best := nearest(written, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(candidates) == 0 || len(candidates) > 20 || known == "" {
		return ""
	}
	list := slices.Sorted(slices.Values(candidates))
	return "known " + known + ": " + strings.Join(list, ", ")
}

// nearest returns the candidate that differs least from what was written, or "" when none is near: one edit for each
// three characters, and at least one. Case, spaces and underscores count as no difference.
func nearest(written string, candidates []string) string {
	best, least := "", 0
	w := plain(written)
	if len(w) > 200 || len(candidates) > 2000 { // no person wrote that
		return ""
	}
	limit := max(1, len([]rune(w))/3)
	for _, c := range candidates {
		d := distance(w, plain(c))
		if d <= limit && (best == "" || d < least || d == least && c < best) {
			best, least = c, d
		}
	}
	return best
}

func plain(s string) string {
	return strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(s))
}

// distance counts the insertions, deletions, substitutions and swaps of neighbours that turn a into b.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last := make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}
