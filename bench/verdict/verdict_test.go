package verdict

import (
	"testing"

	"github.com/astern-dev/astern"
)

// TestTable holds the judge to what the goals say.
func TestTable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		one  Tried
		want int
	}{
		"ready that fails, and could have been seen": {Tried{Said: astern.Ready, Rows: []string{"x"}, Seeable: true}, 1},
		"ready that fails, and could not":            {Tried{Said: astern.Ready, Rows: []string{"x"}}, 0},
		"ready that fails without any damage":        {Tried{Said: astern.Ready, Proven: true}, 1},
		"ready that works":                           {Tried{Said: astern.Ready, Proven: true, Works: true}, 0},
		"broken that works":                          {Tried{Said: astern.Broken, Rows: []string{"x"}, Works: true}, 1},
		"broken that fails":                          {Tried{Said: astern.Broken, Rows: []string{"x"}}, 0},
		"unknown wins nothing":                       {Tried{Said: astern.ReadyUnknown, Proven: true, Works: true}, 1},
		"at risk though unbroken":                    {Tried{Said: astern.AtRisk, Proven: true, Works: true}, 1},
		"at risk, and never proven":                  {Tried{Said: astern.AtRisk, Works: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if wrong := Tabulate([]Tried{test.one}).Wrong(); len(wrong) != test.want {
				t.Errorf("%v, want %d", wrong, test.want)
			}
		})
	}
}
