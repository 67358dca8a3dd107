package awss3site

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// patience is how long a claim, or what gives it back, is tried again where the cloud can't take it for a moment: as long as a host is given.
const patience = 30 * time.Second

// patiently does something again, after longer and longer pauses, for as long as its error may be gone a moment later. So may one which
// says that somebody wrote in between: the next try reads who that was.
func patiently(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := do()
		if !astern.CodeOf(err).Transient() && !awsapi.Is(err, "PreconditionFailed", "ConditionalRequestConflict") {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// Claim writes into the site's marker that the execution acts there, on the condition that it still says what was seen: see
// astern.Claimer. A bucket that does not exist has no place for a claim, and nothing can be done in it. A claim of which only the
// reply was lost is ours.
func (d *driver) Claim(ctx context.Context, c astern.Component, mine astern.Claim, seen map[string]astern.Claim, over []string) error {
	return patiently(ctx, func() error { return d.claim(ctx, c, mine, seen[""], over) })
}

func (d *driver) claim(ctx context.Context, c astern.Component, mine, seen astern.Claim, over []string) error {
	at, m, etag, err := d.claimed(ctx, c)
	if err != nil {
		return err
	}
	doing, ours := "claiming "+at.p.url(at.p.Prefix), m.Owner == mine.Owner
	switch {
	case etag == "": // nobody was there
	case !ours && m.Open && !slices.Contains(over, m.Owner):
		return astern.Errorf(astern.Conflict, "%s: it is held by %s, of another state folder, which has not ended", doing, m.who()).
			WithHint("see how it goes where it was started; if it will not go on: the same command with --take-over, and it can't act here any more")
	case !ours && (m.Fence != seen.Fence || m.Owner != seen.Owner || m.Fence == mine.Fence), m.Fence > mine.Fence:
		return astern.Errorf(astern.Conflict, "%s: another execution was there since: %s", doing, m.who()).WithHint("make a new plan")
	}
	// What the last step has done stays in the marker: its token is nobody else's.
	if _, err = at.mark(ctx, m.of(mine), etag); err != nil && !notFound(err) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Release writes into the marker that the execution has ended, where the claim is still its own.
func (d *driver) Release(ctx context.Context, c astern.Component, mine astern.Claim, _ []string) error {
	mine.Open = false
	return patiently(ctx, func() error {
		at, m, etag, err := d.claimed(ctx, c)
		if err != nil || m.Owner != mine.Owner || m.Fence > mine.Fence {
			return err
		}
		if _, err = at.mark(ctx, m.of(mine), etag); err != nil {
			return fmt.Errorf("giving %s back: %w", at.p.url(at.p.Prefix), err)
		}
		return nil
	})
}

// claimed reads a site's marker for a claim.
func (d *driver) claimed(ctx context.Context, c astern.Component) (at clients, m marker, etag string, err error) {
	p, err := resolve(c)
	if err != nil {
		return at, m, "", err
	}
	if at, err = d.clients(ctx, p); err == nil {
		m, etag, err = at.marker(ctx)
	}
	if err != nil {
		err = fmt.Errorf("reading who acts in %s: %w", p.url(p.Prefix), err)
	}
	return at, m, etag, err
}

// of is the marker with that claim on it.
func (m marker) of(c astern.Claim) marker {
	m.Kind, m.Version, m.Fence, m.Execution, m.Address, m.Owner, m.By, m.Open = markerKind, 1, c.Fence, c.Execution, c.Address, c.Owner, c.By, c.Open
	m.At = c.At.UTC().Format(time.RFC3339)
	return m
}

// claim is what the marker says of who acts there.
func (m marker) claim() astern.Claim {
	at, _ := time.Parse(time.RFC3339, m.At) // it is what astern wrote
	return astern.Claim{Fence: m.Fence, Execution: m.Execution, Address: m.Address, At: at, Owner: m.Owner, By: m.By, Open: m.Open}
}

// who is who wrote the marker last, for a person.
func (m marker) who() string {
	text := fmt.Sprintf("%s of %s with fence %d at %s", m.Execution, m.Address, m.Fence, m.At)
	if m.By != "" {
		text += " by " + m.By
	}
	return oneLine(text)
}
