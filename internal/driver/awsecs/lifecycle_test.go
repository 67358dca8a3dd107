package awsecs

import (
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// What each rule does to the oldest image, "a", of a repository with three.
func TestFate(t *testing.T) {
	day := 24 * time.Hour
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	images := []stored{{"a", []string{"v1"}, now.Add(-3 * day)}, {"b", []string{"v2", "prod"}, now.Add(-2 * day)}, {"c", nil, now.Add(-1 * day)}}
	rule := func(priority, selection string) string {
		return `{"rulePriority":` + priority + `,"selection":{` + selection + `},"action":{"type":"expire"}}`
	}
	for name, c := range map[string]struct {
		rules, digest string
		want          fate
	}{
		"no rule":                      {"", "a", fate{}},
		"by date":                      {rule("1", `"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":10`), "a", fate{at: now.Add(7 * day), rule: "rule 1"}},
		"by date, due":                 {rule("1", `"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":2`), "a", fate{at: now.Add(-day), rule: "rule 1", due: true}},
		"by count":                     {rule("1", `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":5`), "a", fate{pushes: 3, rule: "rule 1"}},
		"by count, next":               {rule("1", `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":3`), "a", fate{pushes: 1, rule: "rule 1"}},
		"by count, due":                {rule("1", `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":2`), "a", fate{rule: "rule 1", due: true}},
		"counts only what it selects":  {rule("1", `"tagStatus":"tagged","tagPrefixList":["v"],"countType":"imageCountMoreThan","countNumber":2`), "a", fate{pushes: 1, rule: "rule 1"}},
		"another prefix":               {rule("1", `"tagStatus":"tagged","tagPrefixList":["w"],"countType":"imageCountMoreThan","countNumber":1`), "a", fate{}},
		"all prefixes are needed":      {rule("1", `"tagStatus":"tagged","tagPrefixList":["v","prod"],"countType":"imageCountMoreThan","countNumber":1`), "a", fate{}},
		"each prefix by any tag":       {rule("1", `"tagStatus":"tagged","tagPrefixList":["v","prod"],"countType":"imageCountMoreThan","countNumber":1`), "b", fate{pushes: 1, rule: "rule 1"}},
		"a pattern":                    {rule("1", `"tagStatus":"tagged","tagPatternList":["v*"],"countType":"imageCountMoreThan","countNumber":1`), "a", fate{rule: "rule 1", due: true}},
		"untagged":                     {rule("1", `"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1`), "a", fate{}},
		"untagged, of one without tag": {rule("1", `"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":5`), "c", fate{at: now.Add(4 * day), rule: "rule 1"}},
		"the first that selects it decides": {rule("2", `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1`) + "," +
			rule("1", `"tagStatus":"tagged","tagPrefixList":["v1"],"countType":"sinceImagePushed","countUnit":"days","countNumber":90`), "a", fate{at: now.Add(87 * day), rule: "rule 1"}},
		"by the last pull":  {rule("1", `"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":90`), "a", fate{rule: "rule 1", pulls: true}},
		"of one not there":  {rule("1", `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1`), "d", fate{}},
		"archived, not yet": {`{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":5},"action":{"type":"transition"}}`, "a", fate{pushes: 3, rule: "rule 1 (transition)"}},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := readLifecycle(`{"rules":[` + c.rules + `]}`)
			if err != nil {
				t.Fatal(err)
			}
			if got := fateOf(rules, images, c.digest, now); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	if _, err := readLifecycle("{"); err == nil {
		t.Error("half a policy was read")
	}
}

func TestReferences(t *testing.T) {
	const registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/"
	digest := "sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for ref, want := range map[string]string{
		registry + "shop":               registry + "shop@" + digest,
		registry + "shop:v1":            registry + "shop@" + digest,
		registry + "team/shop:v1.2_x-y": registry + "team/shop@" + digest,
		registry + "shop:v1@" + digest:  registry + "shop@" + digest,
		registry + "shop@" + digest:     registry + "shop@" + digest,
		"nginx:1":                       "",
		"docker.io/library/nginx":       "",
		"localhost:5000/shop:v1":        "",
		registry + "Shop:v1":            "",
		registry + "shop:v1;reboot":     "",
	} {
		i := image{ref: ref, digest: digest}
		m := ecrReference.FindStringSubmatch(ref)
		if got := i.pinned(); (m != nil) != (want != "") || m != nil && (got != want || ecrReference.FindStringSubmatch(got) == nil) {
			t.Errorf("%s: in ECR %t, by digest %s, want %s", ref, m != nil, got, want)
		}
	}
	i := image{container: "app", state: imageMoved, ref: "r:1", digest: "sha256:a", now: "sha256:b"}
	if got := readImages(i.String() + "\nside elsewhere nginx"); len(got) != 2 || got[0] != i || got[1] != (image{container: "side", state: imageElsewhere, ref: "nginx"}) {
		t.Errorf("what was written is read as %+v", got)
	}
}

// TestCheckPolicy: what a registry would refuse is refused before anything is asked.
func TestCheckPolicy(t *testing.T) {
	good := `{"rules":[{"rulePriority":1,"description":"old","selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":10},"action":{"type":"expire"}}]}`
	if err := CheckPolicy([]byte(good)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"rules":[]}`, `{"rules":[{"rulePriority":1}]}`,
		strings.Replace(good, `"any"`, `"all"`, 1), strings.Replace(good, "sinceImagePushed", "sincePushed", 1), strings.Replace(good, `:10`, `:0`, 1),
		strings.Replace(good, `:10`, `:"ten"`, 1), strings.Replace(good, `"expire"`, `""`, 1), strings.Replace(good, `"rulePriority":1`, `"rulePriority":0`, 1)} {
		if err := CheckPolicy([]byte(bad)); astern.CodeOf(err) != astern.Invalid || astern.HintOf(err) == "" {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
