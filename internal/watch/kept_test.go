package watch_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

// TestKept: what is kept of a situation is judged as the whole was, by its own rules and by others.
func TestKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := draw(t)
		for i := range s.Past {
			s.Past[i].Series = []astern.Series{{Name: "errors"}}
			s.Past[i].Timeline = []astern.TimelineEntry{{Text: "long"}}
		}
		b := s.Kept()
		if strings.Contains(string(b), "long") {
			t.Fatalf("%s", b)
		}
		kept, err := watch.ReadSituation(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, act := range []astern.Act{s.Rules.Act, astern.ActAutomatic} {
			s.Rules.Act, kept.Rules.Act = act, act
			if want, got := watch.Judge(s), watch.Judge(kept); !reflect.DeepEqual(want, got) {
				t.Fatalf("%s\n%+v\nwas %+v", b, got, want)
			}
		}
	})
}

// TestKeptBounded: whatever has happened, what is kept is small; when even the least is too much, nothing is.
func TestKeptBounded(t *testing.T) {
	s := bad()
	for i := range 5000 {
		s.Changes = append(s.Changes, astern.Event{Seq: int64(i + 10), At: ago(4), Address: "production/shop", Kind: astern.EventDeployed, Revision: fmt.Sprintf("v%d", i%50), By: strings.Repeat("b", 100), Reason: strings.Repeat("r", 2000)})
		s.Past = append(s.Past, past(fmt.Sprintf("inc-%d", i), fmt.Sprintf("v%d", i%50), ago(i+10)))
	}
	b := s.Kept()
	kept, err := watch.ReadSituation(b)
	if err != nil || len(b) > 64<<10 || len(kept.Changes) < 16 || kept.Changes[len(kept.Changes)-1].Seq != 5009 || len(kept.Past) < 16 || kept.Past[0].ID != "inc-0" {
		t.Errorf("%d bytes, %d changes, %d incidents, %v", len(b), len(kept.Changes), len(kept.Past), err)
	}
	s.Findings[0].Says = strings.Repeat("x", 1<<20)
	if b := s.Kept(); b != nil {
		t.Errorf("%d bytes", len(b))
	}
}
