package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// Notices keeps the outbox.
type Notices interface {
	QueueNotice(ctx context.Context, n astern.Notice, channels []string, at time.Time) error
	Dispatches(ctx context.Context, since time.Time) ([]astern.Dispatch, error)
	TryDispatch(ctx context.Context, n int64, with []int64, now, next time.Time) (taken bool, err error)
	SettleDispatch(ctx context.Context, n int64, state astern.DispatchState, why string, next, at time.Time) error
	Subscribe(ctx context.Context, channels []string, at time.Time) (map[string]time.Time, error)
}

func noticeOf(token string) astern.Notice {
	return astern.Notice{ID: "id of " + token, Token: token, Topic: "inc-1", Event: astern.NoticeDecided, At: start, System: "webshop", Title: "<b>é\n",
		Addresses: []string{"production/shop"}}
}

// left returns what waits, and what was queued since.
func left(t *testing.T, s Store, since time.Time) []astern.Dispatch {
	t.Helper()
	all, err := s.Dispatches(t.Context(), since)
	must(t, err)
	return all
}

var never = start.Add(1000 * time.Hour)

func outbox(t *testing.T, s Store) {
	ctx := t.Context()
	same(t, len(left(t, s, time.Time{})), 0)
	zone := noticeOf("one")
	zone.At = start.In(time.FixedZone("", 3600))
	must(t, s.QueueNotice(ctx, zone, []string{"team", "duty"}, start))
	must(t, s.QueueNotice(ctx, noticeOf("one"), []string{"duty", "mail"}, start.Add(time.Second))) // told before, but for mail
	must(t, s.QueueNotice(ctx, noticeOf("two"), nil, start))                                       // nobody wants it
	waiting := func(n int64, channel string, at time.Time) astern.Dispatch {
		return astern.Dispatch{N: n, Channel: channel, Notice: noticeOf("one"), State: astern.DispatchWaiting, QueuedAt: at}
	}
	all := left(t, s, never)
	same(t, len(all), 3)
	team, duty, mail := all[0], all[1], all[2]
	same(t, []astern.Dispatch{team, duty, mail}, []astern.Dispatch{waiting(team.N, "team", start), waiting(duty.N, "duty", start), waiting(mail.N, "mail", start.Add(time.Second))})

	// A try is one only when it is due and nobody else has it.
	soon := start.Add(time.Minute)
	for _, want := range []bool{true, false} {
		taken, err := s.TryDispatch(ctx, team.N, nil, start, soon)
		must(t, err)
		same(t, taken, want)
	}
	taken, err := s.TryDispatch(ctx, 1<<40, nil, start, soon)
	must(t, err)
	same(t, taken, false)
	must(t, s.SettleDispatch(ctx, team.N, astern.DispatchWaiting, "connection refused", soon.Add(time.Minute), start))
	taken, err = s.TryDispatch(ctx, team.N, nil, soon, never)
	must(t, err)
	same(t, taken, false) // not yet
	got := left(t, s, never)[0]
	same(t, []any{got.Tries, got.Error, got.Next, got.SettledAt}, []any{1, "connection refused", soon.Add(time.Minute), time.Time{}})
	taken, err = s.TryDispatch(ctx, team.N, nil, soon.Add(time.Minute), never)
	must(t, err)
	same(t, taken, true)

	// What is settled stays so, and is known for 90 days.
	must(t, s.SettleDispatch(ctx, team.N, astern.DispatchSent, "", time.Time{}, soon))
	must(t, s.SettleDispatch(ctx, team.N, astern.DispatchGivenUp, "late", time.Time{}, never))
	must(t, s.SettleDispatch(ctx, duty.N, astern.DispatchGivenUp, "no such key", time.Time{}, soon))
	same(t, len(left(t, s, never)), 1)
	known := left(t, s, start)
	same(t, len(known), 3)
	same(t, []any{known[0].State, known[0].Tries, known[0].Error, known[0].SettledAt}, []any{astern.DispatchSent, 2, "", soon})
	same(t, []any{known[1].State, known[1].Error, known[1].SettledAt}, []any{astern.DispatchGivenUp, "no such key", soon})
	taken, err = s.TryDispatch(ctx, duty.N, nil, never, never)
	must(t, err)
	same(t, taken, false)
	must(t, s.QueueNotice(ctx, noticeOf("one"), []string{"team"}, start.Add(89*24*time.Hour)))
	same(t, len(left(t, s, start)), 3)
	must(t, s.QueueNotice(ctx, noticeOf("three"), []string{"team"}, start.Add(91*24*time.Hour)))
	same(t, len(left(t, s, start)), 2) // what waits is never forgotten
	unfit := noticeOf("four")
	unfit.At = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := s.QueueNotice(ctx, unfit, []string{"team"}, start); err == nil {
		t.Error("a notice that can't be written is taken")
	}
}

// toldTogether: what is told as one message has one fate.
func toldTogether(t *testing.T, s Store) {
	ctx := t.Context()
	for i := range 5 {
		must(t, s.QueueNotice(ctx, noticeOf(fmt.Sprint(i)), []string{"team"}, start))
	}
	all := left(t, s, start)
	n := func(i int) int64 { return all[i].N }
	try := func(head int64, with ...int64) bool {
		t.Helper()
		taken, err := s.TryDispatch(ctx, head, with, start, start.Add(time.Minute))
		must(t, err)
		return taken
	}
	same(t, try(n(0), n(1), n(2)), true)
	same(t, try(n(1)), false)             // it goes with the first
	same(t, try(n(3), n(4), n(1)), false) // one of them does
	same(t, try(n(3), n(3)), false)
	same(t, try(n(3), n(4), n(4)), false)
	after := left(t, s, start)
	for i, want := range []int64{0, n(0), n(0), 0, 0} {
		same(t, after[i].With, want)
	}
	same(t, []int{after[0].Tries, after[1].Tries, after[3].Tries}, []int{1, 0, 0}) // what failed left nothing
	same(t, try(n(3)), true)
	same(t, try(n(4), n(3)), false) // it was tried by itself
	same(t, try(n(3), n(4)), false) // taken before, and so takes nothing more
	same(t, left(t, s, start)[4].With, 0)
	must(t, s.SettleDispatch(ctx, n(0), astern.DispatchSent, "", time.Time{}, start))
	same(t, len(left(t, s, never)), 2)
}

// raceToSend: of many who want to send a notice, one may.
func raceToSend(t *testing.T, s Store) {
	must(t, s.QueueNotice(t.Context(), noticeOf("one"), []string{"team"}, start))
	n := left(t, s, start)[0].N
	var won atomic.Int64
	for _, err := range together(16, func(int) error {
		taken, err := s.TryDispatch(t.Context(), n, nil, start, never)
		if taken {
			won.Add(1)
		}
		return err
	}) {
		must(t, err)
	}
	same(t, won.Load(), int64(1))
}

func subscribe(t *testing.T, s Store) {
	ctx := t.Context()
	none, err := s.Subscribe(ctx, nil, start)
	must(t, err)
	same(t, len(none), 0)
	_, err = s.Subscribe(ctx, []string{"team"}, start)
	must(t, err)
	later := start.Add(time.Hour)
	since, err := s.Subscribe(ctx, []string{"duty", "team"}, later)
	must(t, err)
	same(t, since, map[string]time.Time{"team": start, "duty": later})
	since, err = s.Subscribe(ctx, []string{"mail"}, later)
	must(t, err)
	same(t, since, map[string]time.Time{"team": start, "duty": later, "mail": later}) // those of before, too
}

func recentPlans(t *testing.T, s Store) {
	for i, name := range []string{"one", "two", "three"} {
		must(t, s.PutPlan(t.Context(), hash(name), []byte(name), start.Add(time.Duration(i)*time.Minute)))
	}
	for since, want := range map[time.Time]map[string][]byte{
		never:                       {},
		start.Add(2 * time.Minute):  {hash("three"): []byte("three")},
		start.Add(61 * time.Second): {hash("three"): []byte("three")},
		start.Add(time.Minute):      {hash("three"): []byte("three"), hash("two"): []byte("two")},
		start.Truncate(time.Second): {hash("three"): []byte("three"), hash("two"): []byte("two"), hash("one"): []byte("one")},
	} {
		got, err := s.RecentPlans(t.Context(), since)
		must(t, err)
		same(t, got, want)
	}
}
