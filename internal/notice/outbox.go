package notice

import (
	"slices"
	"time"

	"github.com/astern-dev/astern"
)

// How patiently a channel is tried.
const (
	// GiveUp is how long after it was queued a notice is tried, at least once.
	GiveUp = 24 * time.Hour
	// Window is the time in which the same event of one topic is told once; what comes in it is told at its end, as one
	// message, or earlier when something else happens.
	Window = 5 * time.Minute

	firstWait = 5 * time.Second
	longest   = 5 * time.Minute
	// patience bounds what a receiver may ask for with Retry-After.
	patience = time.Hour
	// most is how many are told as one message.
	most = 50
)

// repeats are the events that may come in bursts and don't call a person: a repetition can wait.
var repeats = []astern.NoticeEvent{astern.NoticeDecided, astern.NoticeActed, astern.NoticeOverdue}

// Message is what is sent at once: a notice and those that are told with it, in their order.
type Message struct {
	N    int64
	With []int64
	// Notices has at least one; the message has the first one's ID.
	Notices []astern.Notice
	// QueuedAt is when the first was queued; Tries is how often the channel was tried in vain for any notice that waits.
	QueuedAt time.Time
	Tries    int
}

// Next returns what a channel is sent next, given its dispatches in the order in which they were queued. It is false when
// nothing is due: nothing waits, the channel rests after a failure, or what waits is a repetition that can.
//
// Within a topic the order is kept: nothing overtakes. Between topics, what was tried least comes first, so that a notice that
// a receiver chokes on does not keep all others.
func Next(all []astern.Dispatch, now time.Time) (m Message, ok bool) {
	topics := map[string][]astern.Dispatch{}
	var order []string
	tries := 0
	for _, d := range all {
		if d.State != astern.DispatchWaiting || d.With != 0 {
			continue
		}
		if d.Next.After(now) {
			return m, false
		}
		tries = max(tries, d.Tries)
		if topics[d.Notice.Topic] == nil {
			order = append(order, d.Notice.Topic)
		}
		topics[d.Notice.Topic] = append(topics[d.Notice.Topic], d)
	}
	slices.SortStableFunc(order, func(a, b string) int { return topics[a][0].Tries - topics[b][0].Tries })
	for _, t := range order {
		run := runOf(topics[t])
		if len(run) == len(topics[t]) && repeated(all, run[0], now) {
			continue
		}
		return message(all, run, tries), true
	}
	return m, false
}

// runOf returns the first of what waits and those right behind it that can be told with it: the same event, never tried.
// What was tried keeps its companions, because its receiver may have it.
func runOf(waiting []astern.Dispatch) []astern.Dispatch {
	n := 1
	for n < min(len(waiting), most) && waiting[0].Tries == 0 && waiting[n].Tries == 0 && waiting[n].Notice.Event == waiting[0].Notice.Event {
		n++
	}
	return waiting[:n]
}

// repeated reports whether the same event of the topic was told a short time ago, so that this can wait.
func repeated(all []astern.Dispatch, d astern.Dispatch, now time.Time) bool {
	if d.Tries > 0 || !slices.Contains(repeats, d.Notice.Event) {
		return false
	}
	return slices.ContainsFunc(all, func(o astern.Dispatch) bool {
		return o.State == astern.DispatchSent && o.Notice.Topic == d.Notice.Topic && o.Notice.Event == d.Notice.Event && now.Sub(o.SettledAt) < Window
	})
}

func message(all, run []astern.Dispatch, tries int) Message {
	m := Message{N: run[0].N, QueuedAt: run[0].QueuedAt, Tries: tries}
	add := func(d astern.Dispatch) {
		m.Notices = append(m.Notices, d.Notice)
		if d.N != m.N {
			m.With = append(m.With, d.N)
		}
	}
	for _, d := range run {
		add(d)
	}
	if len(run) == 1 { // those that it was tried with before
		for _, d := range all {
			if d.With == m.N && d.State == astern.DispatchWaiting {
				m.Notices = append(m.Notices, d.Notice)
			}
		}
	}
	return m
}

// Wait is how long a channel rests after a failure: twice as long each time up to five minutes, less a random part of up to a
// third so that many do not come back at once, or as long as it asks for, up to an hour. Random is from 0 to 1.
func Wait(tries int, asked time.Duration, random float64) time.Duration {
	w := longest
	if tries < 10 {
		w = min(longest, firstWait<<max(0, tries-1))
	}
	w -= time.Duration(random * float64(w) / 3)
	return max(w, min(asked, patience))
}
