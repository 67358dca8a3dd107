package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/driver/hostservice"
	"github.com/astern-dev/astern/internal/driver/sitedir"
)

// CloudPlace is what a place begins with that is no folder: a region of AWS.
const CloudPlace = "aws:"

// Region reports whether a text is the name of a region that can stand after CloudPlace.
func Region(text string) bool {
	return text != "" && len(awsapi.Settings{Region: text}.Problems()) == 0
}

// Search is a search for components. What is found in clouds is kept page by page, so that a search which was interrupted,
// killed or refused in the middle goes on from there.
type Search struct {
	Places []string
	// Kept is the file that keeps it; "" keeps nothing.
	Kept string
	Now  func() time.Time
	// Tell is told how far the search is, after each page and before each wait.
	Tell func(Progress)
}

// Progress is how far a search is.
type Progress struct {
	Kind, Place string
	Found       int    // of the kind there
	Total       int    // of all
	Waits       string // why it waits, "" when it does not
}

// Discovery is what a search found.
type Discovery struct {
	Found []astern.Discovered
	// Notes say what could not be looked for, and what was made of an earlier search.
	Notes []string
}

// Bounds of a search.
const (
	maxOfAKind   = 5000
	maxPages     = 10_000
	maxThrottled = 12 // times that one page is asked for again, after ever longer waits
	longestWait  = 30 * time.Second
)

// Discover asks every driver that can for components at the places.
func Discover(ctx context.Context, s Search) (Discovery, error) {
	accounts := awsapi.New()
	defer accounts.Close()
	var out Discovery
	kept, note, err := s.resume(ctx, accounts)
	if err != nil {
		return out, err
	}
	defer kept.close()
	if note != "" {
		out.Notes = append(out.Notes, note)
	}
	all := drivers(nil, accounts, nil, nil)
	results := make([]searched, len(all))
	var total atomic.Int64
	group, groupCtx := errgroup.WithContext(ctx)
	s.Tell = oneAtATime(s.Tell)
	for i, d := range all {
		group.Go(func() error {
			results[i] = s.ofKind(groupCtx, d, kept, &total)
			if err := results[i].err; err != nil && !ofOneKind(groupCtx, err) {
				return fmt.Errorf("looking for components of kind %s: %w", d.Kind, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return out, kept.explain(ctx, err)
	}
	var first error // of a kind that could not be looked for
	answered := false
	for i, d := range all {
		found, err := results[i].found, results[i].err
		if err != nil {
			if first == nil {
				first = fmt.Errorf("looking for components of kind %s: %w", d.Kind, err)
			}
			out.Notes = append(out.Notes, fmt.Sprintf("components of kind %s were not looked for: %s%s", d.Kind, awsapi.OneLine(err.Error()), awsapi.Hinted(err)))
			continue
		}
		answered = answered || strings.HasPrefix(d.Kind, "aws.")
		out.Found = append(out.Found, found...)
	}
	if first != nil && !answered {
		return out, kept.explain(ctx, first)
	}
	out.Found = withoutTwins(out.Found)
	return out, nil
}

// searched is what the search for one kind came to.
type searched struct {
	found []astern.Discovered
	err   error
}

// ofKind looks for one kind. The kinds are looked for side by side: each asks a service of its own.
func (s Search) ofKind(ctx context.Context, d astern.Driver, kept *kept, total *atomic.Int64) (out searched) {
	switch {
	case d.Pager != nil:
		out.found, out.err = s.byPages(ctx, d, kept, total)
	case d.Discoverer != nil:
		if out.found, out.err = d.Discoverer.Discover(ctx, s.Places); out.err == nil {
			total.Add(int64(len(out.found)))
		}
	}
	return out
}

// oneAtATime has whoever is told hear one thing after the other.
func oneAtATime(tell func(Progress)) func(Progress) {
	var mu sync.Mutex
	return func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		if tell != nil {
			tell(p)
		}
	}
}

// ofOneKind reports whether an error may be of one service alone: it is denied, does not exist in the region, or is out of order.
// The other kinds are looked for then.
func ofOneKind(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil || awsapi.Stale(err) {
		return false
	}
	code := astern.CodeOf(err)
	return code == astern.Denied || code == astern.Unavailable || code == astern.NotFound
}

// byPages looks for one kind at all places of a cloud, from where the earlier search ended. What was found before an error is
// returned with it.
func (s Search) byPages(ctx context.Context, d astern.Driver, kept *kept, total *atomic.Int64) ([]astern.Discovered, error) {
	var out []astern.Discovered
	for _, place := range s.Places {
		if !strings.HasPrefix(place, CloudPlace) {
			continue
		}
		was := kept.of(d.Kind, place)
		found, next := was.found, was.next
		total.Add(int64(len(found)))
		for n := 0; !was.done; n++ {
			page, following, err := s.page(ctx, d, place, next, total)
			if n == 0 && next != "" && (astern.CodeOf(err) == astern.Invalid || astern.CodeOf(err) == astern.Refused) {
				total.Add(-int64(len(found)))
				found, next = nil, "" // the cloud has forgotten the page
				if err := kept.forget(d.Kind, place); err != nil {
					return out, err
				}
				continue
			}
			if err != nil {
				return append(out, found...), err
			}
			found = append(found, page...)
			total.Add(int64(len(page)))
			if len(found) > maxOfAKind || n > maxPages {
				return out, astern.Errorf(astern.Refused, "looking at %q: there are more than %d of one kind", place, maxOfAKind)
			}
			was.done = following == "" || following == next
			next = following
			if err := kept.add(line{Kind: d.Kind, Place: place, Next: next, Done: was.done, Found: page}); err != nil {
				return out, err
			}
			s.Tell(Progress{Kind: d.Kind, Place: place, Found: len(found), Total: int(total.Load())})
		}
		out = append(out, found...)
	}
	return out, nil
}

// page asks for one page, and again after ever longer waits while the account is throttled.
func (s Search) page(ctx context.Context, d astern.Driver, place, page string, total *atomic.Int64) ([]astern.Discovered, string, error) {
	for wait, n := time.Second, 0; ; n++ {
		found, next, err := d.Pager.DiscoverPage(ctx, place, page)
		if astern.CodeOf(err) != astern.Throttled || n >= maxThrottled {
			return found, next, err
		}
		s.Tell(Progress{Kind: d.Kind, Place: place, Total: int(total.Load()), Waits: fmt.Sprintf("the account is asked too often; waiting %s", wait)})
		select {
		case <-ctx.Done():
			return nil, "", err
		case <-time.After(wait):
		}
		wait = min(2*wait, longestWait)
	}
}

// explain says that what was found is kept.
func (k *kept) explain(ctx context.Context, err error) error {
	if k.lines == 0 {
		return err
	}
	code := astern.CodeOf(err)
	if ctx.Err() != nil {
		code = astern.Interrupted
	}
	hint := fmt.Sprintf("what was found until then is kept in %s: the same command goes on from there", k.name)
	if own := astern.HintOf(err); own != "" && !errors.Is(ctx.Err(), context.Canceled) {
		hint = own + "; " + hint
	}
	return astern.Errorf(code, "%w", err).WithHint("%s", hint)
}

// withoutTwins leaves out services that are sites: both have releases and a link to one of them.
func withoutTwins(found []astern.Discovered) []astern.Discovered {
	sites := map[string]bool{}
	for _, f := range found {
		if s, ok := f.Settings.(sitedir.Settings); ok {
			sites[s.Root] = true
		}
	}
	return slices.DeleteFunc(found, func(f astern.Discovered) bool {
		s, ok := f.Settings.(hostservice.Settings)
		return ok && sites[s.Root]
	})
}
