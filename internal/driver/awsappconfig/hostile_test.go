package awsappconfig

import (
	"testing"

	"github.com/astern-dev/astern/internal/awsapi/awslaw"
	"github.com/astern-dev/astern/internal/drivertest"
)

// hostileData are the places of a call whose text is data.
var hostileData = map[string]drivertest.Datum{"member": {Because: "there are none"}, "step": {Because: "nothing reads it"}, "execution": {Because: "nothing reads it"},
	"revert.strategy": {Because: "nothing keeps it and no request has it: the undo alone reads it, whose own step is refused then"}}

func TestHostileTexts(t *testing.T) {
	law := awslaw.New(t)
	conformance(t, law, setup{flags: true, named: true}, nil).HostileTexts(t, law.Asked)
}
