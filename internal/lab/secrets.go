package lab

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
)

// The label of the version that applications get.
const stageCurrent = "AWSCURRENT"

// secretsOverlays correct which version of a secret is answered to who names none, that one version alone has AWSCURRENT after a
// new one was put, and when versions were made.
//
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Operations.html
func (l *Lab) secretsOverlays() map[string]Overlay {
	return map[string]Overlay{"secretsmanager:GetSecretValue": currentValue, "secretsmanager:PutSecretValue": l.putSecretValue,
		"secretsmanager:ListSecretVersionIds": l.listSecretVersions}
}

// currentValue answers the version with AWSCURRENT to who names none: moto keeps answering the newest when that label was
// moved back.
func currentValue(ctx context.Context, c *Call, next Next) Reply {
	if c.Text("VersionId") != "" || c.Text("VersionStage") != "" || c.Text("SecretId") == "" {
		return next(ctx, c)
	}
	in := maps.Clone(c.Input)
	in["VersionStage"] = stageCurrent
	b, err := json.Marshal(in)
	if err != nil {
		return next(ctx, c)
	}
	q := *c
	q.Body = b
	r := next(ctx, &q)
	if code, _ := refused(c.protocol, r); r.Status >= 400 && code == "ResourceNotFoundException" {
		return next(ctx, c) // no version has it: moto's own words, as for a secret without value
	}
	return r
}

// putSecretValue takes AWSCURRENT from every other version: moto takes it from the one that it thinks is current, which is
// another one when the label was moved back.
func (l *Lab) putSecretValue(ctx context.Context, c *Call, next Next) Reply {
	r := next(ctx, c)
	var made struct {
		VersionId     string
		VersionStages []string
	}
	if r.Status >= 300 || json.Unmarshal(r.Body, &made) != nil || !slices.Contains(made.VersionStages, stageCurrent) {
		return r
	}
	is, err := l.ask(ctx, "secretsmanager", "DescribeSecret", c, map[string]any{"SecretId": c.Text("SecretId")})
	if err != nil {
		return r
	}
	versions, _ := is["VersionIdsToStages"].(map[string]any)
	for version, stages := range versions {
		if list, _ := stages.([]any); version != made.VersionId && slices.Contains(list, any(stageCurrent)) {
			l.tell(ctx, "secretsmanager", "UpdateSecretVersionStage", c,
				map[string]any{"SecretId": c.Text("SecretId"), "VersionStage": stageCurrent, "RemoveFromVersionId": version})
		}
	}
	return r
}

// listSecretVersions answers when each version was made: moto answers the present time.
func (l *Lab) listSecretVersions(ctx context.Context, c *Call, next Next) Reply {
	r := next(ctx, c)
	var document map[string]any
	if r.Status >= 300 || json.Unmarshal(r.Body, &document) != nil {
		return r
	}
	versions, _ := document["Versions"].([]any)
	for _, v := range versions {
		m, _ := v.(map[string]any)
		value, err := l.ask(ctx, "secretsmanager", "GetSecretValue", c, map[string]any{"SecretId": c.Text("SecretId"), "VersionId": m["VersionId"]})
		if at, ok := value["CreatedDate"]; err == nil && ok { // one that has no value, or that may not be read, stays as it is
			m["CreatedDate"] = at
		}
	}
	b, err := json.Marshal(document)
	if err != nil {
		return r
	}
	r.Body = b
	return r
}
