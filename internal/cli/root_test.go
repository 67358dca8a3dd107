package cli

import (
	"testing"
)

// A command that is made alone is the one that its name says, and the same as among all others.
func TestOneCommandIsOneOfAll(t *testing.T) {
	all := (&session{}).root(nil)
	for _, want := range all.Commands() {
		one := (&session{}).root([]string{want.Name()}).Commands()
		if len(one) != 1 {
			t.Errorf("%s is made together with %d others", want.Name(), len(one)-1)
			continue
		}
		if got := one[0]; got.Name() != want.Name() || got.GroupID != want.GroupID || got.UsageString() != want.UsageString() {
			t.Errorf("alone, %s is\n%s\namong all others, it is\n%s", want.Name(), got.UsageString(), want.UsageString())
		}
	}
	if n := len(all.Commands()); n < 25 {
		t.Errorf("there are %d commands", n)
	}
}
