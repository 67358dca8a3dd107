package policy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/canonical"
)

// approvalVersion is the version of the document that people sign.
const approvalVersion = 1

// MaxApproval is the largest approval file, in bytes.
const MaxApproval = 64 << 10

// skew is how far another machine's clock may be ahead of ours.
const skew = 5 * time.Minute

// approvalFile is a person's word as it is signed: canonical JSON (RFC 8785), so that there is one form of it.
type approvalFile struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	// Plan is the hash of the plan, which covers everything in it. System and Environments say to a person what it is about.
	Plan         string    `json:"plan"`
	System       string    `json:"system"`
	Environments []string  `json:"environments"`
	Verdict      string    `json:"verdict"`
	By           string    `json:"by"`
	Reason       string    `json:"reason"`
	At           time.Time `json:"at"`
	Until        time.Time `json:"until"`
}

// NewApproval returns a person's word on a plan with the document that is to be signed. It counts as long as the policy says,
// and no longer than the plan.
func NewApproval(p astern.Policy, plan astern.Plan, hash, by, verdict, reason string, now time.Time) (astern.Approval, error) {
	at := now.UTC().Truncate(time.Second)
	until := plan.ExpiresAt.UTC().Truncate(time.Second)
	if p.ApprovalSeconds > 0 {
		until = earlier(until, at.Add(time.Duration(p.ApprovalSeconds)*time.Second))
	}
	f := approvalFile{"Approval", approvalVersion, hash, plan.System, environments(plan), verdict, by, reason, at, until}
	doc, err := f.canonical()
	if err != nil {
		return astern.Approval{}, err
	}
	return astern.Approval{PlanHash: hash, By: by, Verdict: verdict, Reason: reason, At: at, Until: until, Document: doc}, nil
}

func (f approvalFile) canonical() ([]byte, error) {
	b, err := canonical.JSON(f)
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "writing an approval as JSON: %w", err)
	}
	return b, nil
}

func environments(p astern.Plan) []string {
	out := []string{}
	for _, a := range p.Addresses() {
		if env, _, ok := astern.SplitAddress(a); ok && !slices.Contains(out, env) {
			out = append(out, env)
		}
	}
	return out
}

// ReadApproval reads an approval file and refuses it when it is not one of exactly this plan: another plan's, an older one's,
// of another environment, from the future, or edited so that it no longer has its one form. Whether its signature counts is
// judged elsewhere, and whether its time is over when it is counted.
func ReadApproval(doc []byte, plan astern.Plan, hash string, now time.Time) (astern.Approval, error) {
	if len(doc) > MaxApproval {
		return astern.Approval{}, astern.Errorf(astern.Invalid, "the approval has more than %d KiB", MaxApproval>>10)
	}
	var f approvalFile
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil || f.Kind != "Approval" {
		return astern.Approval{}, astern.Errorf(astern.Invalid, "this is no approval").WithHint("astern approve PLAN --sign KEY --out FILE writes one")
	}
	if f.Version != approvalVersion {
		return astern.Approval{}, astern.Errorf(astern.Refused, "the approval was made by another astern: its version is %d, this one reads %d", f.Version, approvalVersion)
	}
	if again, err := f.canonical(); err != nil || !bytes.Equal(again, doc) {
		return astern.Approval{}, astern.Errorf(astern.Refused, "the approval was edited: it no longer has its canonical form").WithHint("ask %s for it anew", f.By)
	}
	refuse := func(format string, args ...any) (astern.Approval, error) {
		return astern.Approval{}, astern.Errorf(astern.Refused, format, args...).WithHint("ask %s to look at this plan: astern approve PLAN --sign KEY --out FILE", f.By)
	}
	switch {
	case f.System != plan.System:
		return refuse("the approval of %s is for system %s, this is %s", f.By, f.System, plan.System)
	case !slices.Equal(f.Environments, environments(plan)):
		return refuse("the approval of %s is for environment %s, the plan acts on %s", f.By, strings.Join(f.Environments, ", "), strings.Join(environments(plan), ", "))
	case f.Plan != hash:
		return refuse("the approval of %s is of another plan: it names %.12s…, this one is %.12s…", f.By, f.Plan, hash)
	case f.Verdict != "approve" && f.Verdict != "reject" || f.By == "" || f.By == astern.PolicyVoice:
		return refuse("the approval says %q by %q", f.Verdict, f.By)
	case f.At.Before(plan.CreatedAt.Add(-skew)):
		return refuse("%s approved at %s, before the plan was made", f.By, f.At.UTC().Format(moment))
	case f.At.After(now.Add(skew)):
		return refuse("%s approved at %s, which is still to come by this machine's clock", f.By, f.At.UTC().Format(moment))
	case f.Verdict == "approve" && !now.Before(f.Until):
		return refuse("the approval of %s counted until %s", f.By, f.Until.UTC().Format(moment))
	case f.Until.After(plan.ExpiresAt):
		return refuse("the approval of %s counts longer than the plan may be applied", f.By)
	}
	return astern.Approval{PlanHash: hash, By: f.By, Verdict: f.Verdict, Reason: f.Reason, At: f.At, Until: f.Until, Document: doc}, nil
}
