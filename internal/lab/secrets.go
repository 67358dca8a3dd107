package lab

import (
	"context"
	"encoding/json"
	"maps"
)

// secretsOverlays correct which version of a secret is answered to who names none: the one with AWSCURRENT. moto keeps
// answering the newest when that stage was moved back.
//
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (l *Lab) secretsOverlays() map[string]Overlay {
	return map[string]Overlay{"secretsmanager:GetSecretValue": func(ctx context.Context, c *Call, next Next) Reply {
		if c.Text("VersionId") != "" || c.Text("VersionStage") != "" || c.Text("SecretId") == "" {
			return next(ctx, c)
		}
		in := maps.Clone(c.Input)
		in["VersionStage"] = "AWSCURRENT"
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
	}}
}
