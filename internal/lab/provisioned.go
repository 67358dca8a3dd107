package lab

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// qualified returns the key of the version or alias of a call, or what AWS says when there is none.
func (l *Lab) qualified(ctx context.Context, c *Call) (key string, refuse *Reply) {
	key, qualifier := functionOf(c)
	no := func(status int, code, message string) (string, *Reply) {
		r := errorReply(c, status, code, message)
		return "", &r
	}
	if qualifier == "" || qualifier == "$LATEST" {
		return no(http.StatusBadRequest, "InvalidParameterValueException", "Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	}
	name := key[strings.LastIndexByte(key, '/')+1:]
	if _, err := l.ask(ctx, "lambda", "GetFunctionConfiguration", c, map[string]any{"FunctionName": name, "Qualifier": qualifier}); err != nil {
		return no(http.StatusNotFound, "ResourceNotFoundException", "Function not found: arn:aws:lambda:"+c.Region+":"+c.Account+":function:"+name+":"+qualifier)
	}
	return key + ":" + qualifier, nil
}

func (l *Lab) putProvisioned(ctx context.Context, c *Call, _ Next) Reply {
	key, refuse := l.qualified(ctx, c)
	if refuse != nil {
		return *refuse
	}
	n, ok := c.Input["ProvisionedConcurrentExecutions"].(float64)
	if !ok || n < 1 || n > 1e6 {
		return errorReply(c, http.StatusBadRequest, "ValidationException", "ProvisionedConcurrentExecutions must be at least 1.")
	}
	s := &l.states.lambda
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.provisioned == nil {
		s.provisioned = map[string]provisioned{}
	}
	s.provisioned[key] = provisioned{int(n), l.Now()}
	return jsonReply(c, http.StatusAccepted, s.provisioned[key].at(l.Now()))
}

// at is the configuration as Lambda describes it at a time.
func (p provisioned) at(now time.Time) map[string]any {
	out := map[string]any{"RequestedProvisionedConcurrentExecutions": p.requested, "AvailableProvisionedConcurrentExecutions": 0,
		"AllocatedProvisionedConcurrentExecutions": 0, "Status": "IN_PROGRESS", "LastModified": p.since.UTC().Format("2006-01-02T15:04:05+0000")}
	if now.Sub(p.since) >= provisionedSettles {
		out["Status"], out["AvailableProvisionedConcurrentExecutions"], out["AllocatedProvisionedConcurrentExecutions"] = "READY", p.requested, p.requested
	}
	return out
}

func (l *Lab) getProvisioned(ctx context.Context, c *Call, _ Next) Reply {
	key, refuse := l.qualified(ctx, c)
	if refuse != nil {
		return *refuse
	}
	s := &l.states.lambda
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.provisioned[key]
	if !ok {
		return errorReply(c, http.StatusNotFound, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function")
	}
	return jsonReply(c, http.StatusOK, p.at(l.Now()))
}

func (l *Lab) deleteProvisioned(ctx context.Context, c *Call, _ Next) Reply {
	key, refuse := l.qualified(ctx, c)
	if refuse != nil {
		return *refuse
	}
	s := &l.states.lambda
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.provisioned, key)
	return Reply{http.StatusNoContent, http.Header{"X-Amzn-Requestid": {requestID(c)}}, nil}
}

func (l *Lab) listProvisioned(_ context.Context, c *Call, _ Next) Reply {
	function, _ := functionOf(c)
	s := &l.states.lambda
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []any{}
	for _, key := range names(s.provisioned) {
		if qualifier, ok := strings.CutPrefix(key, function+":"); ok {
			one := s.provisioned[key].at(l.Now())
			one["FunctionArn"] = "arn:aws:lambda:" + c.Region + ":" + c.Account + ":function:" + function[strings.LastIndexByte(function, '/')+1:] + ":" + qualifier
			all = append(all, one)
		}
	}
	return jsonReply(c, http.StatusOK, map[string]any{"ProvisionedConcurrencyConfigs": all})
}
