package awsssm

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/astern-dev/astern/internal/awsapi/awslaw"
	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/drivertest"
)

// hostileData are the places of a call whose text is data: the cloud is asked by what is declared and by numbers that the plan has.
var hostileData = map[string]drivertest.Datum{"member": {Because: "nothing reads it"}, "token": {Because: "nothing reads it"}, "step": {Because: "nothing reads it"}, "execution": {Because: "nothing reads it"}}

// hostileCompared are those that Before alone compares with the cloud.
var hostileCompared = map[string]string{"put.arn": "the ARN is that of no resource here"}

func TestHostileTexts(t *testing.T) {
	awstest.Start(t)
	law := awslaw.Watch(t)
	conformance(t, law, types.ParameterTypeSecureString).HostileTexts(t, law.Asked)
}
