package awsecs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

// imageState is what has become of an image since the service last ran it.
type imageState string

const (
	imageThere     imageState = "there"     // what its reference means is what ran
	imageMoved     imageState = "moved"     // its tag means another image now; what ran is still there
	imageReplaced  imageState = "replaced"  // its tag means another image now; what ran is gone
	imageUntagged  imageState = "untagged"  // its tag is gone; what ran is still there
	imageGone      imageState = "gone"      // what its reference means is gone, and what ran
	imageUnproven  imageState = "unproven"  // it is there, and what ran under its tag is not known
	imageElsewhere imageState = "elsewhere" // it is in a registry that can't be asked
)

// image is one image of a revision.
type image struct {
	container, ref string
	state          imageState
	digest         string // of what ran, or else of what would run; "" when neither is known
	now            string // what the tag means now, where that is something else
	repository     *repository
}

// runs is what identifies the image.
func (i image) runs() string {
	if i.digest != "" {
		return i.digest
	}
	return i.ref
}

// pinned is the reference by digest.
func (i image) pinned() string {
	ref, _, _ := strings.Cut(i.ref, "@")
	if slash := strings.LastIndex(ref, "/"); strings.Contains(ref[slash+1:], ":") {
		ref = ref[:slash+1+strings.Index(ref[slash+1:], ":")]
	}
	return ref + "@" + i.digest
}

// String is the image as a state holds it.
func (i image) String() string {
	return strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s %s", i.container, i.state, awsapi.OneLine(i.ref), i.digest, i.now)), " ")
}

// readImages reads what String wrote, one image a line.
func readImages(text string) []image {
	var out []image
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		i := image{container: f[0], state: imageState(f[1]), ref: f[2]}
		if len(f) > 3 {
			i.digest = f[3]
		}
		if len(f) > 4 {
			i.now = f[4]
		}
		out = append(out, i)
	}
	return out
}

// contentOf says what the images are wherever they run: each container's name and its image's digest.
func contentOf(images []image) (text string, ok bool) {
	var out []string
	for _, i := range images {
		if i.digest == "" {
			return "", false
		}
		out = append(out, i.container+" "+i.digest)
	}
	slices.Sort(out)
	return strings.Join(out, ", "), len(out) > 0
}

// ecrReference is a reference to an image in ECR: account, region, repository, tag and digest.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/docker-pull-ecr-image.html
var ecrReference = pattern.New(`^([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com|amazonaws\.com\.cn|on\.aws)/([a-z0-9][a-z0-9._/-]*)(?::([A-Za-z0-9_][A-Za-z0-9._-]*))?(?:@(sha256:[0-9a-f]{64}))?$`)

// stored is an image as the registry has it.
type stored struct {
	digest string
	tags   []string
	pushed time.Time
}

// repository is a repository of ECR, and what is in it.
type repository struct {
	account, region, name string
	proposed              map[string]string // lifecycle policies to be judged as if they were in force, by the repository's ARN

	once   sync.Once
	err    error
	images []stored
	// policy is its lifecycle policy, nil where it has none; policyErr says why it could not be read.
	policy    []lifecycleRule
	policyErr error
}

func repositoryARN(account, region, name string) string {
	return fmt.Sprintf("arn:aws:ecr:%s:%s:repository/%s", region, account, name)
}

// imagesMost bounds what is read of one repository.
const imagesMost = 20_000

// ask reads the images of the repository and its lifecycle policy.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetLifecyclePolicy.html
func (r *repository) ask(ctx context.Context, config aws.Config) {
	c := ecr.NewFromConfig(config, func(o *ecr.Options) { o.Region = r.region })
	arn := repositoryARN(r.account, r.region, r.name)
	pages := ecr.NewDescribeImagesPaginator(c, &ecr.DescribeImagesInput{RegistryId: &r.account, RepositoryName: &r.name, MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if awsapi.Is(err, "RepositoryNotFoundException") {
			return // it has no images
		}
		if err == nil && len(r.images) > imagesMost {
			err = astern.Errorf(astern.Refused, "reading the images of %s: there are more than %d", r.name, imagesMost)
		}
		if err != nil {
			r.err = awsapi.Explain(err, "reading the images of "+r.name, arn)
			return
		}
		for _, i := range page.ImageDetails {
			r.images = append(r.images, stored{aws.ToString(i.ImageDigest), i.ImageTags, aws.ToTime(i.ImagePushedAt)})
		}
	}
	if doc, ok := r.proposed[arn]; ok {
		r.policy, r.policyErr = readLifecycle(doc)
		return
	}
	out, err := c.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RegistryId: &r.account, RepositoryName: &r.name})
	switch {
	case awsapi.Is(err, "LifecyclePolicyNotFoundException", "RepositoryNotFoundException"):
	case err != nil:
		r.policyErr = awsapi.Explain(err, "reading the lifecycle policy of "+r.name, arn)
	default:
		r.policy, r.policyErr = readLifecycle(aws.ToString(out.LifecyclePolicyText))
	}
}

// byTag is what a tag means, "" when nothing.
func (r *repository) byTag(tag string) string {
	for _, i := range r.images {
		if slices.Contains(i.tags, tag) {
			return i.digest
		}
	}
	return ""
}

func (r *repository) has(digest string) bool {
	return slices.ContainsFunc(r.images, func(i stored) bool { return i.digest == digest })
}

// registry asks each repository once in one observation.
type registry struct {
	config   aws.Config
	proposed map[string]string
	mu       sync.Mutex
	known    map[string]*repository
}

func (g *registry) repository(account, region, name string) *repository {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := account + " " + region + " " + name
	if g.known == nil {
		g.known = map[string]*repository{}
	}
	if g.known[key] == nil {
		g.known[key] = &repository{account: account, region: region, name: name, proposed: g.proposed}
	}
	return g.known[key]
}

// images looks at every image of a definition.
func (g *registry) images(ctx context.Context, d definition) ([]image, error) {
	var out []image
	for _, c := range d.ContainerDefinitions {
		i, err := g.image(ctx, c, d.ran[aws.ToString(c.Name)])
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

// image looks at the image of one container, of which ran is the digest that was run last, "" when that is not known.
func (g *registry) image(ctx context.Context, c types.ContainerDefinition, ran string) (image, error) {
	out := image{container: aws.ToString(c.Name), ref: aws.ToString(c.Image)}
	m := ecrReference.FindStringSubmatch(out.ref)
	if m == nil {
		_, digest, _ := strings.Cut(out.ref, "@")
		out.state, out.digest = imageElsewhere, ran
		if digest != "" {
			out.digest = digest
		}
		return out, nil
	}
	r, tag, digest := g.repository(m[1], m[2], m[3]), m[4], m[5]
	r.once.Do(func() { r.ask(ctx, g.config) })
	if r.err != nil {
		return out, r.err
	}
	out.repository = r
	if digest != "" {
		out.digest, out.state = digest, imageThere
		if !r.has(digest) {
			out.state = imageGone
		}
		return out, nil
	}
	if tag == "" {
		tag = "latest"
	}
	now := r.byTag(tag)
	out.digest = ran
	switch {
	case ran == "" && now == "":
		out.state = imageGone
	case ran == "":
		out.state, out.digest = imageUnproven, now
	case ran == now:
		out.state = imageThere
	case r.has(ran) && now == "":
		out.state = imageUntagged
	case r.has(ran):
		out.state, out.now = imageMoved, now
	case now == "":
		out.state = imageGone
	default:
		out.state, out.now = imageReplaced, now
	}
	return out, nil
}
