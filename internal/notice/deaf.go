package notice

import (
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// Deaf returns the channels by which nobody is told now, by name: since the last notice that one of them took, one was given up,
// or the last try to tell one failed. A channel that nothing was sent to is not known to be deaf.
func Deaf(all []astern.Dispatch) []astern.DeafChannel {
	heard := map[string]time.Time{}
	for _, d := range all {
		if d.State == astern.DispatchSent && d.SettledAt.After(heard[d.Channel]) {
			heard[d.Channel] = d.SettledAt
		}
	}
	var out []astern.DeafChannel
	for _, d := range all {
		failed := d.State == astern.DispatchGivenUp && d.SettledAt.After(heard[d.Channel]) ||
			d.State == astern.DispatchWaiting && d.Tries > 0 && d.Error != ""
		if !failed {
			continue
		}
		i := slices.IndexFunc(out, func(c astern.DeafChannel) bool { return c.Channel == d.Channel })
		if i < 0 {
			i = len(out)
			out = append(out, astern.DeafChannel{Channel: d.Channel, Since: d.QueuedAt})
		}
		out[i].Untold++
		if d.QueuedAt.Before(out[i].Since) {
			out[i].Since = d.QueuedAt
		}
		if d.Error != "" {
			out[i].Error = d.Error
		}
	}
	slices.SortFunc(out, func(a, b astern.DeafChannel) int { return strings.Compare(a.Channel, b.Channel) })
	return out
}
