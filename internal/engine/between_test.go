package engine_test

import (
	"context"
	"testing"

	"github.com/astern-dev/astern"
)

// Whoever changes the world between the image and the facts is seen: the image is what conditional calls are conditional on, and
// must not hold what the plan has not seen.
func TestChangedBetweenImageAndFacts(t *testing.T) {
	play(t, factPlan(), func(s *scene) {
		s.world.before = func(_ context.Context, call astern.Call) (astern.Image, error) {
			if call.Step != "1.b" {
				return astern.Image{}, nil
			}
			s.world.set("e/c", "link", astern.Value{Text: "theirs"})
			return astern.Image{"link": "theirs"}, nil
		}
		s.world.set("e/c", "link", astern.Value{Text: "v1"})
		s.holds("refused 1.b: e/c link: expected v1, found theirs")
		s.wantCount("start 1.b", 0)
	})
}
