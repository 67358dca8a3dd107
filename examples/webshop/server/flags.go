package server

import (
	"encoding/json"
	"os"
	"sync"
	"time"
)

// flags knows which features are switched on: it reads a file in flagd's format again when the file has changed. A file that
// is missing or can't be read changes nothing of what was known; in the beginning all features are off.
type flags struct {
	file string

	mu     sync.Mutex
	looked time.Time
	seen   os.FileInfo
	known  map[string]bool
}

// lookEvery is how often the file is looked at.
const lookEvery = 100 * time.Millisecond

// on reports whether the feature is switched on for everybody. A disabled flag leaves it to the shop's own default: off.
func (f *flags) on(name string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != "" && now.Sub(f.looked) >= lookEvery {
		f.looked = now
		f.look()
	}
	return f.known[name]
}

func (f *flags) look() {
	info, err := os.Stat(f.file)
	if err != nil || f.seen != nil && os.SameFile(info, f.seen) && info.ModTime().Equal(f.seen.ModTime()) && info.Size() == f.seen.Size() {
		return
	}
	text, err := os.ReadFile(f.file)
	if err != nil {
		return
	}
	var document struct {
		Flags map[string]struct {
			State          string         `json:"state"`
			Variants       map[string]any `json:"variants"`
			DefaultVariant string         `json:"defaultVariant"`
		} `json:"flags"`
	}
	if json.Unmarshal(text, &document) != nil {
		return
	}
	f.seen, f.known = info, map[string]bool{}
	for name, flag := range document.Flags {
		f.known[name] = flag.State == "ENABLED" && flag.Variants[flag.DefaultVariant] == true
	}
}
