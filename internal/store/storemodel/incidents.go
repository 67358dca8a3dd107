package storemodel

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/astern-dev/astern"
)

// OpenIncident makes an incident of its first event, once for each token.
func (s *Store) OpenIncident(ctx context.Context, e astern.IncidentEvent) (string, bool, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return "", false, err
	}
	defer end()
	if log, _ := s.told(e.Token); log != nil {
		return log.ID, false, nil
	}
	log := astern.IncidentLog{ID: fmt.Sprintf("inc-%d", len(s.incidents)+1)}
	if _, err := addTo(&log, e); err != nil {
		return "", false, err
	}
	s.incidents = append(s.incidents, log)
	return log.ID, true, nil
}

// AddIncidentEvent writes an event of an incident, once for each token.
func (s *Store) AddIncidentEvent(ctx context.Context, id string, e astern.IncidentEvent) (int64, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	i := slices.IndexFunc(s.incidents, func(l astern.IncidentLog) bool { return l.ID == id })
	if i < 0 {
		return 0, noIncident(id)
	}
	if log, seq := s.told(e.Token); log != nil {
		return seq, nil
	}
	return addTo(&s.incidents[i], e)
}

// Incident returns all events of an incident.
func (s *Store) Incident(ctx context.Context, id string) (astern.IncidentLog, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return astern.IncidentLog{}, err
	}
	defer end()
	i := slices.IndexFunc(s.incidents, func(l astern.IncidentLog) bool { return l.ID == id })
	if i < 0 {
		return astern.IncidentLog{}, noIncident(id)
	}
	return astern.IncidentLog{ID: id, Events: slices.Clone(s.incidents[i].Events)}, nil
}

// Incidents returns all incidents, the newest first.
func (s *Store) Incidents(ctx context.Context) ([]astern.IncidentLog, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return newest(s.incidents, 0), nil
}

// told returns where the event with that token stands.
func (s *Store) told(token string) (*astern.IncidentLog, int64) {
	for i := range s.incidents {
		for _, e := range s.incidents[i].Events {
			if token != "" && e.Token == token {
				return &s.incidents[i], e.Seq
			}
		}
	}
	return nil, 0
}

func addTo(log *astern.IncidentLog, e astern.IncidentEvent) (int64, error) {
	e.Seq, e.At = int64(len(log.Events))+1, e.At.UTC()
	doc, err := json.Marshal(e)
	if err != nil {
		return 0, astern.Errorf(astern.Invalid, "an event of %s can't be written as JSON: %w", log.ID, err)
	}
	var back astern.IncidentEvent
	if err := json.Unmarshal(doc, &back); err != nil {
		return 0, err
	}
	log.Events = append(log.Events, back)
	return back.Seq, nil
}

func noIncident(id string) error {
	return astern.Errorf(astern.NotFound, "there is no incident %q in this state folder", id)
}
