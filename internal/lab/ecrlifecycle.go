package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a lifecycle policy of ECR does to images, pure:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html and
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
//
// Images expire "within 24 hours" of meeting a rule. In the lab a policy is evaluated 24 hours after it was put and every
// 24 hours from then on, so that what it will do can be seen before it does it.

const lifecycleEvery = 24 * time.Hour

type imagePolicy struct {
	text  string
	put   time.Time
	rules []imageRule // by priority
}

type imageRule struct {
	Priority  *int           `json:"rulePriority"`
	Selection imageSelection `json:"selection"`
	Action    struct {
		Type string `json:"type"`
	} `json:"action"`
}

type imageSelection struct {
	TagStatus   string   `json:"tagStatus"`
	Prefixes    []string `json:"tagPrefixList"`
	Patterns    []string `json:"tagPatternList"`
	CountType   string   `json:"countType"`
	CountUnit   string   `json:"countUnit"`
	CountNumber int      `json:"countNumber"`
}

// readImagePolicy reads and checks a policy. The error is what ECR says of it.
func readImagePolicy(text string) (*imagePolicy, error) {
	var doc struct {
		Rules []imageRule `json:"rules"`
	}
	if json.Unmarshal([]byte(text), &doc) != nil {
		return nil, said("Could not map policyString into LifecyclePolicy.")
	}
	if len(doc.Rules) == 0 || len(doc.Rules) > 50 {
		return nil, fmt.Errorf(`object has missing required properties (["rules"])`)
	}
	p := &imagePolicy{text: text, rules: doc.Rules}
	seen, untagged := map[int]bool{}, 0
	for _, r := range p.rules {
		if err := r.check(); err != nil {
			return nil, err
		}
		if seen[*r.Priority] {
			return nil, fmt.Errorf("rulePriority %d is used more than once", *r.Priority)
		}
		seen[*r.Priority] = true
		untagged += boolInt(r.Selection.TagStatus == "untagged")
	}
	if untagged > 1 {
		return nil, fmt.Errorf("only one rule is allowed to select untagged images")
	}
	slices.SortFunc(p.rules, func(a, b imageRule) int { return *a.Priority - *b.Priority })
	for i, r := range p.rules {
		if r.Selection.TagStatus == "any" && i < len(p.rules)-1 {
			return nil, fmt.Errorf("a rule with tagStatus any must have the highest value for rulePriority")
		}
	}
	return p, nil
}

func (r imageRule) check() error {
	s := r.Selection
	switch {
	case r.Priority == nil || *r.Priority < 1:
		return fmt.Errorf("rulePriority must be a number from 1")
	case r.Action.Type != "expire":
		return fmt.Errorf("the action type %q is not one that the lab carries out: expire", r.Action.Type)
	case !isOneOf(s.TagStatus, "tagged", "untagged", "any"):
		return fmt.Errorf("tagStatus must be tagged, untagged or any")
	case s.TagStatus == "tagged" && (len(s.Prefixes) == 0) == (len(s.Patterns) == 0):
		return fmt.Errorf("tagStatus tagged needs either a tagPatternList or a tagPrefixList")
	case s.TagStatus != "tagged" && len(s.Prefixes)+len(s.Patterns) > 0:
		return fmt.Errorf("tagPatternList and tagPrefixList are only for tagStatus tagged")
	case !isOneOf(s.CountType, "imageCountMoreThan", "sinceImagePushed"):
		return fmt.Errorf("the countType %q is not one that the lab carries out: imageCountMoreThan, sinceImagePushed", s.CountType)
	case s.CountType == "sinceImagePushed" && s.CountUnit != "days" || s.CountType == "imageCountMoreThan" && s.CountUnit != "":
		return fmt.Errorf("countUnit must be days with sinceImagePushed, and only with that")
	case s.CountNumber < 1 || s.CountNumber > 100_000:
		return fmt.Errorf("countNumber must be a number from 1")
	}
	for _, p := range s.Patterns {
		if strings.Count(p, "*") > 4 {
			return fmt.Errorf("a pattern of tagPatternList has at most four wildcards")
		}
	}
	return nil
}

// selects tells whether an image meets the tagging requirements: all prefixes or patterns, each by any of its tags.
func (s imageSelection) selects(img *containerImage) bool {
	switch s.TagStatus {
	case "any":
		return true
	case "untagged":
		return len(img.Tags) == 0
	}
	if len(img.Tags) == 0 {
		return false
	}
	every := func(list []string, fits func(tag, want string) bool) bool {
		return !slices.ContainsFunc(list, func(want string) bool {
			return !slices.ContainsFunc(img.Tags, func(tag string) bool { return fits(tag, want) })
		})
	}
	return every(s.Prefixes, strings.HasPrefix) && every(s.Patterns, wildcard)
}

// wildcard matches a text against a pattern in which * stands for anything, also nothing.
func wildcard(text, pattern string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return text == pattern
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	last := parts[len(parts)-1]
	for _, p := range parts[1 : len(parts)-1] {
		at := strings.Index(text, p)
		if at < 0 {
			return false
		}
		text = text[at+len(p):]
	}
	return len(text) >= len(last) && strings.HasSuffix(text, last)
}

// expiring is an image that a policy expires, and the rule that does.
type expiring struct {
	image *containerImage
	rule  int
}

// evaluate tells which of the images a policy expires at a time. Higher priorities choose first: what a rule selects by
// its tags no later rule may expire, but later rules still count it.
func (p *imagePolicy) evaluate(images []*containerImage, at time.Time) (out []expiring) {
	claimed := map[*containerImage]bool{}
	young := slices.Clone(images) // youngest first
	slices.Reverse(young)
	slices.SortStableFunc(young, func(a, b *containerImage) int { return b.Pushed.Compare(a.Pushed) })
	for _, r := range p.rules {
		var selected []*containerImage
		for _, img := range young {
			if r.Selection.selects(img) && !img.Pushed.After(at) {
				selected = append(selected, img)
			}
		}
		for i, img := range selected {
			due := i >= r.Selection.CountNumber
			if r.Selection.CountType == "sinceImagePushed" {
				due = at.Sub(img.Pushed) > time.Duration(r.Selection.CountNumber)*24*time.Hour
			}
			if due && !claimed[img] {
				out = append(out, expiring{img, *r.Priority})
			}
		}
		for _, img := range selected {
			claimed[img] = true
		}
	}
	return out
}

// settle lets a repository's policy do what it does by itself until now.
func (r *repository) settle(now time.Time) {
	for p := r.policy; p != nil; {
		next := r.done.Add(lifecycleEvery)
		if next.After(now) {
			return
		}
		if now.Sub(next) > 400*lifecycleEvery && len(r.images) == 0 {
			next = now // nothing to do in all that time
		}
		r.expire(next)
	}
}

// expire carries the policy out and returns what is gone.
func (r *repository) expire(at time.Time) (gone []expiring) {
	r.done = at
	if r.policy == nil {
		return nil
	}
	due := r.policy.evaluate(r.images, at)
	for again := true; again; { // a manifest list goes before the images that it holds
		again = false
		due = slices.DeleteFunc(due, func(e expiring) bool {
			if r.referenced(e.image) {
				return false
			}
			r.remove(e.image)
			gone = append(gone, e)
			again = true
			return true
		})
	}
	return gone
}

// expireImages carries out all policies now, as `astern lab expire` asks for, and returns what they took away.
func (l *Lab) expireImages(ctx context.Context, now time.Time) (out []Expired) {
	l.settleECS(ctx, nil, now)
	l.states.ecr.mu.Lock()
	defer l.states.ecr.mu.Unlock()
	for _, key := range names(l.states.ecr.repos) {
		r := l.states.ecr.repos[key]
		r.settle(now)
		parts := strings.SplitN(key, "/", 3)
		for _, e := range r.expire(now) {
			out = append(out, Expired{Account: parts[0], Repository: parts[2], Key: strings.Join(e.image.Tags, ","), VersionID: e.image.Digest, Rule: strconv.Itoa(e.rule)})
		}
	}
	return out
}

func putLifecyclePolicy(c *Call, r *repository, _ map[string]any) Reply {
	p, refused := policyOf(c, c.Text("lifecyclePolicyText"))
	if refused != nil {
		return *refused
	}
	p.put, r.policy, r.done = c.Time, p, c.Time
	return jsonReply(c, http.StatusOK, r.policyView(c, p))
}

func policyOf(c *Call, text string) (*imagePolicy, *Reply) {
	p, err := readImagePolicy(text)
	if err != nil {
		return nil, ecrError(c, "InvalidParameterException", "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: "+err.Error()+"'")
	}
	return p, nil
}

func (r *repository) policyView(c *Call, p *imagePolicy) map[string]any {
	return map[string]any{"registryId": registryOf(c), "repositoryName": c.Text("repositoryName"), "lifecyclePolicyText": p.text}
}

func noPolicy(c *Call) Reply {
	return *ecrError(c, "LifecyclePolicyNotFoundException", "Lifecycle policy does not exist for "+where(c))
}

func getLifecyclePolicy(c *Call, r *repository, _ map[string]any) Reply {
	if r.policy == nil {
		return noPolicy(c)
	}
	out := r.policyView(c, r.policy)
	if r.done.After(r.policy.put) {
		out["lastEvaluatedAt"] = epoch(r.done)
	}
	return jsonReply(c, http.StatusOK, out)
}

func deleteLifecyclePolicy(c *Call, r *repository, _ map[string]any) Reply {
	if r.policy == nil {
		return noPolicy(c)
	}
	out := r.policyView(c, r.policy)
	if r.done.After(r.policy.put) {
		out["lastEvaluatedAt"] = epoch(r.done)
	}
	r.policy = nil
	return jsonReply(c, http.StatusOK, out)
}

func startLifecyclePolicyPreview(c *Call, r *repository, _ map[string]any) Reply {
	p := r.policy
	if text := c.Text("lifecyclePolicyText"); text != "" {
		given, refused := policyOf(c, text)
		if refused != nil {
			return *refused
		}
		p = given
	}
	if p == nil {
		return noPolicy(c)
	}
	r.preview, r.asOf = p, c.Time
	out := r.policyView(c, p)
	out["status"] = "IN_PROGRESS"
	return jsonReply(c, http.StatusOK, out)
}

func getLifecyclePolicyPreview(c *Call, r *repository, _ map[string]any) Reply {
	if r.preview == nil {
		return *ecrError(c, "LifecyclePolicyPreviewNotFoundException", "There is no dry run for this repository")
	}
	out := r.policyView(c, r.preview)
	due := r.preview.evaluate(r.images, r.asOf)
	results := []any{}
	for _, e := range due {
		if ids := objectsOf(c.Input["imageIds"]); len(ids) > 0 && !slices.ContainsFunc(ids, func(id map[string]any) bool {
			return textOf(id["imageDigest"]) == e.image.Digest || slices.Contains(e.image.Tags, textOf(id["imageTag"]))
		}) {
			continue
		}
		results = append(results, map[string]any{"imageTags": append([]string{}, e.image.Tags...), "imageDigest": e.image.Digest,
			"imagePushedAt": epoch(e.image.Pushed), "action": map[string]any{"type": "EXPIRE"}, "appliedRulePriority": e.rule})
	}
	page, next, ok := paged(results, c.Text("nextToken"), intOf(c.Input["maxResults"], 100))
	if !ok {
		return *ecrError(c, "InvalidParameterException", "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'")
	}
	put(out, "nextToken", next)
	out["status"], out["previewResults"] = "COMPLETE", page
	out["summary"] = map[string]any{"expiringImageTotalCount": len(due)}
	return jsonReply(c, http.StatusOK, out)
}
