package awsecs

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// What a lifecycle policy of ECR will do to an image, without asking for a preview: StartLifecyclePolicyPreview is a call that
// begins something. https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html

// lifecycleRule is a rule of a policy.
type lifecycleRule struct {
	Priority  int `json:"rulePriority"`
	Selection struct {
		TagStatus   string   `json:"tagStatus"`
		Prefixes    []string `json:"tagPrefixList"`
		Patterns    []string `json:"tagPatternList"`
		CountType   string   `json:"countType"`
		CountUnit   string   `json:"countUnit"`
		CountNumber int      `json:"countNumber"`
	} `json:"selection"`
	Action struct {
		Type string `json:"type"`
	} `json:"action"`
}

// readLifecycle reads a policy; its rules come in the order in which they choose.
func readLifecycle(text string) ([]lifecycleRule, error) {
	var doc struct {
		Rules []lifecycleRule `json:"rules"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, astern.Errorf(astern.Internal, "reading a lifecycle policy: %w", err)
	}
	slices.SortStableFunc(doc.Rules, func(a, b lifecycleRule) int { return a.Priority - b.Priority })
	return doc.Rules, nil
}

// CheckPolicy judges a lifecycle policy that somebody proposes by its form. It returns an Invalid error for what the registry
// would refuse, too.
func CheckPolicy(doc []byte) error {
	const hint = `it looks like {"rules": [{"rulePriority": 1, "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}, "action": {"type": "expire"}}]}`
	var policy struct {
		Rules []lifecycleRule `json:"rules"`
	}
	if err := json.Unmarshal(doc, &policy); err != nil {
		return astern.Errorf(astern.Invalid, "reading the lifecycle policy: %w", err).WithHint(hint)
	}
	if len(policy.Rules) == 0 {
		return astern.Errorf(astern.Invalid, "the lifecycle policy has no rules").WithHint(hint)
	}
	for _, r := range policy.Rules {
		switch s := r.Selection; {
		case r.Priority < 1 || s.CountNumber < 1 || r.Action.Type == "":
			return astern.Errorf(astern.Invalid, "rule %d of the lifecycle policy lacks rulePriority, countNumber or action", r.Priority).WithHint(hint)
		case !slices.Contains([]string{"any", "tagged", "untagged"}, s.TagStatus):
			return astern.Errorf(astern.Invalid, "rule %d of the lifecycle policy: tagStatus is %q", r.Priority, s.TagStatus).WithHint("it is any, tagged or untagged")
		case !slices.Contains([]string{"imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"}, s.CountType):
			return astern.Errorf(astern.Invalid, "rule %d of the lifecycle policy: countType is %q", r.Priority, s.CountType).WithHint("it is imageCountMoreThan, sinceImagePushed, sinceImagePulled or sinceImageTransitioned")
		}
	}
	return nil
}

// selects reports whether an image meets the rule's tagging requirements: all of the prefixes or patterns, each by any tag.
func (r lifecycleRule) selects(i stored) bool {
	s := r.Selection
	switch s.TagStatus {
	case "any":
		return true
	case "untagged":
		return len(i.tags) == 0
	case "tagged":
	default:
		return false
	}
	every := func(wanted []string, fits func(tag, want string) bool) bool {
		return !slices.ContainsFunc(wanted, func(want string) bool {
			return !slices.ContainsFunc(i.tags, func(tag string) bool { return fits(tag, want) })
		})
	}
	return len(i.tags) > 0 && every(s.Prefixes, strings.HasPrefix) && every(s.Patterns, wildcard)
}

// wildcard matches a tag, which has no slash and no bracket, against a pattern in which * stands for anything.
func wildcard(tag, wanted string) bool {
	ok, err := path.Match(wanted, tag)
	return ok && err == nil
}

// fate is when an image expires: by date, or by how many images are pushed first. Neither means never.
type fate struct {
	at     time.Time
	pushes int
	rule   string
	// due is true when the image expires within a day, and old when nobody knows: a rule by the last pull.
	due, pulls bool
}

// fateOf returns what the policy does to the image with that digest. The first rule that selects an image by its tags decides;
// later rules still count it.
func fateOf(rules []lifecycleRule, images []stored, digest string, now time.Time) fate {
	at := slices.IndexFunc(images, func(i stored) bool { return i.digest == digest })
	if at < 0 {
		return fate{}
	}
	for _, r := range rules {
		if !r.selects(images[at]) {
			continue
		}
		out := fate{rule: fmt.Sprintf("rule %d", r.Priority)}
		if r.Action.Type != "expire" { // archived, and then pulled no more
			out.rule += " (" + r.Action.Type + ")"
		}
		switch n := r.Selection.CountNumber; r.Selection.CountType {
		case "sinceImagePushed":
			out.at = images[at].pushed.Add(time.Duration(n) * 24 * time.Hour)
			out.due = !out.at.After(now)
		case "imageCountMoreThan":
			younger := 0
			for _, i := range images {
				if r.selects(i) && i.pushed.After(images[at].pushed) {
					younger++
				}
			}
			out.pushes = n - younger
			out.due = out.pushes < 1
		default:
			out.pulls = true
		}
		return out
	}
	return fate{}
}
