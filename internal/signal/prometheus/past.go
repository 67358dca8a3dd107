package prometheus

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/fetch"
)

// minPiece is the shortest piece of the past that is asked for by itself. A server that is late is asked for smaller pieces so many
// times: one that never answers must not be waited for all the way down.
const (
	minPiece = time.Minute
	mostLate = 4
)

// Past returns what one signal said every so often from one moment to another, by Prometheus' clock. A long past, or one of
// many members, is asked for in pieces; memory holds one piece and the result. Times of rounds are Prometheus', too.
func (r *Reader) Past(ctx context.Context, ask signal.Ask, from, to time.Time, every time.Duration) ([]signal.Round, error) {
	if every < time.Second || !from.Before(to) || to.Sub(from)/every > 100_000 {
		return nil, astern.Errorf(astern.Invalid, "reading the past of signal %s every %s from %s to %s: that is no or too much time",
			ask.Signal.Name, every, from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	q, err := questionOf(0, ask)
	if err != nil {
		return nil, err
	}
	p := ask.Signal.Prometheus
	request := fetch.Request{URL: p.URL, Accept: "application/json", Headers: p.Headers, SecretHeaders: p.SecretHeaders}
	var rounds []signal.Round
	piece := min(to.Sub(from), 10_000*every) // Prometheus gives 11,000 points of a series
	late := 0
	for at := from; !at.After(to); {
		end := at.Add(piece)
		if end.After(to) {
			end = to
		}
		c, err := r.collect(ctx, request, "query_range", url.Values{"start": {seconds(at)}, "end": {seconds(end)},
			"step": {strconv.FormatFloat(every.Seconds(), 'f', -1, 64)}}, []*question{q})
		isLate := errors.Is(err, fetch.ErrLate) && ctx.Err() == nil && late < mostLate
		if (errors.Is(err, fetch.ErrTooLarge) || errors.Is(err, errTooMany) || isLate) && piece/2 > max(minPiece, every) {
			piece /= 2
			if isLate {
				late++
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, c.rounds(q, ask, at, end, every)...)
		at = at.Add(end.Sub(at).Truncate(every) + every)
	}
	return rounds, nil
}

// rounds returns an answer for each step, also for those at which Prometheus knew nothing.
func (c *collector) rounds(q *question, ask signal.Ask, from, to time.Time, every time.Duration) []signal.Round {
	var out []signal.Round
	for at := from; !at.After(to); at = at.Add(every) {
		a := signal.Answer{Now: at.UTC()}
		fill(&a, q, ask, c.moments[at.UnixMilli()][q])
		out = append(out, signal.Round{At: at.UTC(), Answer: a})
	}
	return slices.Clip(out)
}

func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}
