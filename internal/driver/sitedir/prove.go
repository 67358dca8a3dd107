package sitedir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Limits of asking a site.
const (
	askTimeout = 10 * time.Second
	askMost    = 64 << 20 // bytes of an answer
)

// newClient returns a client that goes nowhere else than it is told, and takes content as it is stored.
func newClient() *http.Client {
	return &http.Client{Timeout: askTimeout,
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: askTimeout}).DialContext, DisableKeepAlives: true,
			DisableCompression: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// entryURL is where the site answers for an entry point: index.html is what it answers for its folder.
func entryURL(p place, entry string) string {
	if entry == "index.html" || strings.HasSuffix(entry, "/index.html") {
		entry = strings.TrimSuffix(entry, "index.html")
	}
	parts := strings.Split(entry, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return p.url + "/" + strings.Join(parts, "/")
}

// answer is what a site answers for one entry point.
type answer struct {
	status       int
	digest       string
	cacheControl string
	age          string
}

// ask gets one entry point.
func (d *driver) ask(ctx context.Context, at string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return answer{}, astern.Errorf(astern.Invalid, "asking %s: %w", at, err)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return answer{}, astern.Errorf(astern.Unavailable, "asking the site: %w", err)
	}
	defer resp.Body.Close() // read to its limit
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(resp.Body, askMost+1))
	switch {
	case err != nil:
		return answer{}, astern.Errorf(astern.Unavailable, "reading what %s answers: %w", at, err)
	case n > askMost:
		return answer{}, astern.Errorf(astern.Internal, "%s answers more than %d MB", at, askMost>>20)
	}
	return answer{resp.StatusCode, hex.EncodeToString(sum.Sum(nil)), resp.Header.Get("Cache-Control"), resp.Header.Get("Age")}, nil
}

// wrong asks for one entry point and says what is wrong with the answer, "" when nothing is. Without a digest any content will do.
// An answer has a status; without one there was none.
func (d *driver) wrong(ctx context.Context, p place, entry, digest, whose string) (is answer, problem string) {
	at := entryURL(p, entry)
	is, err := d.ask(ctx, at)
	switch {
	case err != nil:
		problem = err.Error()
	case is.status != http.StatusOK:
		problem = fmt.Sprintf("%s answers %d", at, is.status)
	case digest != "" && is.digest != digest:
		problem = fmt.Sprintf("%s answers other content than %s has%s", at, whose, ifAny(", of age ", is.age))
	case p.cacheControl != "" && is.cacheControl != p.cacheControl:
		problem = fmt.Sprintf("%s answers Cache-Control: %s, not %s", at, orNone(is.cacheControl), p.cacheControl)
	}
	return is, problem
}

// lookAskTimeout bounds how long a look waits for the site: what hangs proves nothing either.
const lookAskTimeout = 5 * time.Second

// answers says why the site could not be proven to answer the files that are served, "" when it does: what it answers now, before
// any switch, it would fail to prove after one.
// An answer, however wrong, may be the served release's own doing, and then speaks for going back and not against it.
func (d *driver) answers(ctx context.Context, p place, files []file) (problem string, itsOwn bool) {
	ctx, cancel := context.WithTimeout(ctx, lookAskTimeout)
	defer cancel()
	for _, entry := range p.entries {
		should, _ := find(files, entry)
		is, problem := d.wrong(ctx, p, entry, should.SHA256, "what is served")
		if problem == "" {
			continue
		}
		if is.status == 0 {
			return oneLine("a switch could not be proven: " + problem), false
		}
		return oneLine(problem), true
	}
	return "", false
}

// prove asks for every entry point until each is answered with the content of the release.
func (a *actor) prove(ctx context.Context, o *order) astern.Op {
	if o.place.url == "" {
		return failed(astern.Errorf(astern.Refused, "step %s: %s does not say any more where the site answers", o.call.Step, o.call.Address))
	}
	release, err := a.release(ctx, o, o.revision, o.hash)
	if err != nil {
		return failed(err)
	}
	var proven []string
	for _, entry := range o.place.entries {
		should, ok := find(release.files, entry)
		if !ok {
			return failed(astern.Errorf(astern.Refused, "%s: %s has no %s", o.doing(), o.revision, entry))
		}
		is, wrong := a.wrong(ctx, o.place, entry, should.SHA256, o.revision)
		if ctx.Err() != nil {
			return failed(astern.Errorf(astern.Interrupted, "%s: interrupted", o.doing()))
		}
		if wrong != "" {
			if !o.call.Deadline.IsZero() && a.now().After(o.call.Deadline) {
				return failed(astern.Errorf(astern.Refused, "%s: %s", o.doing(), oneLine(wrong)).
					WithHint("the link is switched; does this web server serve %s/%s, and what caches before it?", o.place.root, o.place.link))
			}
			return astern.Op{Status: astern.OpRunning, Progress: oneLine(wrong), PollSeconds: 0.5}
		}
		proven = append(proven, entry+" (Cache-Control: "+orNone(is.cacheControl)+")")
	}
	return astern.Op{Status: astern.OpDone, Progress: oneLine("the site answers " + strings.Join(proven, ", ") + " of " + o.revision)}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
