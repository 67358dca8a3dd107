package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/incident"
)

// Incidents keeps what is told of incidents.
type Incidents interface {
	OpenIncident(ctx context.Context, e astern.IncidentEvent) (id string, opened bool, err error)
	AddIncidentEvent(ctx context.Context, id string, e astern.IncidentEvent) (seq int64, err error)
	Incident(ctx context.Context, id string) (astern.IncidentLog, error)
	Incidents(ctx context.Context) ([]astern.IncidentLog, error)
}

// Fault is what a person says who opens an incident.
type Fault struct {
	Environment string
	Components  []string
	Severity    string
	Began       time.Time // zero means now
	Title       string
}

// OpenIncident opens an incident on a person's word and returns its id.
func (a *App) OpenIncident(ctx context.Context, f Fault) (string, error) {
	e := astern.IncidentEvent{At: a.Now(), Kind: astern.IncidentOpened, By: a.By, Text: f.Title, Severity: f.Severity, Began: f.Began}
	for _, name := range f.Components {
		c, err := a.Component(f.Environment, name)
		if err != nil {
			return "", err
		}
		if !slices.Contains(e.Addresses, c.Address()) {
			e.Addresses = append(e.Addresses, c.Address())
		}
	}
	switch {
	case f.Severity != "" && !validSeverity(f.Severity):
		return "", astern.Errorf(astern.Invalid, "%q is no name of a severity", f.Severity).WithHint("as in SEV-2: letters, digits and dashes, at most 32")
	case f.Began.After(a.Now()):
		return "", astern.Errorf(astern.Invalid, "the fault can't begin at %s: that is still to come", f.Began.UTC().Format("2006-01-02 15:04:05Z"))
	}
	id, _, err := a.Store.OpenIncident(ctx, e)
	return id, err
}

func validSeverity(s string) bool {
	const longest = 32
	return len(s) <= longest && strings.IndexFunc(s, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0 && s != "" && s[0] != '-'
}

// Incident returns an incident with what its executions did.
func (a *App) Incident(ctx context.Context, id string) (astern.Incident, error) {
	log, err := a.Store.Incident(ctx, id)
	if err != nil {
		return astern.Incident{}, err
	}
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return astern.Incident{}, fmt.Errorf("reading executions: %w", err)
	}
	in, err := a.withExecutions(ctx, incident.Fold(log), all)
	if err != nil {
		return in, err
	}
	return in, a.addReviews(ctx, []astern.Incident{in}, func(_ int, t astern.Task) { in.Tasks = append(in.Tasks, t) })
}

// addReviews hands out the reviews of glasses that were broken while an incident lasted, for its components: they are among
// its tasks.
func (a *App) addReviews(ctx context.Context, all []astern.Incident, add func(i int, t astern.Task)) error {
	overrides, err := a.Store.Overrides(ctx)
	if err != nil {
		return fmt.Errorf("reading broken glasses: %w", err)
	}
	for _, o := range overrides {
		doc, err := a.Store.Plan(ctx, o.PlanHash)
		if err != nil {
			return fmt.Errorf("reading the plan of a broken glass: %w", err)
		}
		p, _, err := a.decoded(doc)
		if err != nil {
			return fmt.Errorf("reading the plan of a broken glass: %w", err)
		}
		for i, in := range all {
			if incident.Concerns(in, astern.Execution{Addresses: p.Addresses(), CreatedAt: o.At, EndedAt: &o.At}) {
				due := o.ReviewDue
				add(i, astern.Task{Item: incident.Review + o.PlanHash[:12], List: "24h", DueAt: &due, DoneAt: o.ReviewedAt, By: o.ReviewedBy})
			}
		}
	}
	return nil
}

// Incidents returns all incidents, the newest first.
func (a *App) Incidents(ctx context.Context) ([]astern.Incident, error) {
	logs, err := a.Store.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]astern.Incident, len(logs))
	for i, log := range logs {
		out[i] = incident.Fold(log)
	}
	return out, a.addReviews(ctx, out, func(i int, t astern.Task) { out[i].Tasks = append(out[i].Tasks, t) })
}

// withExecutions adds to the timeline what was done in the time of the incident to the components that it is about,
// whoever did it, and whether or not he knew of it.
func (a *App) withExecutions(ctx context.Context, in astern.Incident, all []astern.Execution) (astern.Incident, error) {
	for _, e := range slices.Backward(all) {
		if !slices.Contains(in.Executions, e.ID) && !incident.Concerns(in, e) {
			continue
		}
		l, err := a.load(ctx, e.ID)
		if err != nil {
			return in, err
		}
		in = incident.With(in, e, l.plan, l.records)
	}
	return in, nil
}

// tell writes an event of an incident on a person's word.
func (a *App) tell(ctx context.Context, id string, e astern.IncidentEvent, may func(astern.Incident) error) error {
	log, err := a.Store.Incident(ctx, id)
	if err != nil {
		return err
	}
	if err := may(incident.Fold(log)); err != nil {
		return err
	}
	e.At, e.By = a.Now(), a.By
	_, err = a.Store.AddIncidentEvent(ctx, id, e)
	return err
}

func always(astern.Incident) error { return nil }

// OwnIncident says who has an incident from now on, or one task of it: the person who says so where to is "".
func (a *App) OwnIncident(ctx context.Context, id, item, to string) error {
	if strings.HasPrefix(item, incident.Review) {
		return astern.Errorf(astern.Refused, "%s is for whoever did not break the glass: it is given to nobody", item).WithHint("astern policy %s --reason …", item)
	}
	who := cmp.Or(to, a.By)
	return a.tell(ctx, id, astern.IncidentEvent{Kind: astern.IncidentOwned, Item: item, To: to}, func(in astern.Incident) error {
		if err := a.knows(in, to); err != nil {
			return err
		}
		had, what := in.Owner, id
		if item != "" {
			t, err := undone(in, item)
			if err != nil {
				return err
			}
			had, what = t.Owner, item+" of "+id
		}
		if a.called(in, had) == a.called(in, who) {
			return astern.Errorf(astern.Refused, "%s has %s already", had, what)
		}
		return nil
	})
}

// knows refuses to give an incident to somebody of whom the policies of its environments, where they name people, know nothing.
func (a *App) knows(in astern.Incident, to string) error {
	if to == "" {
		return nil
	}
	if strings.TrimSpace(to) != to || len(to) > maxName || strings.ContainsFunc(to, unicode.IsControl) {
		return astern.Errorf(astern.Invalid, "%q is no name of a person", to).WithHint("at most %d bytes on one line", maxName)
	}
	var names []string
	for _, address := range in.Addresses {
		environment, _, _ := astern.SplitAddress(address)
		e, err := a.Environment(environment)
		if err != nil {
			return err
		}
		if _, ok := e.Policy.Person(to); ok {
			return nil
		}
		for _, x := range e.Policy.People {
			if !slices.Contains(names, x.Name) {
				names = append(names, x.Name)
			}
		}
	}
	if len(names) > 0 {
		return astern.Errorf(astern.NotFound, "the policy knows nobody called %q", to).WithHint("it knows %s", strings.Join(names, ", "))
	}
	return nil
}

// called returns the name by which the policies of an incident's environments know somebody, who may also be named by a login.
func (a *App) called(in astern.Incident, name string) string {
	for _, address := range in.Addresses {
		environment, _, _ := astern.SplitAddress(address)
		if e, err := a.Environment(environment); err == nil {
			if x, ok := e.Policy.Person(name); ok {
				return x.Name
			}
		}
	}
	return name
}

// maxName is how many bytes the name of a person may have.
const maxName = 100

// undone returns the task of an incident, and refuses one that was done.
func undone(in astern.Incident, item string) (astern.Task, error) {
	i := slices.IndexFunc(in.Tasks, func(t astern.Task) bool { return t.Item == item })
	if i < 0 {
		return astern.Task{}, astern.Errorf(astern.NotFound, "%s has no task %q", in.ID, item).WithHint("it has: %s", strings.Join(incident.Items(), ", "))
	}
	t := in.Tasks[i]
	if t.DoneAt != nil {
		return t, astern.Errorf(astern.Refused, "%s of %s was done by %s", item, in.ID, t.By)
	}
	return t, nil
}

// NoteIncident adds a line to the timeline.
func (a *App) NoteIncident(ctx context.Context, id, text string) error {
	return a.tell(ctx, id, astern.IncidentEvent{Kind: astern.IncidentNoted, Text: text}, always)
}

// SetSeverity changes how severe the incident is.
func (a *App) SetSeverity(ctx context.Context, id, severity, reason string) error {
	if !validSeverity(severity) {
		return astern.Errorf(astern.Invalid, "%q is no name of a severity", severity).WithHint("as in SEV-2: letters, digits and dashes, at most 32")
	}
	return a.tell(ctx, id, astern.IncidentEvent{Kind: astern.IncidentSeverity, Severity: severity, Text: reason}, always)
}

// CostIncident says what the incident has cost so far.
func (a *App) CostIncident(ctx context.Context, id string, c astern.Cost) error {
	if c.Requests < 0 || c.Users < 0 || c.Share < 0 || c.Share > 100 {
		return astern.Errorf(astern.Invalid, "a cost is not negative, and a share at most 100 percent")
	}
	return a.tell(ctx, id, astern.IncidentEvent{Kind: astern.IncidentCost, Cost: &c}, always)
}

// ResolveIncident says that the harm is over: the tasks are due from now on. Ended is when it was over, zero for now.
func (a *App) ResolveIncident(ctx context.Context, id, reason string, ended time.Time) error {
	return a.tell(ctx, id, astern.IncidentEvent{Kind: astern.IncidentResolved, Text: reason, Ended: ended}, func(in astern.Incident) error {
		if !ended.IsZero() && (ended.Before(in.BeganAt) || ended.After(a.Now())) {
			return astern.Errorf(astern.Invalid, "resolving %s: it can't have ended at %s", id, ended.UTC().Format("2006-01-02 15:04:05Z")).
				WithHint("it began at %s", in.BeganAt.UTC().Format("2006-01-02 15:04:05Z"))
		}
		if in.ResolvedAt != nil {
			return astern.Errorf(astern.Refused, "%s was resolved %s", id, in.ResolvedAt.UTC().Format("2006-01-02 15:04:05Z"))
		}
		return nil
	})
}

// ReopenIncident says that it is not over.
func (a *App) ReopenIncident(ctx context.Context, id, reason string) error {
	return a.tell(ctx, id, astern.IncidentEvent{Kind: astern.IncidentReopened, Text: reason}, func(in astern.Incident) error {
		if in.ResolvedAt == nil {
			return astern.Errorf(astern.Refused, "%s is not resolved", id)
		}
		return nil
	})
}

// TickTask says that a task of the incident is done.
func (a *App) TickTask(ctx context.Context, id, item string) error {
	if strings.HasPrefix(item, incident.Review) {
		return astern.Errorf(astern.Refused, "%s is done by the review itself", item).WithHint("astern policy %s --reason …", item)
	}
	return a.tell(ctx, id, astern.IncidentEvent{Kind: astern.IncidentTicked, Item: item}, func(in astern.Incident) error {
		_, err := undone(in, item)
		return err
	})
}
