package astern_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/astern-dev/astern"
)

// TestHintOf: a hint is found wherever errors.Is would look.
func TestHintOf(t *testing.T) {
	plain := astern.Errorf(astern.Internal, "it burns")
	inner, other := plain.WithHint("put it out"), plain.WithHint("run")
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no error":                      {nil, ""},
		"not ours":                      {io.EOF, ""},
		"without a hint":                {plain, ""},
		"its own":                       {inner, "put it out"},
		"wrapped":                       {fmt.Errorf("at sea: %w", inner), "put it out"},
		"the cause of one without":      {astern.Errorf(astern.Refused, "no: %w", inner), "put it out"},
		"the outermost counts":          {astern.Errorf(astern.Refused, "no: %w", inner).WithHint("run"), "run"},
		"joined":                        {errors.Join(io.EOF, inner), "put it out"},
		"the first of the joined":       {errors.Join(plain, other, inner), "run"},
		"joined below joined":           {errors.Join(errors.Join(io.EOF, plain), fmt.Errorf("%w", errors.Join(io.EOF, other))), "run"},
		"two causes in one line":        {fmt.Errorf("%w, and %w", io.EOF, inner), "put it out"},
		"a cause that is joined":        {astern.Errorf(astern.Refused, "no: %w", errors.Join(io.EOF, inner)), "put it out"},
		"joined, and none has anything": {errors.Join(io.EOF, plain), ""},
	} {
		if got := astern.HintOf(c.err); got != c.want {
			t.Errorf("%s: the hint is %q, want %q", name, got, c.want)
		}
	}
}
