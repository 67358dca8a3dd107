package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/policy"
	"github.com/astern-dev/astern/internal/signature"
)

// CarriedApproval is an approval file with its signature, as they came with a plan.
type CarriedApproval struct {
	File      string
	Document  []byte
	Signature []byte
}

// policyOf returns the policy of the environment that the plan acts on.
func (a *App) policyOf(p astern.Plan) astern.Policy {
	env, _, _ := astern.SplitAddress(p.Addresses()[0])
	e, _ := a.System.Environment(env)
	return e.Policy
}

// Approve records a person's word on a plan; verdict is approve or reject. As in Apply, somebody must vouch for the plan.
func (a *App) Approve(ctx context.Context, doc []byte, verdict, reason string, v Vouch) (hash string, err error) {
	defer func() { err = a.refusedPlan(ctx, doc, verdict, err) }()
	p, hash, err := a.approvable(ctx, doc, v)
	if err != nil {
		return "", err
	}
	if verdict == "approve" {
		if err := policy.May(a.policyOf(p), policy.MatterOf(p), a.By); err != nil {
			return "", err
		}
		if a.policyOf(p).ApprovalsSigned {
			return "", astern.Errorf(astern.Refused, "the policy counts signed approvals only").
				WithHint("astern approve PLAN --sign KEY signs with your SSH key")
		}
	}
	if err := a.Store.PutPlan(ctx, hash, doc, a.Now()); err != nil {
		return "", fmt.Errorf("storing the plan: %w", err)
	}
	return hash, a.Store.AddApproval(ctx, hash, a.By, verdict, reason, a.Now())
}

// ApproveSigned records a person's word on a plan, signed with the person's SSH key: whose it is say the allowed signers, and
// not the login. It returns what was signed, to be carried to whoever applies the plan.
func (a *App) ApproveSigned(ctx context.Context, doc []byte, verdict, reason string, v Vouch, key ssh.Signer) (word astern.Approval, err error) {
	defer func() { err = a.refusedPlan(ctx, doc, verdict, err) }()
	p, hash, err := a.approvable(ctx, doc, v)
	if err != nil {
		return astern.Approval{}, err
	}
	keys, err := a.signers()
	if err != nil {
		return astern.Approval{}, err
	}
	by, err := keys.Person(key.PublicKey(), signature.ApprovalNamespace, a.Now())
	if err != nil {
		return astern.Approval{}, err
	}
	if verdict == "approve" {
		if err := policy.May(a.policyOf(p), policy.MatterOf(p), by); err != nil {
			return astern.Approval{}, err
		}
	}
	word, err = policy.NewApproval(a.policyOf(p), p, hash, by, verdict, reason, a.Now())
	if err != nil {
		return word, err
	}
	if word.Signature, err = signature.Sign(key, signature.ApprovalNamespace, word.Document); err != nil {
		return word, err
	}
	if err := a.Store.PutPlan(ctx, hash, doc, a.Now()); err != nil {
		return word, fmt.Errorf("storing the plan: %w", err)
	}
	return word, a.Store.AddSigned(ctx, word)
}

// approvable decodes a plan on which a person can say a word.
func (a *App) approvable(ctx context.Context, doc []byte, v Vouch) (astern.Plan, string, error) {
	p, hash, err := a.decoded(doc)
	if err != nil {
		return p, "", err
	}
	if err := a.trusted(ctx, p, hash, doc, v); err != nil {
		return p, "", err
	}
	if err := a.same(p); err != nil {
		return p, "", err
	}
	if a.By == astern.PolicyVoice {
		return p, "", astern.Errorf(astern.Refused, "%q is no name of a person", a.By)
	}
	return p, hash, nil
}

// Receive judges approvals that came with a plan file; Apply counts them and keeps them. Anything that does not count is
// refused by name, for whoever carried it believes that it does: another plan's approval, one that has run out, one by a key
// that may not sign, or a second one by the same person.
func (a *App) Receive(ctx context.Context, doc []byte, carried []CarriedApproval) error {
	if len(carried) == 0 {
		return nil
	}
	p, hash, err := a.decoded(doc)
	if err != nil {
		return err
	}
	keys, err := a.signers()
	if err != nil {
		return err
	}
	had, err := a.Store.Signed(ctx, hash)
	if err != nil {
		return fmt.Errorf("reading approvals: %w", err)
	}
	for _, c := range carried {
		word, err := a.judged(p, hash, keys, c.Document, c.Signature, a.Now())
		if err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
		for _, other := range slices.Concat(had, a.carried) {
			if other.By == word.By && !bytes.Equal(other.Document, word.Document) && word.At.Before(other.Until) {
				return astern.Errorf(astern.Refused, "%s: there is an approval of %s already, and one person counts once", c.File, word.By)
			}
		}
		a.carried = append(a.carried, word)
	}
	return nil
}

// judged returns the word that an approval file says, when it is one of this plan and its signature counts.
func (a *App) judged(p astern.Plan, hash string, keys signature.Allowed, doc, sig []byte, at time.Time) (astern.Approval, error) {
	word, err := policy.ReadApproval(doc, p, hash, at)
	if err != nil {
		return word, err
	}
	if len(sig) == 0 {
		return word, astern.Errorf(astern.Refused, "the approval of %s is not signed", word.By).WithHint("its signature lies beside it, in a file whose name ends in .sig")
	}
	by, err := keys.Signer(signature.ApprovalNamespace, doc, sig, at)
	if err != nil {
		return word, err
	}
	if by != word.By {
		return word, astern.Errorf(astern.Refused, "the approval says that it is of %s, and it is signed by %s", word.By, by)
	}
	word.Signature = sig
	return word, nil
}

// KeepReceived stores the approvals that came with a stored plan.
func (a *App) KeepReceived(ctx context.Context, hash string) error {
	for _, w := range a.carried {
		if w.PlanHash != hash {
			continue
		}
		if err := a.Store.AddSigned(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// words returns what people said of a plan, each signature judged anew: what the state folder holds anybody may have written
// who can write there.
func (a *App) words(ctx context.Context, p astern.Plan, hash string, at time.Time) ([]policy.Word, error) {
	plain, err := a.Store.Approvals(ctx, hash)
	if err != nil {
		return nil, fmt.Errorf("reading approvals: %w", err)
	}
	signed, err := a.Store.Signed(ctx, hash)
	if err != nil {
		return nil, fmt.Errorf("reading approvals: %w", err)
	}
	for _, c := range a.carried {
		if c.PlanHash == hash && !slices.ContainsFunc(signed, func(s astern.Approval) bool { return bytes.Equal(s.Document, c.Document) }) {
			signed = append(signed, c)
		}
	}
	var out []policy.Word
	for _, w := range plain {
		out = append(out, policy.Word{Approval: w})
	}
	if len(signed) == 0 {
		return out, nil
	}
	keys, err := a.signers()
	if err != nil {
		return nil, err
	}
	for _, s := range signed {
		word, err := a.judged(p, hash, keys, s.Document, s.Signature, at)
		if err != nil {
			out = append(out, policy.Word{Approval: s, Bad: err.Error()})
			continue
		}
		out = append(out, policy.Word{Approval: word, Signed: true})
	}
	return out, nil
}

// Judge counts what people said of a plan, as of a moment.
func (a *App) Judge(ctx context.Context, p astern.Plan, hash string, at time.Time) (policy.Judgement, error) {
	words, err := a.words(ctx, p, hash, at)
	if err != nil {
		return policy.Judgement{}, err
	}
	return policy.Judge(a.policyOf(p), policy.MatterOf(p), words, at)
}

// approved refuses a plan that lacks approvals at a moment, or that somebody rejected.
func (a *App) approved(ctx context.Context, p astern.Plan, hash string, at time.Time) error {
	j, err := a.Judge(ctx, p, hash, at)
	if err != nil {
		return err
	}
	if j.Rejected != nil {
		return astern.Errorf(astern.Refused, "%s rejected the plan: %s", j.Rejected.By, j.Rejected.Reason).WithHint("make a new plan")
	}
	pol, m := a.policyOf(p), policy.MatterOf(p)
	need := p.Approvals // the policy may have become milder since, or stricter
	switch allowed, err := a.allowed(ctx, p); {
	case err != nil:
		return err
	case j.Waived:
		need = 0
	case allowed: // its limits were approved with its parent
		j.Missing = nil
	default:
		demands, err := policy.Demands(pol, m)
		if err != nil {
			return err
		}
		need = max(need, policy.Others(pol, demands, p.Asked.By))
	}
	have := len(slices.DeleteFunc(slices.Clone(j.Counted), func(who string) bool { return who == pol.Called(p.Asked.By) }))
	if have >= need && len(j.Missing) == 0 {
		return nil
	}
	headline := "the plan needs other approvals than it has"
	if have < need {
		headline = fmt.Sprintf("the plan needs %s and has %d", numbered(need, "approval"), have)
	}
	j.Missing = append([]string{headline}, j.Missing...)
	if o, err := a.overridden(ctx, hash); err != nil || o {
		return err
	}
	return astern.Errorf(astern.Waiting, "%s", strings.Join(append(j.Missing, prefixed("does not count: ", j.Ignored)...), "\n  ")).
		WithHint("somebody other than %s types: astern approve PLAN.json --reason …", p.Asked.By)
}

func prefixed(prefix string, lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = prefix + l
	}
	return out
}

// overridden reports whether somebody broke the glass for the plan.
func (a *App) overridden(ctx context.Context, hash string) (bool, error) {
	all, err := a.Store.Overrides(ctx)
	return slices.ContainsFunc(all, func(o astern.Override) bool { return o.PlanHash == hash }), err
}

// permitted refuses what the policy forbids now: a freeze, or approvals that are missing. Where the glass is broken, it
// returns instead what that went over. A rejection stays one.
func (a *App) permitted(ctx context.Context, p astern.Plan, hash string) (forbidden []string, err error) {
	pol := a.policyOf(p)
	frozen, err := policy.Frozen(pol, policy.MatterOf(p), a.Now())
	if err != nil {
		return nil, err
	}
	var forbids []error
	for _, f := range frozen {
		if !f.Pierced {
			forbids = append(forbids, astern.Errorf(astern.Refused, "freeze %s holds until %s: %s", f.Name, f.Until.Format("Mon 2006-01-02 15:04 MST"), f.Why).
				WithHint("an incident is named with --severity; who must go over it: astern apply PLAN --break-glass --reason …"))
		}
	}
	err = a.approved(ctx, p, hash, a.Now())
	if astern.CodeOf(err) == astern.Waiting {
		forbids = append(forbids, err)
	} else if err != nil {
		return nil, err
	}
	if len(forbids) == 0 {
		return nil, nil
	}
	if a.BreakGlass == "" {
		return nil, forbids[0]
	}
	if err := policy.MayBreakGlass(pol, a.By); err != nil {
		return nil, err
	}
	for _, f := range forbids {
		forbidden = append(forbidden, f.Error())
	}
	return forbidden, nil
}

// defaultReview is until when somebody must have reviewed a broken glass where the policy does not say.
const defaultReview = 24 * time.Hour

// override records that the stored plan is applied over the policy's head. Nothing is applied before that is written.
func (a *App) override(ctx context.Context, p astern.Plan, hash string, forbidden []string) error {
	if len(forbidden) == 0 {
		return nil
	}
	review := defaultReview
	if g := a.policyOf(p).BreakGlass; g != nil && g.ReviewSeconds > 0 {
		review = time.Duration(g.ReviewSeconds) * time.Second
	}
	o := astern.Override{PlanHash: hash, By: a.By, Reason: a.BreakGlass, Over: forbidden, At: a.Now().UTC(), ReviewDue: a.Now().UTC().Add(review)}
	if a.OnOverride != nil {
		a.OnOverride(o)
	}
	return a.Store.AddOverride(ctx, o)
}

// Review records what somebody says of a broken glass. Whoever broke it can't; prefix is how the plan's hash begins.
func (a *App) Review(ctx context.Context, prefix, review string) (astern.Override, error) {
	all, err := a.Store.Overrides(ctx)
	if err != nil {
		return astern.Override{}, err
	}
	all = slices.DeleteFunc(all, func(o astern.Override) bool { return !strings.HasPrefix(o.PlanHash, prefix) })
	if len(all) != 1 {
		return astern.Override{}, astern.Errorf(astern.NotFound, "%d broken glasses are of a plan %q", len(all), prefix).WithHint("astern policy reviews lists them")
	}
	o, called := all[0], a.calledIn(ctx, all[0].PlanHash)
	if called(o.By) == called(a.By) {
		return o, astern.Errorf(astern.Refused, "%s broke the glass and can't review it", a.By).WithHint("somebody else must")
	}
	return o, a.Store.AddReview(ctx, o.PlanHash, a.By, review, a.Now())
}

// calledIn returns how the policy of a stored plan calls people.
func (a *App) calledIn(ctx context.Context, hash string) func(string) string {
	doc, err := a.Store.Plan(ctx, hash)
	if err == nil {
		if p, _, err := a.decoded(doc); err == nil {
			return a.policyOf(p).Called
		}
	}
	return func(name string) string { return name }
}

// Consent lets the policy itself approve a plan, for an automatic action: it says whether it does, and why. A plan to which it
// consents is stored, with the consent. Unanswered says that everybody was called and nobody is left.
func (a *App) Consent(ctx context.Context, p Planned, unanswered bool) (policy.Autonomy, error) {
	past, err := a.acted(ctx)
	if err != nil {
		return policy.Autonomy{}, err
	}
	alone, err := policy.Alone(a.policyOf(p.Plan), policy.MatterOf(p.Plan), past, unanswered, a.Now())
	if err != nil || !alone.May {
		return alone, err
	}
	err = a.Keep(ctx, p)
	if err == nil {
		err = a.Store.AddApproval(ctx, p.Hash, astern.PolicyVoice, "approve", alone.Because, a.Now())
	}
	alone.May = err == nil
	return alone, err
}

// acted returns the executions to which the policy itself had consented.
func (a *App) acted(ctx context.Context) ([]policy.Acted, error) {
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return nil, fmt.Errorf("reading executions: %w", err)
	}
	var out []policy.Acted
	for _, e := range all {
		words, err := a.Store.Approvals(ctx, e.PlanHash)
		if err != nil {
			return nil, fmt.Errorf("reading approvals: %w", err)
		}
		if slices.ContainsFunc(words, func(w astern.Approval) bool { return w.By == astern.PolicyVoice }) {
			one := policy.Acted{At: e.CreatedAt}
			for _, address := range e.Addresses {
				_, name, _ := astern.SplitAddress(address)
				one.Components = append(one.Components, name)
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// signers reads who may sign.
func (a *App) signers() (signature.Allowed, error) {
	if a.System.AllowedSigners == "" {
		return signature.Allowed{}, astern.Errorf(astern.Refused, "astern.yaml names no allowed_signers to know the key by").
			WithHint("write them as for ssh-keygen -Y verify, and name the file in astern.yaml")
	}
	b, err := a.readBeside("allowed signers", a.System.AllowedSigners)
	if err != nil {
		return signature.Allowed{}, err
	}
	keys, err := signature.ParseAllowed(a.System.AllowedSigners, b)
	if err != nil || a.System.RevokedSigners == "" {
		return keys, err
	}
	if b, err = a.readBeside("revoked signers", a.System.RevokedSigners); err != nil {
		return keys, err
	}
	return keys.Revoke(a.System.RevokedSigners, b)
}

// CheckPolicy reports what is wrong with the policies that only other files and the moment tell: two people with one key, and
// demands that nobody with a key can fulfil. All of it at once.
func (a *App) CheckPolicy() error {
	var wrong []error
	refuse := func(format string, args ...any) {
		wrong = append(wrong, astern.Errorf(astern.Invalid, format, args...))
	}
	for _, e := range a.System.Environments {
		if !e.Policy.ApprovalsSigned {
			continue
		}
		keys, err := a.signers()
		if err != nil {
			return err
		}
		if len(wrong) == 0 { // the file is one for all
			for _, d := range keys.Doubles() {
				refuse("%s: %s", a.System.AllowedSigners, d)
			}
		}
		who := keys.People(signature.ApprovalNamespace, a.Now())
		for _, d := range everyDemand(e.Policy) {
			if len(e.Policy.People) == 0 && d.Approvals > len(who) {
				refuse("environment %s: it needs %d approvals, and %d people have a key: everybody is locked out", e.Name, d.Approvals, len(who))
			}
			if why := policy.Locked(e.Policy, d.Demand, func(p string) bool { return slices.Contains(who, p) }); why != "" {
				refuse("environment %s, %s: %s (of those who have a key)", e.Name, d.Because, why)
			}
		}
	}
	return errors.Join(wrong...)
}

// everyDemand returns all that the policy may demand.
func everyDemand(p astern.Policy) []policy.Reason {
	out := []policy.Reason{{Demand: astern.Demand{Approvals: p.Approvals}, Because: "approvals"},
		{Demand: astern.Demand{Approvals: p.ApprovalsOnLoss}, Because: "approvals_on_loss"}}
	for _, s := range policy.Scale(p) {
		if len(p.Severities) > 0 {
			out = append(out, policy.Reason{Demand: s.Demand, Because: s.Name})
		}
	}
	for _, l := range p.Losses {
		out = append(out, policy.Reason{Demand: l.Demand, Because: "losses"})
	}
	for _, c := range p.Components {
		out = append(out, policy.Reason{Demand: c.Demand, Because: "component " + c.Name})
	}
	return out
}
