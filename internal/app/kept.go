package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// kept is the file that keeps a search: a head, and a line for each page that was looked at. A line that was cut off by a
// kill is as if it was never written.
type kept struct {
	name string // "" keeps nothing
	file *os.File

	mu    sync.Mutex // of what follows, and of the order of lines
	lines int
	was   map[string]*earlier
}

// earlier is what an earlier search found of one kind at one place.
type earlier struct {
	found []astern.Discovered
	next  string
	done  bool
}

// head is the first line: whose search it is.
type head struct {
	Kind     string            `json:"kind"` // InitSearch
	Version  int               `json:"version"`
	At       time.Time         `json:"at"`
	Places   []string          `json:"places"`
	Accounts map[string]string `json:"accounts"` // by place
	Regions  map[string]string `json:"regions"`  // by place: one without a region is searched in that of the surroundings
}

const searchKind = "InitSearch"

// line is one page. Again is set where the kind's search began anew.
type line struct {
	Kind  string              `json:"kind"`
	Place string              `json:"place"`
	Next  string              `json:"next,omitempty"`
	Done  bool                `json:"done,omitempty"`
	Again bool                `json:"again,omitempty"`
	Found []astern.Discovered `json:"found"`
}

// Limits of what an earlier search is used for.
const (
	maxSearchAge  = 24 * time.Hour
	maxSearchFile = 64 << 20
)

// resume opens the file of the search, with what an earlier one of the same places and accounts found in the last day. The
// note says what became of an earlier search.
func (s Search) resume(ctx context.Context, accounts *awsapi.Accounts) (k *kept, note string, err error) {
	k = &kept{was: map[string]*earlier{}}
	where, err := awsapi.Places(s.Places)
	if err != nil || len(where) == 0 || s.Kept == "" {
		return k, "", err
	}
	h := head{Kind: searchKind, Version: 1, At: s.Now().UTC(), Places: s.Places, Accounts: map[string]string{}, Regions: map[string]string{}}
	clouds := slices.DeleteFunc(slices.Clone(s.Places), func(p string) bool { return !strings.HasPrefix(p, CloudPlace) })
	for i, place := range clouds {
		session, err := accounts.Session(ctx, where[i])
		if err != nil {
			return nil, "", err
		}
		h.Regions[place] = session.Region
		if h.Accounts[place], err = session.Account(ctx); err != nil {
			return nil, "", err
		}
	}
	k.name = s.Kept
	good, why, err := k.read(h)
	if err != nil {
		return nil, "", err
	}
	if why != "" {
		note, good = fmt.Sprintf("an earlier search is in %s and is not used: %s", k.name, why), 0
		k.lines, k.was = 0, map[string]*earlier{}
	} else if n := k.count(); n > 0 {
		note = fmt.Sprintf("going on from an earlier search: %d were found already", n)
	}
	if k.file, err = os.OpenFile(k.name, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600); err == nil {
		err = k.file.Truncate(good)
	}
	if err == nil {
		_, err = k.file.Seek(good, io.SeekStart)
	}
	if err == nil && good == 0 {
		err = k.write(h)
	}
	if err != nil {
		return nil, "", astern.Errorf(astern.Invalid, "keeping what is found in %s: %w", k.name, err)
	}
	return k, note, nil
}

func (k *kept) count() (n int) {
	for _, e := range k.was {
		n += len(e.found)
	}
	return n
}

// read takes in what the file has. It returns where its last whole line ends, and why it can't be used.
func (k *kept) read(now head) (good int64, why string, err error) {
	if info, err := os.Lstat(k.name); err == nil && !info.Mode().IsRegular() {
		return 0, "", astern.Errorf(astern.Refused, "keeping what is found in %s: it is no regular file", k.name).WithHint("remove it, or write astern.yaml elsewhere (-f)")
	}
	f, err := os.OpenFile(k.name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", astern.Errorf(astern.Invalid, "reading the earlier search in %s: %w", k.name, err)
	}
	defer f.Close() // it is only read
	r := bufio.NewReader(io.LimitReader(f, maxSearchFile))
	first, err := r.ReadBytes('\n')
	var h head
	switch {
	case len(first) == 0:
		return 0, "", nil
	case !bytes.Contains(first, []byte(`"`+searchKind+`"`)):
		return 0, "", astern.Errorf(astern.Refused, "keeping what is found in %s: that file is not of astern", k.name).WithHint("move it away")
	case err != nil || json.Unmarshal(first, &h) != nil || h.Kind != searchKind || h.Version != 1:
		return 0, "it can't be read", nil
	case !slices.Equal(h.Places, now.Places):
		return 0, "it is of other places: " + awsapi.OneLine(strings.Join(h.Places, " ")), nil
	case !maps.Equal(h.Accounts, now.Accounts):
		return 0, "it is of another account", nil
	case !maps.Equal(h.Regions, now.Regions):
		return 0, "it is of another region", nil
	case now.At.Sub(h.At) > maxSearchAge || h.At.Sub(now.At) > clockSlack:
		return 0, "it is of " + h.At.UTC().Format(time.DateTime) + "Z", nil
	}
	good = int64(len(first))
	for {
		text, err := r.ReadBytes('\n')
		var l raw
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err != nil || d.Decode(&l) != nil {
			return good, "", nil // the end, or a line that was cut off
		}
		good += int64(len(text))
		k.take(l)
	}
}

// raw is a line as it is read: settings stay as they were written.
type raw struct {
	line
	Found []struct {
		Name, Kind string
		Settings   json.RawMessage
		Guessed    []string
	} `json:"found"`
}

func (k *kept) take(l raw) {
	k.lines++
	key := l.Kind + "\n" + l.Place
	if k.was[key] == nil || l.Again {
		k.was[key] = &earlier{}
	}
	e := k.was[key]
	e.next, e.done = l.Next, l.Done
	for _, f := range l.Found {
		e.found = append(e.found, astern.Discovered{Name: f.Name, Kind: f.Kind, Settings: f.Settings, Guessed: f.Guessed})
	}
}

// of returns what an earlier search found.
func (k *kept) of(kind, place string) earlier {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.was[kind+"\n"+place]; e != nil {
		return *e
	}
	return earlier{}
}

// add keeps one page. It is not waited for until it is on disk: what a power failure takes is asked for again.
func (k *kept) add(l line) error {
	if k.file == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.write(l); err != nil {
		return astern.Errorf(astern.Invalid, "keeping what was found in %s: %w", k.name, err)
	}
	k.lines++
	return nil
}

// forget begins a kind anew.
func (k *kept) forget(kind, place string) error {
	k.mu.Lock()
	delete(k.was, kind+"\n"+place)
	k.mu.Unlock()
	return k.add(line{Kind: kind, Place: place, Again: true, Found: []astern.Discovered{}})
}

func (k *kept) write(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = k.file.Write(append(b, '\n'))
	return err
}

func (k *kept) close() {
	if k.file != nil {
		_ = k.file.Close() // each page was written whole, or is left out when it is read
	}
}
