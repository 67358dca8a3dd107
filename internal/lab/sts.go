package lab

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
)

// identity is who a key belongs to.
type identity struct{ account, arn, user string }

// identities are the keys that the account has handed out. Other keys are of Account: the lab checks no signatures.
type identities struct {
	mu   sync.Mutex
	keys map[string]identity
}

func (i *identities) reset() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = nil
}

func (i *identities) of(key string) identity {
	i.mu.Lock()
	defer i.mu.Unlock()
	if id, ok := i.keys[key]; ok {
		return id
	}
	return identity{Account, "arn:aws:sts::" + Account + ":user/moto", "moto"} // as moto's GetCallerIdentity has it
}

// known returns who has a key that the account has handed out.
func (i *identities) known(key string) (identity, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	id, ok := i.keys[key]
	return id, ok
}

func (i *identities) account(key string) string { return i.of(key).account }

func (i *identities) learn(key string, id identity) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = maps.Clone(i.keys)
	if i.keys == nil {
		i.keys = map[string]identity{}
	}
	i.keys[key] = id
}

// callers are calls on behalf of each account, for what the lab does by itself.
func (i *identities) callers() []*Call {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := []*Call{{Account: Account, Region: homeRegion, AccessKey: "lab"}}
	for _, key := range names(i.keys) {
		account := i.keys[key].account
		if !slices.ContainsFunc(out, func(c *Call) bool { return c.Account == account }) {
			out = append(out, &Call{Account: account, Region: homeRegion, AccessKey: key})
		}
	}
	return out
}

// stsOverlays correct nothing: they learn whose the keys are that moto hands out.
func (l *Lab) stsOverlays() map[string]Overlay {
	learn := func(ctx context.Context, c *Call, next Next) Reply {
		r := next(ctx, c)
		out, err := readBody("query", r.Body)
		if err != nil || r.Status != 200 {
			return r
		}
		credentials, _ := out["Credentials"].(map[string]any)
		user, _ := out["AssumedRoleUser"].(map[string]any)
		key, _ := credentials["AccessKeyId"].(string)
		arn, _ := user["Arn"].(string) // arn:aws:sts::222222222222:assumed-role/ROLE/SESSION
		if parts := strings.Split(arn, ":"); key != "" && len(parts) == 6 {
			l.states.identities.learn(key, identity{parts[4], arn, arn[strings.LastIndexByte(arn, '/')+1:]})
		}
		return r
	}
	out := map[string]Overlay{}
	for _, o := range []string{"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"} {
		out["sts:"+o] = learn
	}
	out["iam:CreateAccessKey"] = func(ctx context.Context, c *Call, next Next) Reply {
		r := next(ctx, c)
		out, err := readBody("query", r.Body)
		if made, ok := out["AccessKey"].(map[string]any); err == nil && ok && r.Status == 200 {
			key, _ := made["AccessKeyId"].(string)
			user, _ := made["UserName"].(string)
			l.states.identities.learn(key, identity{c.Account, "arn:aws:iam::" + c.Account + ":user/" + user, user})
		}
		return r
	}
	return out
}

// isOneOf is for conditions that read as a sentence.
func isOneOf(s string, of ...string) bool { return slices.Contains(of, s) }
