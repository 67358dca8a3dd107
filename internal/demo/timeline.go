package demo

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern/internal/canary"
)

// timeline prints what happens, with the seconds since the start. It is safe for concurrent use.
type timeline struct {
	mu    sync.Mutex
	out   io.Writer
	said  bytes.Buffer // all of it again
	began time.Time
}

func newTimeline(out io.Writer) *timeline {
	t := &timeline{began: time.Now()}
	t.out = io.MultiWriter(out, &t.said)
	return t
}

// leaks returns the secrets in what was said so far.
func (t *timeline) leaks() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return canary.Leaks(t.said.Bytes())
}

// chapter begins a part of the story.
func (t *timeline) chapter(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	title := fmt.Sprintf(format, args...)
	fmt.Fprintf(t.out, "\n%s\n%s\n", title, strings.Repeat("-", len(title)))
}

// say prints one line.
func (t *timeline) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "%6.1f s  %s\n", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// quoteLines is how many lines of a command's output are shown at most.
const quoteLines = 40

// quote prints a command's output line by line, indented; the caller must flush it.
func (t *timeline) quote() *quote { return &quote{timeline: t} }

type quote struct {
	timeline *timeline
	mu       sync.Mutex
	rest     []byte // a line that has not ended
	lines    int
}

// Write prints the lines that are complete.
func (q *quote) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rest = append(q.rest, p...)
	for {
		line, rest, ok := bytes.Cut(q.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		q.line(string(line))
		q.rest = rest
	}
}

// flush prints a last line without an end, and how many lines were not shown.
func (q *quote) flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rest) > 0 {
		q.line(string(q.rest))
		q.rest = nil
	}
	if more := q.lines - quoteLines; more > 0 {
		q.print(fmt.Sprintf("… %d more lines", more))
	}
}

func (q *quote) line(text string) {
	if q.lines++; q.lines <= quoteLines {
		q.print(text)
	}
}

func (q *quote) print(text string) {
	q.timeline.mu.Lock()
	defer q.timeline.mu.Unlock()
	fmt.Fprintln(q.timeline.out, strings.TrimRight("          | "+text, " "))
}
