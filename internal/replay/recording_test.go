package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

var signals = []astern.Signal{{Name: "errors", Address: "e/shop", Kind: astern.SignalErrors, Scrape: &astern.ScrapeSource{URL: "http://user:secret@shop", Bad: "failed"}}}

func halves(from time.Time, bad float64) watch.Taken {
	return watch.Taken{Sample: astern.Sample{From: from, To: from.Add(15 * time.Second), Candidate: &astern.Counts{Total: 1000, Bad: bad, Members: 1}, Control: &astern.Counts{Total: 1000, Bad: 2, Members: 1}}}
}

// recorded is a recording of a good hour, and of v2, which fails one request of ten beside v1 from its deployment on until it is
// taken back. The watch that recorded it told people, who mended it so many quarters of a minute later.
func recordedMended(mended int) []byte {
	var out bytes.Buffer
	var c Encoder
	w := watch.NewWatched("e/shop")
	at := now
	out.Write(c.Start(at))
	out.Write(c.Begin(at, "e/shop", signals, w))
	w.Runs = map[string]string{"m1": "v1", "m2": "v1"}
	round := func(bad float64) {
		t := halves(at, bad)
		at = at.Add(15 * time.Second)
		w.Show(at, signals, t)
		out.Write(c.Took(at, "e/shop", w.Runs, []watch.Taken{t}))
	}
	for range 240 {
		round(2)
		out.Write(c.Round(at))
	}
	w.Try(astern.Event{Seq: 2, At: at, Address: "e/shop", Kind: astern.EventDeployed, Revision: "v2", By: "ci"}, "v1", signals, nil, at, at)
	out.Write(c.Tried(at, "e/shop", w.Trial))
	w.Runs = map[string]string{"m1": "v2", "m2": "v1"}
	s := watch.Situation{Address: "e/shop", Changes: []astern.Event{{Seq: 2, At: at, Address: "e/shop", Kind: astern.EventDeployed, Revision: "v2", By: "ci"}},
		Ways: []watch.Way{{Text: "shop back to v1", Revision: "v1", Seconds: 30}}}
	for i := range 40 {
		if i <= mended+1 { // what fails while it is taken back is counted a round later
			round(100)
		} else {
			round(2)
		}
		before := MarkOf(w)
		if f := w.Findings(signals)[0]; f.Verdict == watch.Worse && w.Fault.IsZero() {
			w.Noticed(at)
			out.Write(c.Weighed(at, "e/shop", s))
			out.Write(c.Decided(at, "e/shop", astern.Decision{Act: astern.ActTell, Way: "shop back to v1"}))
		}
		if i == mended {
			w.Again(at)
		}
		if i == 39 {
			w.Over(at)
		}
		out.Write(c.Did(at, "e/shop", before, w))
		out.Write(c.Round(at))
	}
	return out.Bytes()
}

func recorded() []byte { return recordedMended(40) }

func policies(p astern.Policy) func(string) (astern.Policy, bool) {
	return func(environment string) (astern.Policy, bool) { return p, environment == "e" }
}

// TestRecording: a fault is noticed, blamed and decided on again; nothing of how signals are read is in a recording.
func TestRecording(t *testing.T) {
	text := recorded()
	if bytes.Contains(text, []byte("secret")) || bytes.Contains(text, []byte("failed")) {
		t.Error("the recording knows how signals are read")
	}
	r, err := Recording("file", bytes.NewReader(text), "watch", policies(bold()))
	if err != nil || len(r.Faults) != 1 || len(r.Faults[0].Decisions) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	f, s := r.Faults[0], r.Faults[0].Saving
	if d := f.Decisions[0]; d.Was.Act != astern.ActTell || d.Would.Act != astern.ActAutomatic || d.Same || f.Cause.Revision != "v2" || f.NoticedAt.Sub(f.Cause.At) > time.Minute {
		t.Errorf("%+v", f)
	}
	// 98 of 1,000 each quarter of a minute.
	if s == nil || s.Requests == nil || *s.Requests < 3000 || *s.Requests > 98*40 || *s.High < *s.Requests || *s.Low > *s.Requests || f.EndedAt == nil {
		t.Errorf("%+v", s)
	}
	tell := bold()
	tell.Automatic.Mode = astern.ModeTell
	if r, err := Recording("file", bytes.NewReader(text), "watch", policies(tell)); err != nil || !r.Faults[0].Decisions[0].Same || r.Faults[0].Saving != nil {
		t.Errorf("%+v, %v", r, err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	if r, err := Recording("file", bytes.NewReader(bytes.Join(lines[:len(lines)-20], nil)), "watch", policies(bold())); err != nil || r.Faults[0].EndedAt != nil {
		t.Errorf("it is cut off in the fault: %+v, %v", r, err)
	}
}

// TestRecordingMended: a fault is over when something was done about it, and what was counted after that had failed by then.
func TestRecordingMended(t *testing.T) {
	r, err := Recording("file", bytes.NewReader(recordedMended(30)), "watch", policies(bold()))
	if err != nil || len(r.Faults) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	f := r.Faults[0]
	began := now.Add(time.Hour)
	if want := began.Add(31 * 15 * time.Second); f.EndedAt == nil || !f.EndedAt.Equal(want) {
		t.Fatalf("over at %s, not %s", f.EndedAt, want)
	}
	before := 98 * f.NoticedAt.Sub(began).Seconds() / 15
	if got, want := *f.Saving.High, 98*32-before; got < want-50 || got > want+50 {
		t.Errorf("saved at most %v, not %v: %+v", got, want, f)
	}
}

// TestRecordingSettled: a deployment that stood its watch is no longer tried: what fails on all members alike is a fault then.
func TestRecordingSettled(t *testing.T) {
	var c Encoder
	w := watch.NewWatched("e/shop")
	w.Runs = map[string]string{"m1": "v1", "m2": "v1"}
	at := now
	text := append(c.Start(at), c.Begin(at, "e/shop", signals, w)...)
	rounds := func(n int, bad float64) {
		for range n {
			x := halves(at, bad)
			x.Sample.Control.Bad = bad
			at = at.Add(15 * time.Second)
			w.Show(at, signals, x)
			text = append(append(text, c.Took(at, "e/shop", w.Runs, []watch.Taken{x})...), c.Round(at)...)
		}
	}
	rounds(240, 2)
	w.Try(astern.Event{Seq: 2, At: at, Address: "e/shop", Kind: astern.EventDeployed, Revision: "v2"}, "v1", signals, nil, at, at)
	text = append(text, c.Tried(at, "e/shop", w.Trial)...)
	w.Runs = map[string]string{"m1": "v2", "m2": "v1"}
	rounds(40, 2)
	before := MarkOf(w)
	w.Settle()
	text = append(text, c.Did(at, "e/shop", before, w)...)
	rounds(40, 2)
	fails := at
	rounds(20, 300)
	r, err := Recording("file", bytes.NewReader(text), "watch", policies(bold()))
	if err != nil || len(r.Faults) != 1 || r.Faults[0].NoticedAt.Sub(fails) > time.Minute {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestRecordingProbed: where the signals have no data, what the component's own checks said decides again.
func TestRecordingProbed(t *testing.T) {
	var c Encoder
	w := watch.NewWatched("e/shop")
	text := append(c.Start(now), c.Begin(now, "e/shop", signals, w)...)
	find := watch.Finding{Signal: "own checks", Kind: astern.SignalErrors, Verdict: watch.Worse, Says: "2 of 2 instances fail", Began: now, Large: true, Harm: 100}
	s := watch.Situation{Address: "e/shop", Changes: []astern.Event{{Seq: 2, At: now, Address: "e/shop", Kind: astern.EventDeployed, Revision: "v2"}}, Ways: []watch.Way{{Text: "back", Revision: "v1"}}}
	for i, probed := range [][]watch.Finding{nil, {find}, {find}, nil, nil} {
		at := minute(float64(i))
		text = append(text, c.Probed(at, "e/shop", probed)...)
		if i == 1 {
			text = append(text, c.Weighed(at, "e/shop", s)...)
		}
		text = append(text, c.Round(at)...)
	}
	r, err := Recording("file", bytes.NewReader(text), "watch", policies(bold()))
	if err != nil || bytes.Count(text, []byte("probed")) != 2 || len(r.Faults) != 1 || !r.Faults[0].NoticedAt.Equal(minute(1)) || len(r.Faults[0].Decisions) != 1 ||
		r.Faults[0].Decisions[0].Would.Act != astern.ActAutomatic || r.Faults[0].Saving == nil || r.Faults[0].Saving.Requests != nil {
		t.Errorf("%+v, %v\n%s", r, err, text)
	}
}

// TestRecordingHostile: what is no recording is refused with the line where that shows.
func TestRecordingHostile(t *testing.T) {
	good := strings.Split(strings.TrimSpace(string(recorded())), "\n")
	with := func(n int, text string) string {
		return strings.Join(append(append(append([]string{}, good[:n-1]...), text), good[n:]...), "\n") + "\n"
	}
	for name, c := range map[string]struct{ text, says string }{
		"nothing":         {"", "line 1: it is empty"},
		"blank":           {"\n\n\n", "line 1: it is empty"},
		"something else":  {"version: 1\nsystem: shop\n", "line 1: "},
		"other JSON":      {"{}\n", "line 1: a recording begins with its version"},
		"a later version": {with(1, `{"recording":2,"t":1}`), "line 1: the recording is of version 2; this astern reads up to 1"},
		"no version":      {with(1, `{"recording":-1,"t":1}`), "line 1: "},
		"half a line":     {with(9, good[8][:20]), "line 9: unexpected EOF"},
		"two in one":      {with(9, good[8]+good[8]), "line 9: more than one value"},
		"NaN":             {with(9, strings.Replace(good[8], "1000", "NaN", 1)), "line 9: invalid character 'N'"},
		"infinite":        {with(9, strings.Replace(good[8], "1000", "1e999", 1)), "line 9: "},
		"negative":        {with(8, `{"t":1772334060000000,"a":"e/shop","s":[{"f":1,"n":[-1,0,1]}]}`), "line 8: its counts are no total"},
		"more failed":     {with(8, `{"t":1772334060000000,"a":"e/shop","s":[{"f":1,"n":[1,2,1]}]}`), "line 8: its counts are no total"},
		"half a member":   {with(8, `{"t":1772334060000000,"a":"e/shop","s":[{"f":1,"n":[1,0,0.5]}]}`), "line 8: its counts are no total"},
		"no such signal":  {with(8, `{"t":1772334060000000,"a":"e/shop","s":[{"i":7,"f":1,"n":[1,0,1]}]}`), "line 8: there is no signal 7"},
		"before it began": {with(8, `{"t":1772334060000000,"a":"e/shop","s":[{"f":1,"e":2,"n":[1,0,1]}]}`), "line 8: a sample's times make no interval"},
		"no bounds":       {with(8, `{"t":1772334060000000,"a":"e/shop","s":[{"f":1,"n":[1,0,1],"nb":[1,2,3]}]}`), "line 8: 3 buckets have 0 bounds"},
		"buckets fall":    {with(8, `{"t":1772334060000000,"a":"e/shop","s":[{"f":1,"n":[1,0,1],"nb":[2,1],"u":[0.1]}]}`), "line 8: its buckets do not rise"},
		"unknown key":     {with(9, `{"t":1772334060000000,"frobnicate":1}`), `line 9: json: unknown field "frobnicate"`},
		"wrong order":     {with(9, `{"t":1,"round":true}`), "line 9: its time is before"},
		"year 100000":     {with(9, `{"t":3093527980800000000,"round":true}`), "line 9: its time"},
		"nobody began":    {with(2, `{"t":1772334000000000,"round":true}`), "line 3: nothing says how e/shop began"},
		"about nothing":   {with(9, `{"t":1772334060000000,"did":"over"}`), "line 9: it says of nothing"},
		"unknown deed":    {with(9, `{"t":1772334060000000,"a":"e/shop","did":"dance"}`), "line 9: nobody knows what \"dance\" is to do"},
		"no environment":  {with(2, strings.ReplaceAll(good[1], "e/shop", "other/shop")), "line 2: the policy's file has no environment other"},
		"no address":      {with(2, strings.ReplaceAll(good[1], "e/shop", "shop")), "line 2: \"shop\" is no ENVIRONMENT/COMPONENT"},
		"judge is null":   {with(2, strings.Replace(good[1], `"known":0`, `"known":0,"quiet":{"begin":"2026-03-01T03:00:00Z","alone":{"level":0.1,"judges":[null]}}`, 1)), "line 2: what was known of e/shop makes no sense: a panel without a judge"},
		"no signals":      {with(2, `{"t":1772334000000000,"a":"e/shop","begin":{"signals":[],"watched":{"address":"e/shop","known":0}}}`), "line 3: there is no signal 0"},
	} {
		_, err := Recording("file", strings.NewReader(c.text), "watch", policies(bold()))
		if astern.CodeOf(err) != astern.Invalid || !strings.HasPrefix(err.Error(), "file: "+c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// endless is a file of one line without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '['
	}
	return len(b), nil
}

// TestRecordingHuge: a line without an end is given up.
func TestRecordingHuge(t *testing.T) {
	if _, err := Recording("file", endless{}, "watch", policies(bold())); astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), "line 1: it is longer than") {
		t.Errorf("%v", err)
	}
	broken := io.MultiReader(bytes.NewReader(recorded()), failing{})
	if _, err := Recording("file", broken, "watch", policies(bold())); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("%v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }

// TestRecordingCut: a last line that is cut off, and one that a beginning follows, are told, and the rest is judged.
func TestRecordingCut(t *testing.T) {
	text := recorded()
	for name, cut := range map[string][]byte{"at its end": text[:len(text)-5], "in the middle": append(append(append([]byte{}, text[:len(text)-5]...), '\n'), text...)} {
		r, err := Recording("file", bytes.NewReader(cut), "watch", policies(bold()))
		if err != nil || !strings.Contains(strings.Join(r.Notes, "\n"), "is cut off") || len(r.Faults) == 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestSamples: what is encoded comes back, with histograms whose bounds come and go.
func TestSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := func(name string) *astern.Counts {
			if rapid.IntRange(0, 4).Draw(t, name) == 0 {
				return nil
			}
			total := float64(rapid.IntRange(0, 1<<40).Draw(t, "total"))
			c := &astern.Counts{Total: total, Bad: total / 3, Members: rapid.IntRange(1, 100).Draw(t, "members")}
			if rapid.Bool().Draw(t, "histogram") {
				for _, u := range rapid.SampledFrom([][]float64{{}, {0.1}, {0.1, 0.25, 3}}).Draw(t, "bounds") {
					c.Buckets = append(c.Buckets, astern.Bucket{Upper: &u, Count: u})
				}
				c.Buckets = append(c.Buckets, astern.Bucket{Count: total + 10})
			}
			return c
		}
		var c Encoder
		text := bytes.NewBuffer(c.Start(now))
		var want []watch.Taken
		at := now
		for range rapid.IntRange(1, 20).Draw(t, "n") {
			at = at.Add(time.Duration(rapid.IntRange(1, 1e9).Draw(t, "micros")) * time.Microsecond)
			x := watch.Taken{Signal: rapid.IntRange(0, 2).Draw(t, "signal"), Sample: astern.Sample{From: at.Add(-time.Second), To: at, Missing: "m"}}
			x.Sample.Candidate, x.Sample.Control = counts("new"), counts("old")
			want = append(want, x)
			text.Write(c.Took(at, "e/shop", nil, []watch.Taken{x}))
		}
		r := &reader{name: "file", in: bufio.NewReader(text)}
		bounds := map[int][]float64{}
		var got []watch.Taken
		for {
			l, err := r.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range l.Samples {
				x, why := s.taken(l.At, 3, bounds)
				if why != "" {
					t.Fatal(why)
				}
				got = append(got, x)
			}
		}
		if !reflect.DeepEqual(got, want) {
			a, _ := json.Marshal(got)
			b, _ := json.Marshal(want)
			t.Fatalf("%s\nwant %s", a, b)
		}
	})
}

// FuzzRecording: whatever the file holds, it is judged or refused.
func FuzzRecording(f *testing.F) {
	text := recorded()
	lines := bytes.SplitAfter(text, []byte("\n"))
	f.Add(text)
	f.Add(bytes.Join(append(lines[:4:4], lines[len(lines)-60:]...), nil))
	f.Add([]byte(fmt.Sprintf(`{"recording":1,"t":1}`+"\n"+`{"t":2,"a":"e/s","begin":{"signals":[{"name":"x","kind":"latency","address":""}],"watched":{"address":"e/s","known":0}}}`+"\n"+`{"t":%d,"a":"e/s","s":[{"f":1,"n":[1,0,1],"nb":[1],"u":[]}]}`, 1<<40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Recording("file", bytes.NewReader(b), "watch", policies(bold()))
		if err != nil && astern.CodeOf(err) != astern.Invalid {
			t.Fatal(err)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRecordingWeight: what a day of a hundred components with three signals each weighs, read every five seconds: below what
// the help of astern watch says.
func TestRecordingWeight(t *testing.T) {
	var c Encoder
	c.Start(now)
	at, bytes := now, 0
	const rounds = 200
	total := 0.0
	for i := range rounds {
		at = at.Add(5*time.Second + time.Duration(i*7919%1000)*time.Microsecond)
		var taken []watch.Taken
		for signal := range 3 {
			group := func(n float64) *astern.Counts {
				total += n
				g := &astern.Counts{Total: n, Bad: float64(i % 17), Members: 3}
				if signal == 1 {
					for j, u := range []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10} {
						g.Buckets = append(g.Buckets, astern.Bucket{Upper: &u, Count: n * float64(j) / 12})
						g.Buckets[j].Count = float64(int(g.Buckets[j].Count))
					}
					g.Buckets = append(g.Buckets, astern.Bucket{Count: n})
				}
				return g
			}
			taken = append(taken, watch.Taken{Signal: signal, Sample: astern.Sample{From: at.Add(-5001 * time.Millisecond), To: at, Candidate: group(12_000 + float64(i*31%977)), Control: group(11_000 + float64(i*37%977))}})
		}
		bytes += len(c.Took(at, "production/checkout-api", nil, taken))
	}
	const day = 24 * 3600 / 5 * 100
	weight := float64(bytes) / rounds * day / (1 << 30)
	t.Logf("%d bytes a round of one component: %.2f GiB a day of 100", bytes/rounds, weight)
	if weight > 0.6 {
		t.Errorf("%.2f GiB a day", weight)
	}
}
