// Package rastup is a marketplace for bookings as its rollback runbook describes it: an API in ECS, a Lambda function that
// indexes for the search, a front end in S3 behind CloudFront, feature flags in AppConfig, a key in Secrets Manager and a
// parameter. astern.yaml declares it whole; package account makes it in the lab.
package rastup

import (
	_ "embed"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
)

// Declaration is the system's astern.yaml.
//
//go:embed astern.yaml
var Declaration string

// Where the lines stand that ask for what only the real system has: tasks in the lab run no code.
const (
	realBegins = "# only where the real system answers"
	realEnds   = "# to here"
)

// Lab is what differs where the system is in the lab.
type Lab struct {
	URL          string // of the lab
	Distribution string // id of the one before the front end of production
	Login        string // who is on call: the name under which plans are asked for
}

// Edge is the URL at which the front end of production answers.
func (l Lab) Edge() string { return l.URL + "/_edge/" + l.Distribution }

// Declaration returns the system's astern.yaml for the lab. What is there is as it is in Declaration, apart from addresses.
func (l Lab) Declaration() (string, error) {
	var out strings.Builder
	rest := Declaration
	for {
		before, after, found := strings.Cut(rest, realBegins)
		out.WriteString(before)
		if !found {
			break
		}
		_, after, found = strings.Cut(after, realEnds)
		if !found {
			return "", astern.Errorf(astern.Internal, "rastup's astern.yaml does not say where the lines end that are for the real system alone")
		}
		rest = after
	}
	credentials := "env: {AWS_DEFAULT_REGION: " + Region + ", AWS_ENDPOINT_URL: \"" + l.URL + "\", AWS_ACCESS_KEY_ID: lab, AWS_SECRET_ACCESS_KEY: lab"
	return strings.NewReplacer(
		"E1234567890ABC", l.Distribution,
		"https://rastup.com", l.Edge(),
		"env: {AWS_DEFAULT_REGION: "+Region, credentials,
		"copy: /mnt/audit/rastup", "copy: "+AuditCopy,
		"logins: [asmith]", "logins: ["+strconv.Quote(l.Login)+"]",
	).Replace(out.String()), nil
}

// AuditCopy is the folder beside the lab's astern.yaml that stands for another machine's disk. It must be there.
const AuditCopy = "audit-copy"

// Region is where the system is.
const Region = "us-west-2"
