package verdict

import (
	"fmt"
	"io"
	"testing"

	"github.com/astern-dev/astern/internal/proof"
)

// Hold holds a test to its goals: so many trials, and none that says what was not so. Untried are rows that are not possible here.
func Hold(t testing.TB, all []Tried, untried []string, count uint64) {
	t.Helper()
	for _, row := range untried {
		t.Logf("not possible here: %s", row)
	}
	table := Tabulate(all)
	t.Logf("\n%s", table)
	proof.Figures(t, table.Figures())
	for _, w := range table.Wrong() {
		t.Error(w)
	}
	if table.Trials != int(count) {
		t.Errorf("%d of %d trials were made", table.Trials, count)
	}
}

// Report writes the table, and every target that was tried where that is wanted. It fails where a goal is missed.
func Report(w io.Writer, all []Tried, untried []string, each bool) error {
	t := Tabulate(all)
	if each {
		for _, one := range all {
			fmt.Fprintln(w, one)
		}
	}
	fmt.Fprint(w, t)
	for _, row := range untried {
		fmt.Fprintln(w, "not possible here:", row)
	}
	if wrong := t.Wrong(); len(wrong) > 0 {
		return fmt.Errorf("goals missed: %v", wrong)
	}
	return nil
}
