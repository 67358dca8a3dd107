package storemodel_test

import (
	"testing"

	"github.com/astern-dev/astern/internal/store/storemodel"
	"github.com/astern-dev/astern/internal/store/storetest"
)

// The model keeps the very contract that the real store keeps.
func TestModelKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store { return storemodel.New() })
}
