package awstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// refuses answers what the cloud refuses and moto does not: a condition that does not hold any more, and
// provisioned concurrency that nobody configured, which moto does not know.
// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html#API_UpdateAlias_Errors
func (a *Account) refuses(op string, r *http.Request, body []byte) (status int, name, message string) {
	if a.copyRefused(r) {
		return http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
	}
	switch op {
	case "UpdateAlias", "UpdateFunctionCode", "PublishVersion":
		var in struct{ RevisionId string }
		if json.Unmarshal(body, &in) == nil && in.RevisionId != "" && in.RevisionId != a.revision(thing(op, r)) {
			return http.StatusPreconditionFailed, "PreconditionFailedException",
				"The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
		}
	case "GetProvisionedConcurrencyConfig":
		return http.StatusNotFound, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function"
	}
	return 0, "", ""
}

// thing is what a RevisionId is of: an alias, or a function's $LATEST.
func thing(op string, r *http.Request) string {
	_, below, _ := strings.Cut(r.URL.Path, "/functions/")
	function, rest, _ := strings.Cut(strings.Trim(below, "/"), "/")
	if strings.HasPrefix(rest, "aliases/") {
		return function + " " + rest
	}
	return function
}

func (a *Account) revision(of string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("00000000-0000-0000-0000-%012d", a.revs[of])
}

// correct gives answers the RevisionId that they have in the cloud, and a new one to what was changed.
func (a *Account) correct(op string, r *http.Request, reply []byte) []byte {
	of := thing(op, r)
	switch op {
	case "UpdateAlias", "UpdateFunctionCode":
		a.mu.Lock()
		a.revs[of]++
		a.mu.Unlock()
	case "GetAlias", "GetFunctionConfiguration", "ListVersionsByFunction":
	case "ListSecretVersionIds":
		return a.dated(reply)
	case "UpdateSecretVersionStage", "DescribeSecret":
		return a.changed(op, reply)
	default:
		return reply
	}
	var document map[string]any
	if json.Unmarshal(reply, &document) != nil {
		return reply
	}
	set := func(v any) {
		if m, ok := v.(map[string]any); ok && (m["Version"] == nil || m["Version"] == "$LATEST") {
			m["RevisionId"] = a.revision(of)
		}
	}
	set(document)
	if versions, ok := document["Versions"].([]any); ok {
		delete(document, "RevisionId")
		for _, v := range versions {
			set(v)
		}
	}
	out, err := json.Marshal(document)
	if err != nil {
		return reply
	}
	return out
}

// dated gives versions of a secret the time at which they were first listed: moto says the present time each time.
func (a *Account) dated(reply []byte) []byte {
	var document map[string]any
	if json.Unmarshal(reply, &document) != nil {
		return reply
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	versions, _ := document["Versions"].([]any)
	for _, v := range versions {
		if m, ok := v.(map[string]any); ok {
			id := fmt.Sprint(m["VersionId"])
			if a.dates[id] == nil {
				a.dates[id] = m["CreatedDate"]
			}
			m["CreatedDate"] = a.dates[id]
		}
	}
	out, err := json.Marshal(document)
	if err != nil {
		return reply
	}
	return out
}

// changed has a secret changed when its labels are moved: moto leaves LastChangedDate as it is then.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html#API_DescribeSecret_ResponseElements
func (a *Account) changed(op string, reply []byte) []byte {
	var document map[string]any
	if json.Unmarshal(reply, &document) != nil {
		return reply
	}
	of := fmt.Sprint(document["ARN"])
	a.mu.Lock()
	defer a.mu.Unlock()
	if op == "UpdateSecretVersionStage" {
		a.revs[of]++
		return reply
	}
	at, ok := document["LastChangedDate"].(float64)
	if !ok {
		return reply
	}
	document["LastChangedDate"] = at + float64(a.revs[of])/1000
	out, err := json.Marshal(document)
	if err != nil {
		return reply
	}
	return out
}
