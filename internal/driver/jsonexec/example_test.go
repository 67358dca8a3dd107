package jsonexec_test

import (
	"testing"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/config"
	"github.com/astern-dev/astern/internal/driver/jsonexec"
)

// TestExampleFile reads the example as a user's astern would, and observes it where it lies.
func TestExampleFile(t *testing.T) {
	needPython(t)
	d := jsonexec.New(nil)
	system, err := config.Load("../../../examples/jsonexec/astern.yaml", []astern.Driver{d})
	if err != nil {
		t.Fatal(err)
	}
	c, ok := system.Component("production/settings")
	if !ok {
		t.Fatal("the example has no component production/settings")
	}
	s, err := d.Observer.Observe(t.Context(), c, astern.Scope{})
	if v := s.Values["revision"]; err != nil || v.String() != "v2" {
		t.Errorf("the example runs %v, want v2: %v, %v", v, s, err)
	}
}
