package hostservice

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// The image of a swap: the revision and the text of the link before, and the processes that ran.
const (
	imageLink    = "link"
	imageTarget  = "target"
	imageProcess = "process/" // with the instance's name
)

func (o *order) beforeSwap(ctx context.Context) (astern.Image, error) {
	link, err := o.readLink(ctx)
	if err != nil {
		return nil, err
	}
	if link.trouble != "" {
		return nil, astern.Errorf(astern.Refused, "%s: %s", o.doing(), link.trouble)
	}
	image := astern.Image{imageLink: link.revision, imageTarget: link.target}
	for _, p := range o.who {
		if proc := processOf(ctx, o.machine, o.way(p)); proc.identity != "" {
			image[imageProcess+p.name] = proc.identity
		}
	}
	return image, nil
}

func (o *order) readLink(ctx context.Context) (linkSeen, error) {
	s, err := readerOf(o.machine).look(ctx, o.layout, []string{o.who[0].name}, 0)
	if err != nil {
		return linkSeen{}, fmt.Errorf("%s: %w", o.doing(), err)
	}
	return s.links[o.linkPath()], nil
}

// swap points the link to the release, if it still is what the image says and no newer fence was there. Both are checked
// by the very command that swaps, under the lock of the release root.
func (o *order) swap(ctx context.Context, now time.Time) astern.Op {
	image := o.call.Image
	if image == nil {
		var err error
		if image, err = o.beforeSwap(ctx); err != nil {
			return failed(err)
		}
	}
	if image[imageLink] != o.revision && !slices.Contains(o.from, image[imageLink]) {
		return failed(o.changed(image[imageLink]))
	}
	line, err := json.Marshal(o.historyLine(image, now))
	if err != nil {
		return failed(astern.Errorf(astern.Internal, "encoding the history: %w", err))
	}
	link := o.linkPath()
	c := script("swap", o.root, o.fence(), o.executionFence, link, image[imageTarget], o.releases+"/"+o.revision,
		target(link, o.releases, o.revision), o.call.Token, string(line))
	c.Timeout = o.timeout
	r, err := o.machine.Run(ctx, c)
	if err != nil {
		return after(err)
	}
	if err, ok := o.refusal(r); ok {
		return failed(err)
	}
	switch r.ExitCode {
	case 0:
		return done(fmt.Sprintf("%s points to %s", link, o.revision))
	case host.ExitChanged:
		return failed(o.changed(strings.TrimSpace(r.Stdout)))
	case host.ExitMissing:
		return failed(astern.Errorf(astern.Refused, "%s: there is no folder %s/%s", o.doing(), o.releases, o.revision).
			WithHint("put the release back, or plan again"))
	case exitNotALink:
		return failed(astern.Errorf(astern.Refused, "%s: %s is no symbolic link", o.doing(), link))
	case host.ExitHalf:
		return failed(astern.Errorf(astern.Internal, "%s: %s", o.doing(), orCode(r)))
	}
	return unsure(astern.Errorf(astern.Internal, "%s: %s", o.doing(), orCode(r)))
}

func (o *order) changed(there string) error {
	return astern.Errorf(astern.Refused, "%s: the link leads to %s now, and the plan expects %s", o.doing(),
		orNone(oneLine(there)), orNone(oneLine(strings.Join(o.from, " or ")))).WithHint("somebody else was there: look at it, then plan again")
}

func (o *order) historyLine(image astern.Image, now time.Time) HistoryLine {
	h := HistoryLine{At: now.UTC().Truncate(time.Second), Address: o.call.Address, Link: strings.TrimPrefix(o.linkPath(), o.root+"/"),
		Revision: o.revision, Hash: o.hash, From: image[imageLink], Execution: o.call.Execution, Token: o.call.Token,
		Processes: map[string]string{}}
	for _, p := range o.who {
		h.Instances = append(h.Instances, p.name)
		if id := image[imageProcess+p.name]; id != "" {
			h.Processes[p.name] = id
		}
	}
	return h
}

// findSwap looks where the link leads.
func (o *order) findSwap(ctx context.Context) astern.Found {
	link, err := o.readLink(ctx)
	switch {
	case err != nil:
		return unknown("%s", err.Error())
	case link.revision == o.revision:
		return found(done(fmt.Sprintf("%s points to %s", o.linkPath(), o.revision)))
	case link.trouble != "":
		return absent("%s", link.trouble)
	}
	return absent("%s points to %s", o.linkPath(), orNone(link.revision))
}
