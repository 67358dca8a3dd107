package app

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/replay"
	"github.com/astern-dev/astern/internal/watch"
)

// recorder writes down what the watch sees, to be judged again. It never stands in the watch's way: what can't be written is
// missing in the recording, which begins anew when it can be written again. The zero value records nothing.
type recorder struct {
	lock  sync.Mutex // components are judged side by side
	to    io.Writer
	room  int64
	enc   replay.Encoder
	lines bytes.Buffer // of this round
	lost  bool         // the last round could not be written, or none was yet
	told  bool         // that it could not
}

// Record writes all that the watch sees to a file, at most so many bytes. Call it before the first round.
func (w *Watcher) Record(to io.Writer, room int64) {
	w.record = recorder{to: to, room: room, lost: true}
}

// resume begins the recording, again after something was lost.
func (r *recorder) resume(w *Watcher) {
	if r.to == nil || !r.lost {
		return
	}
	now := w.app.Now()
	r.lines.Reset()
	r.lines.WriteByte('\n') // whatever stands there was cut off
	r.lines.Write(r.enc.Start(now))
	for _, x := range w.all {
		r.lines.Write(r.enc.Begin(now, x.component.Address(), x.component.Signals, x.known))
	}
	r.lost = false
}

func (r *recorder) add(line func(e *replay.Encoder) []byte) {
	if r.to == nil {
		return
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	if !r.lost {
		r.lines.Write(line(&r.enc))
	}
}

func (r *recorder) tried(at time.Time, x *watched) {
	r.add(func(e *replay.Encoder) []byte { return e.Tried(at, x.component.Address(), x.known.Trial) })
}

func (r *recorder) took(at time.Time, x *watched, taken []watch.Taken) {
	r.add(func(e *replay.Encoder) []byte { return e.Took(at, x.component.Address(), x.known.Runs, taken) })
}

func (r *recorder) weighed(at time.Time, x *watched, s watch.Situation) {
	r.add(func(e *replay.Encoder) []byte { return e.Weighed(at, x.component.Address(), s) })
}

func (r *recorder) decided(at time.Time, x *watched, d astern.Decision) {
	r.add(func(e *replay.Encoder) []byte { return e.Decided(at, x.component.Address(), d) })
}

func (r *recorder) did(at time.Time, x *watched, before replay.Mark) {
	r.add(func(e *replay.Encoder) []byte {
		address := x.component.Address()
		probed := x.findings()[len(x.component.Signals):]
		return append(e.Probed(at, address, probed), e.Did(at, address, before, x.known)...)
	})
}

// round writes the lines of the round that is over.
func (r *recorder) round(w *Watcher) {
	if r.to == nil {
		return
	}
	r.add(func(e *replay.Encoder) []byte { return e.Round(w.app.Now()) })
	defer r.lines.Reset()
	if r.room -= int64(r.lines.Len()); r.room < 0 {
		r.to = nil
		w.tell(nil, astern.WatchEvent{Kind: astern.WatchTrouble, Text: "the recording is as large as it may be: nothing more is recorded"})
		return
	}
	if _, err := r.to.Write(r.lines.Bytes()); err != nil {
		if r.lost = true; !r.told {
			r.told = true
			w.tell(nil, astern.WatchEvent{Kind: astern.WatchTrouble, Text: fmt.Sprintf("writing the recording: %s; what happens now is missing in it", err)})
		}
	} else if r.told {
		r.told = false
		w.tell(nil, astern.WatchEvent{Kind: astern.WatchTrouble, Text: "the recording is written again"})
	}
}
