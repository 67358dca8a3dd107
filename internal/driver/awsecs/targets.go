package awsecs

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// router is the driver's Router.
type router struct{}

// candidate is a revision with what orders it among the others.
type candidate struct {
	revision string
	at       time.Time
	number   int64
}

// Targets returns the revisions that a deployment of the service was successful with, what runs, and what else the ledger
// remembers; the last deployed first.
func (router) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	p, err := resolve(c)
	if err != nil {
		return nil
	}
	of := map[string]*candidate{}
	add := func(rev string) *candidate {
		if of[rev] == nil {
			of[rev] = &candidate{revision: rev, number: number(rev)}
		}
		return of[rev]
	}
	for path, v := range s.Values {
		if rev, ok := strings.CutPrefix(path, "release-time/"); ok && v.Known() {
			add(rev).at, _ = time.Parse(time.RFC3339, v.Text)
		}
	}
	now := s.Values["revision"]
	if now.Known() {
		for _, rev := range strings.Split(now.Text, "+") {
			if astern.ValidRevision(rev) {
				add(rev)
			}
		}
	}
	for _, d := range h.Deployments {
		if !astern.ValidRevision(d.Revision) {
			continue
		}
		k := add(d.Revision)
		if d.LastAt != nil {
			k.at = *d.LastAt
		}
	}
	var all []candidate
	for _, k := range of {
		all = append(all, *k)
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(b.at.Compare(a.at), cmp.Compare(b.number, a.number), strings.Compare(b.revision, a.revision))
	})
	out := make([]astern.Target, len(all))
	for i, k := range all {
		d, _ := h.Of(k.revision)
		out[i] = judge(p, s, d, k.revision).Target(c, s, d, k.revision, needed(s, k.revision))
	}
	return out
}

// needed names what the way to a revision rests on.
func needed(s astern.State, rev string) []string {
	var out []string
	for _, path := range []string{"arn", "definition/" + rev} {
		if v, ok := s.Get(path); ok && v.Known() {
			out = append(out, v.Text)
		}
	}
	for _, i := range readImages(s.Values["images/"+rev].Text) {
		if m := ecrReference.FindStringSubmatch(i.ref); m != nil && i.digest != "" {
			out = append(out, repositoryARN(m[1], m[2], m[3]), i.pinned(), i.ref)
		}
	}
	for line := range strings.Lines(s.Values["needs/"+rev].Text) {
		line = strings.TrimSpace(line)
		for _, kind := range []string{needRole, needSecret, needParameter, needLogs, needFile, needFiles} {
			if name, ok := strings.CutPrefix(line, kind+" "); ok {
				out = append(out, namesOf(s.Values["arn"].Text, name)...)
			}
		}
	}
	return out
}

// namesOf are the names by which somebody may mean something that tasks need: as the definition has it, and the ARN of the whole
// thing. Which of parameter and log group a plain name is does not matter: only one of the ARNs exists.
func namesOf(service, name string) []string {
	parts := strings.Split(name, ":")
	switch {
	case strings.HasPrefix(name, "arn:") && len(parts) > 7 && parts[2] == "secretsmanager": // arn:…:secret:NAME:KEY:STAGE:VERSION
		return []string{name, strings.Join(parts[:7], ":")}
	case strings.HasPrefix(name, "arn:") && len(parts) > 5 && parts[2] == "s3": // an environment file
		return []string{name, "s3://" + strings.Join(parts[5:], ":")}
	case strings.HasPrefix(name, "arn:"):
		return []string{name}
	}
	of := strings.SplitN(service, ":", 6)
	if len(of) < 6 {
		return []string{name}
	}
	group := strings.Join([]string{of[0], of[1], "logs", of[3], of[4], "log-group:" + name}, ":")
	return []string{name, strings.Join([]string{of[0], of[1], "ssm", of[3], of[4], "parameter/" + strings.TrimPrefix(name, "/")}, ":"), group, group + ":*"}
}

// evidence is what speaks for and against a revision.
type evidence struct{ awsapi.Findings }

// judge says what speaks for and against a revision.
func judge(p place, s astern.State, d astern.Deployment, rev string) *evidence {
	e := &evidence{awsapi.Findings{Seen: s.Newest()}}
	if e.Seen.IsZero() && d.LastAt != nil { // nothing at all was seen: the service does not exist
		e.Seen = *d.LastAt
	}
	arn, there := s.Get("arn")
	switch {
	case there && !arn.Known():
		e.Add(astern.ReadyUnknown, "the service could not be looked at: %s", arn.Unknown)
		return e
	case !there:
		e.Add(astern.Broken, "there is no service %s in the cluster %s in %s", p.Service, p.Cluster, p.Where())
		return e
	}
	if now := s.Values["revision"]; !now.Known() {
		e.Add(astern.ReadyUnknown, "what the service runs is not known: %s", now.Unknown)
	}
	if status := s.Values["status"].Text; status != "ACTIVE" {
		e.Add(astern.Broken, "the service is %s: it is being deleted", status)
	}
	if who := s.Values["controller"].Text; who != "ECS" {
		e.Add(astern.Broken, "the service is deployed by %s, and UpdateService can't change what it runs", who)
	}
	definition, ok := s.Get("definition/" + rev)
	switch {
	case ok && !definition.Known():
		e.Add(astern.ReadyUnknown, "its task definition could not be read: %s", definition.Unknown)
		return e
	case !ok && !s.Values["definitions"].Known():
		e.Add(astern.ReadyUnknown, "the task definitions could not be read: %s", s.Values["definitions"].Unknown)
		return e
	case !ok:
		e.Add(astern.Broken, "the task definition %s was deleted, or is older than those that are looked at", rev)
		return e
	}
	switch status := s.Values["status/"+rev]; {
	case !status.Known():
		e.Add(astern.ReadyUnknown, "whether its task definition is ACTIVE is not known: %s", status.Unknown)
	case status.Text == "ACTIVE":
		e.Add(astern.Ready, "its task definition is ACTIVE")
	case status.Text == "INACTIVE":
		e.Add(astern.AtRisk, "its task definition is INACTIVE: it is registered again from its description, which AWS does not promise to keep")
	default:
		e.Add(astern.Broken, "its task definition is %s", status.Text)
	}
	if v, ok := s.Get("misfit/" + rev); ok && v.Known() {
		e.Add(astern.Broken, "the service can't be updated to it: %s", v.Text)
	}
	e.images(s, d, rev)
	e.others(s, rev)
	return e
}

// images judges what it would run.
func (e *evidence) images(s astern.State, d astern.Deployment, rev string) {
	images, ok := s.Get("images/" + rev)
	if !ok || !images.Known() {
		e.Add(astern.ReadyUnknown, "whether its images are there is not known: %s", images.Unknown)
		return
	}
	for _, i := range readImages(images.Text) {
		switch i.state {
		case imageThere:
			e.Add(astern.Ready, "the image of %s is in the registry: %s", i.container, short(i.digest))
		case imageMoved:
			e.Add(astern.AtRisk, "the tag of %s has moved since it ran, from %s to %s; the image that ran is there, and is named by its digest", i.ref, short(i.digest), short(i.now))
		case imageUntagged:
			e.Add(astern.AtRisk, "the tag of %s is gone; the image that ran is there, %s, and is named by its digest", i.ref, short(i.digest))
		case imageReplaced:
			e.Add(astern.Broken, "the image that ran as %s is gone, %s; its tag means another one now, %s", i.ref, short(i.digest), short(i.now))
		case imageGone:
			e.Add(astern.Broken, "the image of %s is not in the registry: %s %s", i.container, i.ref, short(i.digest))
		case imageUnproven:
			if d.Hash != "" && d.Hash == s.Values["release/"+rev].Text {
				e.Add(astern.Ready, "the image of %s is in the registry as it was recorded: %s", i.container, short(i.digest))
			} else {
				e.Add(astern.AtRisk, "the image of %s is in the registry, %s; whether it is the one that ran is not known", i.container, short(i.digest))
			}
		default:
			e.Add(astern.AtRisk, "the image of %s is in a registry that can't be asked: %s", i.container, i.ref)
		}
	}
	if hash := s.Values["release/"+rev]; hash.Known() && hash.Text != "" && strings.HasPrefix(d.Hash, "sha256:") && d.Hash != hash.Text {
		e.Add(astern.Broken, "it would run other images than were recorded: %s", short(hash.Text))
	}
	e.expires(s, rev)
}

// expires tells when the registry deletes an image of it.
func (e *evidence) expires(s astern.State, rev string) {
	v, ok := s.Get("expires/" + rev)
	if !ok {
		return
	}
	if !v.Known() {
		e.Add(astern.AtRisk, "when the registry deletes its images is not known: %s", v.Unknown)
		return
	}
	for line := range strings.SplitSeq(v.Text, "\n") {
		e.expiry(line)
	}
}

// expiry judges one line of what takes an image away.
func (e *evidence) expiry(line string) {
	kind, rest, _ := strings.Cut(line, " ")
	when, rule, _ := strings.Cut(rest, " ")
	switch kind {
	case "at":
		if at, err := time.Parse(time.RFC3339, when); err == nil {
			e.Doors = append(e.Doors, astern.Door{At: &at, What: "the registry's " + rule + " deletes its image"})
		}
	case "after":
		if n, err := strconv.Atoi(when); err == nil && n > 0 {
			e.Doors = append(e.Doors, astern.Door{Deployments: n, Pushes: true, What: "the registry's " + rule + " deletes its image"})
		}
	case "due":
		e.Add(astern.AtRisk, "the registry's %s deletes its image within a day", rest)
	default:
		e.Add(astern.AtRisk, "the registry's %s deletes images by when they were last pulled: when is not known", rest)
	}
}

// others judges what its tasks need and what became of them.
func (e *evidence) others(s astern.State, rev string) {
	if v, ok := s.Get("needs/" + rev); ok {
		switch missing, gone := s.Get("missing/" + rev); {
		case gone && !missing.Known():
			e.AddBeside("whether what its tasks need is there is not known: %s", missing.Unknown)
		case gone:
			e.Add(astern.Broken, "its tasks can't start without what is gone: %s", strings.ReplaceAll(missing.Text, "\n", ", "))
		case counted(v.Text) != "":
			e.Add(astern.Ready, "what its tasks need is there: %s", counted(v.Text))
		}
	}
	e.mounts(s, rev)
	if v, ok := s.Get("failures/" + rev); ok && v.Known() {
		e.Add(astern.AtRisk, "%s", v.Text)
	}
	if strings.HasPrefix(s.Values["counts"].Text, "0 wanted") {
		e.Add(astern.AtRisk, "the service is to run no task: nothing will show whether it works")
	}
}

// mounts judges the file systems that its tasks mount. They are not asked for: one that what runs mounts as well is there.
func (e *evidence) mounts(s astern.State, rev string) {
	var runs []string
	for _, one := range strings.Split(s.Values["revision"].Text, "+") { // two while a deployment is under way
		runs = append(runs, linesOf(s, "needs/"+one)...)
	}
	for _, line := range linesOf(s, "needs/"+rev) {
		switch {
		case !strings.HasPrefix(line, needFiles+" "):
		case slices.Contains(runs, line):
			e.Add(astern.Ready, "the %s is mounted by what runs", line)
		default:
			e.Add(astern.AtRisk, "whether the %s is there was not asked, and what runs does not mount it", line)
		}
	}
}

func linesOf(s astern.State, path string) []string { return strings.Split(s.Values[path].Text, "\n") }

// short is a digest as a person compares it.
func short(digest string) string {
	if len(digest) > 19 {
		return digest[:19] + "…"
	}
	return digest
}
