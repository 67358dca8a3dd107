package app_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/config"
	"github.com/astern-dev/astern/internal/config/schemagen"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestSchemaFile keeps the committed JSON Schema and the types that astern.yaml is decoded into from drifting apart.
func TestSchemaFile(t *testing.T) {
	want, err := schemagen.GenerateSchema(app.Drivers(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("../config/astern.schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(want, config.Schema()) {
		t.Error("the committed schema is not that of the types; regenerate it: go test ./internal/app -run TestSchemaFile -update")
	}
}
