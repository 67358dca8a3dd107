package storemodel

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// noticesKept is how long it is known what was told.
const noticesKept = 90 * 24 * time.Hour

// RecentPlans returns the plans that were stored since a moment, by their hashes.
func (s *Store) RecentPlans(ctx context.Context, since time.Time) (map[string][]byte, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	out := map[string][]byte{}
	for _, p := range s.plans {
		if !p.At.Before(since.Truncate(time.Second)) {
			out[p.Hash] = p.Doc
		}
	}
	return out, nil
}

// QueueNotice writes a notice into the outbox, for each of the channels.
func (s *Store) QueueNotice(ctx context.Context, n astern.Notice, channels []string, at time.Time) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	n.At = n.At.UTC()
	doc, err := json.Marshal(n)
	if err != nil {
		return astern.Errorf(astern.Internal, "the notice %s can't be written as JSON: %w", n.Token, err)
	}
	for _, c := range channels {
		if slices.ContainsFunc(s.dispatches, func(d astern.Dispatch) bool { return d.Channel == c && d.Notice.Token == n.Token }) {
			continue
		}
		s.dispatched++
		d := astern.Dispatch{N: s.dispatched, Channel: c, State: astern.DispatchWaiting, QueuedAt: at.UTC()}
		if err := json.Unmarshal(doc, &d.Notice); err != nil {
			return err
		}
		s.dispatches = append(s.dispatches, d)
	}
	s.dispatches = slices.DeleteFunc(s.dispatches, func(d astern.Dispatch) bool {
		return d.State != astern.DispatchWaiting && d.QueuedAt.Before(at.Add(-noticesKept))
	})
	return nil
}

// Dispatches returns what waits in the outbox, and of the rest what was queued since a moment.
func (s *Store) Dispatches(ctx context.Context, since time.Time) ([]astern.Dispatch, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var out []astern.Dispatch
	for _, d := range s.dispatches {
		if d.State == astern.DispatchWaiting || !d.QueuedAt.Before(since) {
			out = append(out, d)
		}
	}
	return out, nil
}

// TryDispatch takes a waiting dispatch in order to send it, together with others.
func (s *Store) TryDispatch(ctx context.Context, n int64, with []int64, now, next time.Time) (bool, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	d := s.dispatch(n)
	if d == nil || d.State != astern.DispatchWaiting || d.With != 0 || d.Next.After(now) {
		return false, nil
	}
	for i, w := range with {
		if o := s.dispatch(w); o == nil || w == n || slices.Contains(with[:i], w) || o.State != astern.DispatchWaiting || o.With != 0 || o.Tries > 0 {
			return false, nil
		}
	}
	for _, w := range with {
		s.dispatch(w).With = n
	}
	d.Tries, d.Next = d.Tries+1, next.UTC()
	return true, nil
}

// SettleDispatch says what came of a try.
func (s *Store) SettleDispatch(ctx context.Context, n int64, state astern.DispatchState, why string, next, at time.Time) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	for i := range s.dispatches {
		d := &s.dispatches[i]
		if d.N != n && d.With != n || d.State != astern.DispatchWaiting {
			continue
		}
		d.State, d.Error, d.Next = state, why, next.UTC()
		if state != astern.DispatchWaiting {
			d.SettledAt = at.UTC()
		}
	}
	return nil
}

// Subscribe notes since when the channels are told.
func (s *Store) Subscribe(ctx context.Context, channels []string, at time.Time) (map[string]time.Time, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	for _, c := range channels {
		if _, ok := s.channels[c]; !ok {
			s.channels[c] = at.UTC()
		}
	}
	return maps.Clone(s.channels), nil
}

func (s *Store) dispatch(n int64) *astern.Dispatch {
	i := slices.IndexFunc(s.dispatches, func(d astern.Dispatch) bool { return d.N == n })
	if i < 0 {
		return nil
	}
	return &s.dispatches[i]
}
