package lab

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// Which images a policy expires. Images are named by their tags and were pushed one day after the other, d0 to d9 days
// before the evaluation, oldest first.
func TestImagePolicies(t *testing.T) {
	rule := func(priority int, selection string) string {
		return fmt.Sprintf(`{"rulePriority": %d, "selection": {%s}, "action": {"type": "expire"}}`, priority, selection)
	}
	count := func(priority int, tags string, n int) string {
		return rule(priority, fmt.Sprintf(`%s, "countType": "imageCountMoreThan", "countNumber": %d`, tags, n))
	}
	since := func(priority int, tags string, days int) string {
		return rule(priority, fmt.Sprintf(`%s, "countType": "sinceImagePushed", "countUnit": "days", "countNumber": %d`, tags, days))
	}
	tagged := func(prefix ...string) string {
		return `"tagStatus": "tagged", "tagPrefixList": ["` + strings.Join(prefix, `", "`) + `"]`
	}
	pattern := func(p ...string) string {
		return `"tagStatus": "tagged", "tagPatternList": ["` + strings.Join(p, `", "`) + `"]`
	}
	const untagged, anyImage = `"tagStatus": "untagged"`, `"tagStatus": "any"`
	for _, c := range []struct {
		images string // oldest first; "-" has no tag, "a+b" has two
		rules  []string
		want   string // "image:rule"
	}{
		{"v1 v2 v3 v4", []string{count(1, anyImage, 2)}, "v1:1 v2:1"},
		{"v1 v2", []string{count(1, anyImage, 2)}, ""},
		{"- v1 - v2 -", []string{count(1, untagged, 1)}, "-:1 -:1"},
		{"v1 v2 v3 v4", []string{since(1, anyImage, 2)}, "v1:1"}, // 3 days; v2 is 2 days old, no more
		// "All tags in the tagPrefixList value are matched against any of the image's tags."
		{"prod1 prod2+web prod3+web", []string{count(1, tagged("prod", "web"), 1)}, "prod2+web:1"},
		{"prod1 test1 prod2 test2", []string{count(1, tagged("prod"), 1)}, "prod1:1"},
		{"v1 v1-rc v2-rc x-rc", []string{count(1, pattern("v*-rc"), 1)}, "v1-rc:1"},
		{"abc ac bc", []string{since(1, pattern("a*c"), 1)}, "abc:1"}, // ac is one day old exactly
		// The example of the user guide: rule 1 claims its images, so rule 2 may not expire them.
		{"A+prod B+prod+beta C+beta D+prod E+beta", []string{count(1, tagged("prod"), 1), count(2, tagged("beta"), 1)}, "A+prod:1 B+prod+beta:1 C+beta:2"},
		// Rule 2 still counts B, which rule 1 keeps.
		{"A+beta B+prod+beta", []string{count(1, tagged("prod"), 1), count(2, tagged("beta"), 1)}, "A+beta:2"},
		{"A+beta B+prod+beta", []string{count(1, tagged("beta"), 1), count(2, tagged("prod"), 1)}, "A+beta:1"},
		{"- prod1 x1 x2", []string{since(1, untagged, 1), count(2, tagged("prod"), 5), count(9, anyImage, 1)}, "-:1 x1:9"},
	} {
		p, err := readImagePolicy(`{"rules": [` + strings.Join(c.rules, ",") + `]}`)
		if err != nil {
			t.Fatal(err)
		}
		var images []*containerImage
		names := strings.Fields(c.images)
		at := epochStart.Add(time.Duration(len(names)-1) * 24 * time.Hour)
		for i, name := range names {
			img := &containerImage{Digest: fmt.Sprint(i), Pushed: epochStart.Add(time.Duration(i) * 24 * time.Hour)}
			if name != "-" {
				img.Tags = strings.Split(name, "+")
			}
			images = append(images, img)
		}
		var got []string
		for _, e := range p.evaluate(images, at) {
			got = append(got, fmt.Sprintf("%s:%d", names[slices.Index(images, e.image)], e.rule))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("of %s\n%s expires\n%q, want\n%q", c.images, p.text, strings.Join(got, " "), c.want)
		}
	}
}

func TestImagePoliciesThatAreRefused(t *testing.T) {
	for _, text := range []string{``, `[]`, `{}`, `{"rules": []}`, `{"rules": [{"rulePriority": 1}]}`,
		`{"rules": [{"rulePriority": 0, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}}]}`,
		`{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "tagged", "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}}]}`,
		`{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days", "countNumber": 1}, "action": {"type": "expire"}}]}`,
		`{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "sinceImagePushed", "countNumber": 1}, "action": {"type": "expire"}}]}`,
		`{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}},
			{"rulePriority": 2, "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}}]}`,
		`{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "transition"}}]}`,
	} {
		if _, err := readImagePolicy(text); err == nil {
			t.Errorf("not refused: %s", text)
		}
	}
}

// "ECR images and lifecycle policies": images by tag and digest, a tag that moves leaves its image, and a policy expires
// what its preview has shown, a day later.
func TestECR(t *testing.T) {
	a := start(t)
	const setup = `
import hashlib
ecr = client("ecr")
def manifest(n, **more): return json.dumps(dict({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"size": n}}, **more))
def push(n, tag, **more): return ecr.put_image(repositoryName="api", imageManifest=manifest(n, **more), imageTag=tag)["image"]["imageId"]["imageDigest"]
def tags(): return sorted(",".join(i.get("imageTags", ["-"])) for p in ecr.get_paginator("describe_images").paginate(repositoryName="api", PaginationConfig={"PageSize": 2}) for i in p["imageDetails"])
`
	a.wantPython(`
400 RepositoryNotFoundException: The repository with name 'api' does not exist in the registry with id '123456789012'
True
400 ImageAlreadyExistsException: Image with digest 'D' and tag 'v1' already exists in the repository with name 'api' in the registry with id '123456789012'
['-', 'latest', 'v1,stable']
['ImageNotFound'] True
400 ImageNotFoundException: The image with imageId {imageDigest:'null', imageTag:'v9'} does not exist within the repository with name 'api' in the registry with id '123456789012'
[{'imageDigest': 'D', 'imageTag': 'stable'}] [] ['-', 'latest', 'v1']
[{'imageDigest': 'D', 'imageTag': 'v1'}] ['ImageNotFound', 'MissingDigestAndTag'] ['-', 'latest']
400 RepositoryNotEmptyException: The repository with name 'api' in registry with id '123456789012' cannot be deleted because it still contains images
400 ImageTagAlreadyExistsException: The image tag 'latest' already exists in the 'api' repository and cannot be overwritten because the tag is immutable.`, setup+`
print(refused(lambda: push(1, "v1")))
ecr.create_repository(repositoryName="api")
d = push(1, "v1")
print(d == "sha256:" + hashlib.sha256(manifest(1).encode()).hexdigest())
print(refused(lambda: push(1, "v1")).replace(d, "D"))
push(1, "stable"); push(2, "latest"); push(3, "latest")
print(tags())
got = ecr.batch_get_image(repositoryName="api", imageIds=[{"imageDigest": d}, {"imageTag": "v9"}])
print([f["failureCode"] for f in got["failures"]], got["images"][0]["imageManifest"] == manifest(1))
print(refused(lambda: ecr.describe_images(repositoryName="api", imageIds=[{"imageTag": "v9"}])))
def delete(*ids):
    r = ecr.batch_delete_image(repositoryName="api", imageIds=list(ids))
    print(str(r["imageIds"]).replace(d, "D"), [f["failureCode"] for f in r["failures"]], tags())
delete({"imageTag": "stable"})
delete({"imageDigest": d}, {"imageTag": "v1"}, {})
print(refused(lambda: ecr.delete_repository(repositoryName="api")))
ecr.put_image_tag_mutability(repositoryName="api", imageTagMutability="IMMUTABLE")
print(refused(lambda: push(4, "latest")))`)
	a.wantPython(`
400 LifecyclePolicyNotFoundException: Lifecycle policy does not exist for the repository with name 'api' in the registry with id '123456789012'
not refused [(['v5'], 1)] 1
['-', 'latest', 'v5', 'v6', 'v7']`, setup+`
print(refused(lambda: ecr.get_lifecycle_policy(repositoryName="api")))
for n in (5, 6, 7): push(n, "v%d" % n)
policy = json.dumps({"rules": [{"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPrefixList": ["v"], "countType": "imageCountMoreThan", "countNumber": 2}, "action": {"type": "expire"}}]})
ecr.put_lifecycle_policy(repositoryName="api", lifecyclePolicyText=policy)
ecr.start_lifecycle_policy_preview(repositoryName="api")
print(refused(lambda: ecr.get_waiter("lifecycle_policy_preview_complete").wait(repositoryName="api")), end=" ")
p = ecr.get_lifecycle_policy_preview(repositoryName="api")
print([(r["imageTags"], r["appliedRulePriority"]) for r in p["previewResults"]], p["summary"]["expiringImageTotalCount"])
print(tags())`)
	a.later(23 * time.Hour)
	a.wantPython("['-', 'latest', 'v5', 'v6', 'v7']", setup+`print(tags())`)
	a.later(time.Hour)
	a.wantPython("['-', 'latest', 'v6', 'v7'] True", setup+`print(tags(), "lastEvaluatedAt" in ecr.get_lifecycle_policy(repositoryName="api"))`)
	a.python(setup + `for n in (8, 9): push(n, "v%d" % n)`)
	if gone := a.expireImages(t.Context(), a.Now()); len(gone) != 2 || gone[0].Repository != "api" || gone[0].Key != "v7" || gone[0].Rule != "1" { // youngest first
		t.Errorf("expired now: %+v", gone)
	}
	if out := a.aws("ecr", "list-images", "--repository-name", "api", "--filter", "tagStatus=UNTAGGED", "--query", "length(imageIds)"); out != "1" {
		t.Errorf("the command line sees %s untagged images, want 1", out)
	}
	a.python(setup + `ecr.delete_repository(repositoryName="api", force=True); ecr.create_repository(repositoryName="api")
assert tags() == []`)
}

// An image that is held by a manifest list stays as long as the list, for policies and by hand.
func TestECRManifestLists(t *testing.T) {
	a := start(t)
	a.wantPython("['ImageReferencedByManifestList'] []", `
ecr = client("ecr"); ecr.create_repository(repositoryName="api")
d = ecr.put_image(repositoryName="api", imageManifest=json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}))["image"]["imageId"]["imageDigest"]
l = ecr.put_image(repositoryName="api", imageTag="all", imageManifest=json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{"digest": d}]}))
r = ecr.batch_delete_image(repositoryName="api", imageIds=[{"imageDigest": d}])
r2 = ecr.batch_delete_image(repositoryName="api", imageIds=[{"imageTag": "all"}, {"imageDigest": d}])
print([f["failureCode"] for f in r["failures"]], r2["failures"])`)
}

// moto stumbles over a repository that is made while it looks for another one, and answers 500: the one that is there is never
// said not to be.
func TestStumblingOverRepositories(t *testing.T) {
	a := start(t)
	a.python(`client("ecr").create_repository(repositoryName="api")`)
	stumbles := 0
	passed := httputil.NewSingleHostReverseProxy(a.moto)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".DescribeRepositories") && stumbles > 0 {
			stumbles--
			http.Error(w, "dictionary changed size during iteration", http.StatusInternalServerError)
			return
		}
		passed.ServeHTTP(w, r)
	}))
	defer front.Close()
	var err error
	if a.moto, err = url.Parse(front.URL); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{0: "[]", 2: "[]", 3: "ServerException"} {
		stumbles = n
		a.wantPython(want, `
try: print(client("ecr", attempts=1).describe_images(repositoryName="api")["imageDetails"])
except Exception as e: print(e.response["Error"]["Code"])`)
	}
}
