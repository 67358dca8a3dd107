package account

import (
	"testing"

	"github.com/astern-dev/astern"
)

// Nothing is made but in a lab on this machine: not in AWS, and not where a person forgot to say where.
func TestOnlyInTheLab(t *testing.T) {
	for _, at := range []string{"", "https://lambda.us-west-2.amazonaws.com", "http://10.0.0.1:4566", "http://127.0.0.1.example.org", "::"} {
		if _, err := Make(t.Context(), at, "."); astern.CodeOf(err) != astern.Refused || astern.HintOf(err) == "" {
			t.Errorf("%q: %v", at, err)
		}
	}
}
