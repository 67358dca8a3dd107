package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ecrState holds the images and lifecycle policies of repositories; the repositories themselves are moto's. moto makes
// digests up, forgets an image whose tag moves, dates images by the real clock and expires none.
type ecrState struct {
	mu    sync.Mutex
	repos map[string]*repository // account, region and name
}

type repository struct {
	images  []*containerImage // in the order in which they were pushed
	policy  *imagePolicy
	preview *imagePolicy
	asOf    time.Time // of the preview
	done    time.Time // the last evaluation of the policy
}

type containerImage struct {
	Digest, Manifest, MediaType string
	Tags                        []string
	Pushed, Pulled              time.Time
}

func (s *ecrState) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repos = nil
}

// ecrClock expires images when the clock was stepped.
type ecrClock struct {
	*ecrState
	lab *Lab
}

func (e ecrClock) tick(_ context.Context, _, to time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.repos {
		r.settle(to)
	}
}

func (s *ecrState) repo(account, region, name string) *repository {
	if s.repos == nil {
		s.repos = map[string]*repository{}
	}
	key := account + "/" + region + "/" + name
	if s.repos[key] == nil {
		s.repos[key] = &repository{}
	}
	return s.repos[key]
}

// image finds an image by what a reference names, as a pull does. The digest wins where there are both.
func (s *ecrState) image(account, region, name, tag, digest string, now time.Time) (containerImage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(account, region, name)
	r.settle(now)
	if digest != "" {
		tag = ""
	}
	img := r.find(tag, digest)
	if img == nil {
		return containerImage{}, false
	}
	img.Pulled = now
	return *img, true
}

func (r *repository) find(tag, digest string) *containerImage {
	i := slices.IndexFunc(r.images, func(img *containerImage) bool {
		return (digest == "" || img.Digest == digest) && (tag == "" || slices.Contains(img.Tags, tag))
	})
	if i < 0 || tag == "" && digest == "" {
		return nil
	}
	return r.images[i]
}

func (l *Lab) ecrOverlays() map[string]Overlay {
	// Each of these is about one repository, which moto must have.
	own := func(f func(c *Call, r *repository, settings map[string]any) Reply) Overlay {
		return func(ctx context.Context, c *Call, _ Next) Reply {
			settings, refused := l.repository(ctx, c)
			if refused != nil {
				return *refused
			}
			if isOneOf(c.Operation, "BatchDeleteImage", "PutImage") {
				l.settleECS(ctx, c, c.Time) // tasks that had pulled by now have pulled
			}
			l.states.ecr.mu.Lock()
			defer l.states.ecr.mu.Unlock()
			r := l.states.ecr.repo(registryOf(c), c.Region, c.Text("repositoryName"))
			r.settle(c.Time)
			return f(c, r, settings)
		}
	}
	return map[string]Overlay{
		"ecr:PutImage":                    own(putImage),
		"ecr:BatchGetImage":               own(batchGetImage),
		"ecr:BatchDeleteImage":            own(batchDeleteImage),
		"ecr:DescribeImages":              own(describeImages),
		"ecr:ListImages":                  own(listImages),
		"ecr:PutLifecyclePolicy":          own(putLifecyclePolicy),
		"ecr:GetLifecyclePolicy":          own(getLifecyclePolicy),
		"ecr:DeleteLifecyclePolicy":       own(deleteLifecyclePolicy),
		"ecr:StartLifecyclePolicyPreview": own(startLifecyclePolicyPreview),
		"ecr:GetLifecyclePolicyPreview":   own(getLifecyclePolicyPreview),
		"ecr:DeleteRepository":            l.deleteRepository,
	}
}

func registryOf(c *Call) string {
	if id := c.Text("registryId"); id != "" {
		return id
	}
	return c.Account
}

// repository asks moto for a repository, or refuses as ECR does. moto stumbles when another is made while it looks for one, and
// answers 500: that is no refusal, and it is asked again.
func (l *Lab) repository(ctx context.Context, c *Call) (map[string]any, *Reply) {
	name := c.Text("repositoryName")
	var out map[string]any
	var err error
	var no *refusal
	for range 3 {
		out, err = l.ask(ctx, "ecr", "DescribeRepositories", c, map[string]any{"repositoryNames": []any{name}})
		if no = nil; !errors.As(err, &no) || no.Status < http.StatusInternalServerError {
			break
		}
	}
	if found := objectsOf(out["repositories"]); err == nil && len(found) == 1 {
		return found[0], nil
	}
	if err != nil && (no == nil || no.Status >= http.StatusInternalServerError) {
		return nil, ecrError(c, "ServerException", "The lab could not ask for the repository: "+err.Error())
	}
	return nil, ecrError(c, "RepositoryNotFoundException", "The repository with name '"+name+"' does not exist in the registry with id '"+registryOf(c)+"'")
}

func ecrError(c *Call, code, message string) *Reply {
	r := errorReply(c, http.StatusBadRequest, code, message)
	return &r
}

func where(c *Call) string {
	return "the repository with name '" + c.Text("repositoryName") + "' in the registry with id '" + registryOf(c) + "'"
}

// putImage takes an image. Its digest is that of the manifest's bytes, as everywhere where images are kept
// (https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests).
func putImage(c *Call, r *repository, settings map[string]any) Reply {
	manifest, tag := c.Text("imageManifest"), c.Text("imageTag")
	var parsed struct {
		MediaType string `json:"mediaType"`
	}
	if json.Unmarshal([]byte(manifest), &parsed) != nil {
		return *ecrError(c, "InvalidParameterException", "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'")
	}
	media := parsed.MediaType
	if media == "" {
		media = c.Text("imageManifestMediaType")
	}
	if media == "" {
		return *ecrError(c, "InvalidParameterException", "image manifest mediatype not provided in manifest or parameter")
	}
	sum := sha256.Sum256([]byte(manifest))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if given := c.Text("imageDigest"); given != "" && given != digest {
		return *ecrError(c, "ImageDigestDoesNotMatchException", "The specified digest '"+given+"' does not match the digest that ECR calculated for the image: '"+digest+"'")
	}
	img := r.find("", digest)
	if img != nil && (tag == "" || slices.Contains(img.Tags, tag)) {
		return *ecrError(c, "ImageAlreadyExistsException", "Image with digest '"+digest+"' and tag '"+tag+"' already exists in "+where(c))
	}
	if before := r.find(tag, ""); before != nil {
		if strings.HasPrefix(textOf(settings["imageTagMutability"]), "IMMUTABLE") {
			return *ecrError(c, "ImageTagAlreadyExistsException", "The image tag '"+tag+"' already exists in the '"+c.Text("repositoryName")+"' repository and cannot be overwritten because the tag is immutable.")
		}
		before.untag(tag) // it stays, without a tag when that was its only one
	}
	if img == nil {
		img = &containerImage{Digest: digest, Manifest: manifest, MediaType: media, Pushed: c.Time}
		r.images = append(r.images, img)
	}
	if tag != "" {
		img.Tags = append(img.Tags, tag)
	}
	return jsonReply(c, http.StatusOK, map[string]any{"image": img.view(c, tag)})
}

func (img *containerImage) untag(tag string) {
	img.Tags = slices.DeleteFunc(img.Tags, func(t string) bool { return t == tag })
}

func (img *containerImage) view(c *Call, tag string) map[string]any {
	id := map[string]any{"imageDigest": img.Digest}
	put(id, "imageTag", tag)
	return map[string]any{"registryId": registryOf(c), "repositoryName": c.Text("repositoryName"), "imageId": id,
		"imageManifest": img.Manifest, "imageManifestMediaType": img.MediaType}
}

func batchGetImage(c *Call, r *repository, _ map[string]any) Reply {
	images, failures := []any{}, []any{}
	for _, id := range objectsOf(c.Input["imageIds"]) {
		img := r.find(textOf(id["imageTag"]), textOf(id["imageDigest"]))
		if img == nil {
			failures = append(failures, map[string]any{"imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"})
			continue
		}
		img.Pulled = c.Time
		images = append(images, img.view(c, textOf(id["imageTag"])))
	}
	return jsonReply(c, http.StatusOK, map[string]any{"images": images, "failures": failures})
}

// batchDeleteImage removes a tag, with the last tag the image, or by digest the image with all of its tags.
//
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
func batchDeleteImage(c *Call, r *repository, _ map[string]any) Reply {
	gone, failures := []any{}, []any{}
	for _, id := range objectsOf(c.Input["imageIds"]) {
		tag, digest := textOf(id["imageTag"]), textOf(id["imageDigest"])
		img := r.find(tag, digest)
		fail := func(code, reason string) {
			failures = append(failures, map[string]any{"imageId": id, "failureCode": code, "failureReason": reason})
		}
		switch {
		case tag == "" && digest == "":
			fail("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
			continue
		case img == nil && tag != "" && digest != "" && r.find("", digest) != nil && r.find(tag, "") != nil:
			fail("ImageTagDoesNotMatchDigest", "The provided image tag does not belong to the image with the provided digest")
			continue
		case img == nil:
			fail("ImageNotFound", "Requested image not found")
			continue
		case tag != "" && len(img.Tags) > 1:
			img.untag(tag)
			gone = append(gone, map[string]any{"imageDigest": img.Digest, "imageTag": tag})
			continue
		case r.referenced(img):
			fail("ImageReferencedByManifestList", "Requested image referenced by manifest list: "+img.Digest)
			continue
		}
		gone = append(gone, img.ids()...)
		r.remove(img)
	}
	return jsonReply(c, http.StatusOK, map[string]any{"imageIds": gone, "failures": failures})
}

// ids names an image once for each of its tags.
func (img *containerImage) ids() (out []any) {
	for _, tag := range img.Tags {
		out = append(out, map[string]any{"imageDigest": img.Digest, "imageTag": tag})
	}
	if len(out) == 0 {
		out = append(out, map[string]any{"imageDigest": img.Digest})
	}
	return out
}

func (r *repository) remove(img *containerImage) {
	r.images = slices.DeleteFunc(r.images, func(x *containerImage) bool { return x == img })
}

// referenced tells whether a manifest list (an image for several platforms) holds the image.
func (r *repository) referenced(img *containerImage) bool {
	return slices.ContainsFunc(r.images, func(x *containerImage) bool {
		var list struct {
			Manifests []struct {
				Digest string `json:"digest"`
			} `json:"manifests"`
		}
		if json.Unmarshal([]byte(x.Manifest), &list) != nil {
			return false
		}
		for _, m := range list.Manifests {
			if m.Digest == img.Digest {
				return true
			}
		}
		return false
	})
}

// filtered returns the images that a filter by tagStatus lets through.
func (r *repository) filtered(c *Call) (out []*containerImage) {
	status := textOf(objectOf(c.Input["filter"])["tagStatus"])
	for _, img := range r.images {
		if status == "TAGGED" && len(img.Tags) == 0 || status == "UNTAGGED" && len(img.Tags) > 0 {
			continue
		}
		out = append(out, img)
	}
	return out
}

func describeImages(c *Call, r *repository, _ map[string]any) Reply {
	images := r.filtered(c)
	if ids := objectsOf(c.Input["imageIds"]); len(ids) > 0 {
		images = nil
		for _, id := range ids {
			img := r.find(textOf(id["imageTag"]), textOf(id["imageDigest"]))
			if img == nil {
				return *ecrError(c, "ImageNotFoundException", "The image with imageId {imageDigest:'"+orNull(id["imageDigest"])+"', imageTag:'"+orNull(id["imageTag"])+"'} does not exist within "+where(c))
			}
			if !slices.Contains(images, img) {
				images = append(images, img)
			}
		}
	}
	details := []any{}
	for _, img := range images {
		d := map[string]any{"registryId": registryOf(c), "repositoryName": c.Text("repositoryName"), "imageDigest": img.Digest,
			"imagePushedAt": epoch(img.Pushed), "imageManifestMediaType": img.MediaType, "imageSizeInBytes": img.size()}
		if len(img.Tags) > 0 {
			d["imageTags"] = slices.Clone(img.Tags)
		}
		put(d, "lastRecordedPullTime", epoch(img.Pulled))
		details = append(details, d)
	}
	return ecrPage(c, "imageDetails", details)
}

func orNull(v any) string {
	if s := textOf(v); s != "" {
		return s
	}
	return "null"
}

// size is what the manifest says of its layers and configuration.
func (img *containerImage) size() int64 {
	type part struct {
		Size int64 `json:"size"`
	}
	var m struct {
		Config part   `json:"config"`
		Layers []part `json:"layers"`
	}
	_ = json.Unmarshal([]byte(img.Manifest), &m) // what it doesn't say counts nothing
	total := m.Config.Size
	for _, l := range m.Layers {
		total += l.Size
	}
	return total
}

func listImages(c *Call, r *repository, _ map[string]any) Reply {
	ids := []any{}
	for _, img := range r.filtered(c) {
		ids = append(ids, img.ids()...)
	}
	return ecrPage(c, "imageIds", ids)
}

func ecrPage(c *Call, member string, items []any) Reply {
	page, next, ok := paged(items, c.Text("nextToken"), intOf(c.Input["maxResults"], 100))
	if !ok {
		return *ecrError(c, "InvalidParameterException", "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'")
	}
	out := map[string]any{member: page}
	put(out, "nextToken", next)
	return jsonReply(c, http.StatusOK, out)
}

func (l *Lab) deleteRepository(ctx context.Context, c *Call, next Next) Reply {
	if _, refused := l.repository(ctx, c); refused != nil {
		return *refused
	}
	l.settleECS(ctx, c, c.Time)
	l.states.ecr.mu.Lock()
	r := l.states.ecr.repo(registryOf(c), c.Region, c.Text("repositoryName"))
	r.settle(c.Time)
	full := len(r.images) > 0
	l.states.ecr.mu.Unlock()
	if full && !truthOf(c.Input["force"]) {
		return *ecrError(c, "RepositoryNotEmptyException", "The repository with name '"+c.Text("repositoryName")+"' in registry with id '"+registryOf(c)+"' cannot be deleted because it still contains images")
	}
	reply := next(ctx, c)
	if reply.Status == http.StatusOK {
		l.states.ecr.mu.Lock()
		delete(l.states.ecr.repos, registryOf(c)+"/"+c.Region+"/"+c.Text("repositoryName"))
		l.states.ecr.mu.Unlock()
	}
	return reply
}
