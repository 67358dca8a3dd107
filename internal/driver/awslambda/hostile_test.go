package awslambda

import (
	"testing"

	"github.com/astern-dev/astern/internal/awsapi/awslaw"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/drivertest"
)

// hostileData are the places of a call whose text is data: the cloud is asked by what is declared and by numbers that the plan has.
var hostileData = map[string]drivertest.Datum{"member": {Because: "nothing reads it"}, "token": {Because: "nothing reads it"}, "step": {Because: "nothing reads it"}, "execution": {Because: "nothing reads it"}}

// hostileCompared are those that Before alone compares with the cloud.
var hostileCompared = map[string]string{"update-code.arn": "the ARN is that of no resource here", "publish.arn": "the ARN is that of no resource here", "move.arn": "the ARN is that of no resource here"}

func TestHostileTexts(t *testing.T) {
	awstest.Start(t)
	law := awslaw.Watch(t)
	conformance(t, law, true, true, nil).HostileTexts(t, law.Asked)
}
