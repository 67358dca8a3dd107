package app_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// leave makes the world's root say that this execution was there.
func (w world) leave(c astern.Claim) {
	w.t.Helper()
	line, err := json.Marshal(c)
	w.must(err)
	w.write("root/.astern.lock", string(line)+"\n", 0o600)
}

// progress returns the newest fence of the world's execution, and how many steps it was about to take.
func (w world) progress() (fence int64, intents int) {
	w.t.Helper()
	for _, r := range w.journal() {
		fence = max(fence, r.Fence)
		if r.Kind == astern.RecordIntent {
			intents++
		}
	}
	return fence, intents
}

// Others of another state folder came and ended while an execution that was taken and had not begun lay there: it goes on above
// their fences.
func TestResumedAboveTheFencesOfOthers(t *testing.T) {
	w := newWorld(t)
	if code, out := w.run("after 3"); code != -1 {
		t.Fatalf("it was not killed after it was taken: %d\n%s", code, out)
	}
	if fence, intents := w.progress(); fence != 1 || intents != 0 {
		t.Fatalf("fence %d and %d intents before it began", fence, intents)
	}
	w.leave(astern.Claim{Fence: 50, Execution: "ex-9", Address: "test/shop", At: time.Now(), Owner: "feedfeedfeedfeedfeedfeed", By: "somebody"})
	if code, out := w.run(""); code != 0 {
		t.Fatalf("going on: %d\n%s", code, out)
	}
	if fence, _ := w.progress(); fence != 51 {
		t.Errorf("it went on with fence %d", fence)
	}
	if end := w.end(); end.Outcome != astern.OutcomeDone {
		t.Errorf("it ended as %q", end.Outcome)
	}
}

// An astern of before there were owners leaves its fence alone: one that is newer says that somebody was there since.
func TestNotResumedAfterANewerFenceWithoutOwner(t *testing.T) {
	w := newWorld(t)
	for at := 4; ; at++ { // as soon as it has begun
		if code, out := w.run("after " + strconv.Itoa(at)); code != -1 {
			t.Fatalf("it was not killed: %d\n%s", code, out)
		}
		if _, intents := w.progress(); intents > 0 {
			break
		}
	}
	fence, before := w.progress()
	w.leave(astern.Claim{Fence: fence + 50, Execution: "ex-9", Address: "test/shop", At: time.Now(), By: "somebody"})
	code, out := w.run("")
	if code != 3 || !strings.Contains(out, "another execution was there since: ex-9") || !strings.Contains(out, "astern cancel ex-1") {
		t.Fatalf("going on: %d\n%s", code, out)
	}
	if _, after := w.progress(); after != before {
		t.Errorf("it took %d steps more", after-before)
	}
	w.leave(astern.Claim{Fence: fence, Execution: "ex-1", Address: "test/shop", At: time.Now()})
	if code, out := w.run(""); code != 0 {
		t.Errorf("going on where it was alone: %d\n%s", code, out)
	}
}
