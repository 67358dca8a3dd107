package awssecret

import (
	"testing"

	"github.com/astern-dev/astern/internal/awsapi/awslaw"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/drivertest"
)

// hostileData are the places of a call whose text is data: the cloud is asked by what is declared and by numbers that the plan has.
var hostileData = map[string]drivertest.Datum{"member": {Because: "nothing reads it"}, "token": {Because: "nothing reads it"}, "step": {Because: "nothing reads it"}, "execution": {Because: "nothing reads it"}, "move.from": {Because: "nothing reads it"}}

func TestHostileTexts(t *testing.T) {
	awstest.Start(t)
	law := awslaw.Watch(t)
	conformance(law).HostileTexts(t, law.Asked)
}
