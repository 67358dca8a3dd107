// Package iampolicy writes the policies of IAM that astern's credentials need: from permissions to the documents that
// `aws iam create-policy` takes. It is pure.
//
// Permissions on the same resource under the same conditions become one statement, and so do those of the same actions on
// several resources. A policy holds at most 6,144 characters, so what is larger becomes several.
package iampolicy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/astern-dev/astern"
)

// MaxCharacters is what a managed policy may hold, white space not counted.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const MaxCharacters = 6144

// Policy is one document, with what it is for.
type Policy struct {
	// Name is one for the policy in IAM: astern-recovery, or astern-recovery-2 where one can't hold all.
	Name string               `json:"name"`
	Use  astern.PermissionUse `json:"use"`
	// Why lists what the permissions are for, each once.
	Why      []string `json:"why"`
	Document Document `json:"document"`
}

// Document is a policy as IAM takes it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type Document struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
}

// Statement allows or denies actions on resources.
type Statement struct {
	Sid       string                         `json:"Sid"`
	Effect    string                         `json:"Effect"`
	Action    []string                       `json:"Action"`
	Resource  []string                       `json:"Resource"`
	Condition map[string]map[string][]string `json:"Condition,omitempty"`
}

// titles are the names of policies by use.
var titles = map[astern.PermissionUse]string{astern.UseRead: "read-only", astern.UseDiscover: "init", astern.UseRecover: "recovery", astern.UsePrune: "pruning"}

// Write returns the policies of one use. Whoever gets the recovery needs the read-only one as well.
func Write(use astern.PermissionUse, list []astern.Permission) []Policy {
	var parts [][]Statement
	var now []Statement
	for _, s := range small(merged(use, list)) {
		if len(now) > 0 && size(Document{"2012-10-17", numbered(append(slices.Clone(now), s))}) > MaxCharacters {
			parts, now = append(parts, now), nil
		}
		now = append(now, s)
	}
	if len(now) > 0 {
		parts = append(parts, now)
	}
	var why []string
	for _, p := range list {
		if p.Use == use && !slices.Contains(why, p.Why) {
			why = append(why, p.Why)
		}
	}
	out := make([]Policy, len(parts))
	for i, statements := range parts {
		out[i] = Policy{Name: "astern-" + titles[use], Use: use, Why: why, Document: Document{"2012-10-17", numbered(statements)}}
		if i > 0 {
			out[i].Name += fmt.Sprintf("-%d", i+1)
		}
	}
	return out
}

// merged joins the permissions of a use into statements.
func merged(use astern.PermissionUse, list []astern.Permission) []Statement {
	type group struct {
		effect            string
		when              map[string]map[string][]string
		actions, resource map[string]bool
	}
	gather := func(of map[string]*group, key, effect string, when map[string]map[string][]string) *group {
		if of[key] == nil {
			of[key] = &group{effect, when, map[string]bool{}, map[string]bool{}}
		}
		return of[key]
	}
	onOne := map[string]*group{}
	for _, p := range list {
		if p.Use == use {
			effect := "Allow"
			if p.Forbidden {
				effect = "Deny"
			}
			g := gather(onOne, effect+"\n"+p.Resource+"\n"+service(p.Action)+"\n"+text(p.When), effect, p.When)
			g.actions[p.Action], g.resource[p.Resource] = true, true
		}
	}
	ofSame := map[string]*group{}
	for _, key := range slices.Sorted(maps.Keys(onOne)) {
		one := onOne[key]
		g := gather(ofSame, one.effect+"\n"+strings.Join(slices.Sorted(maps.Keys(one.actions)), " ")+"\n"+text(one.when), one.effect, one.when)
		maps.Copy(g.actions, one.actions)
		maps.Copy(g.resource, one.resource)
	}
	var out []Statement
	for _, key := range slices.Sorted(maps.Keys(ofSame)) {
		g := ofSame[key]
		out = append(out, Statement{Effect: g.effect, Action: slices.Sorted(maps.Keys(g.actions)), Resource: slices.Sorted(maps.Keys(g.resource)), Condition: g.when})
	}
	return out
}

// small cuts statements that one policy can't hold into several, by their resources.
func small(list []Statement) []Statement {
	var out []Statement
	for _, s := range list {
		for len(s.Resource) > 1 && size(Document{"2012-10-17", numbered([]Statement{s})}) > MaxCharacters {
			head := s
			for n := len(s.Resource) / 2; ; n /= 2 {
				head.Resource = s.Resource[:n]
				if n == 1 || size(Document{"2012-10-17", numbered([]Statement{head})}) <= MaxCharacters {
					break
				}
			}
			out, s.Resource = append(out, head), s.Resource[len(head.Resource):]
		}
		out = append(out, s)
	}
	return out
}

// numbered gives statements ids that say their service, and are different.
func numbered(list []Statement) []Statement {
	used := map[string]int{}
	for i := range list {
		name := service(list[i].Action[0])
		name = strings.ToUpper(name[:1]) + strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return r
			}
			return -1
		}, name[1:])
		used[name]++
		list[i].Sid = fmt.Sprintf("%s%d", name, used[name])
	}
	return list
}

func service(action string) string {
	prefix, _, _ := strings.Cut(action, ":")
	return prefix
}

func text(when map[string]map[string][]string) string {
	b, _ := json.Marshal(when) // maps of texts always encode
	return string(b)
}

// size counts as IAM does.
func size(d Document) int {
	b, _ := json.Marshal(d) // as above
	var plain bytes.Buffer
	_ = json.Compact(&plain, b) // it is JSON
	return plain.Len()
}
