package exposition_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/astern-dev/astern/internal/signal/exposition"
)

const textType = "text/plain; version=0.0.4"

func everything([]byte) bool { return true }

// lines reads an exposition into lines that can be compared: name, sorted labels, value, time.
func lines(contentType, body string) ([]string, error) {
	var out []string
	err := exposition.Read(strings.NewReader(body), contentType, everything, func(s *exposition.Series) error {
		labels := map[string]string{}
		for _, l := range s.Labels {
			labels[string(l.Name)] = string(l.Value)
		}
		at := ""
		if !s.At.IsZero() {
			at = fmt.Sprint(" @", s.At.UnixMilli())
		}
		out = append(out, line(string(s.Name), labels, s.Value)+at)
		return nil
	})
	return out, err
}

func line(name string, labels map[string]string, value float64) string {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		name += fmt.Sprintf(" %s=%q", k, labels[k])
	}
	return fmt.Sprintf("%s %v", name, value)
}

// oracle reads a text with Prometheus' own library.
func oracle(body string) ([]string, error) {
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(strings.NewReader(body))
	var out []string
	for name, f := range families {
		for _, m := range f.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			at := ""
			if m.TimestampMs != nil {
				at = fmt.Sprint(" @", *m.TimestampMs)
			}
			out = append(out, line(name, labels, value(m))+at)
		}
	}
	return out, err
}

func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	}
	return m.Untyped.GetValue()
}

var seeds = []string{
	"a 1\n", "a{b=\"c\"} 2 1700000000000\n", "# HELP a x\n# TYPE a counter\na{b=\"\\\\\\n\\\"\",} 3e2\n", "a{ b = \"c\" , d=\"e\" } NaN\n",
	"a_b:c{}\t+Inf\n\n  a -Inf\n", "# a comment\n#\na 1\n", "a{b=\"c}\"} 1\n", "a{b=\"é\"} 1\n", "a 0x1p3\n", "a{b=\"1\",b=\"2\"} 1\n", "a{b=\"x\\y\"} 1\n", "1a 2\n", "a\n", "{\"a\"} 1\n",
}

// FuzzText compares with Prometheus' own parser: what it reads, we read the same; what we read, it does not refuse for
// more than what it knows of types.
func FuzzText(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		want, refused := oracle(body)
		if refused != nil || strings.Contains(body, "# TYPE") && strings.ContainsAny(body, "hs") || strings.Contains(body, "{\"") {
			_, _ = lines(textType, body) // must end, and not panic
			return
		}
		got, err := lines(textType, body)
		if err != nil {
			if known := []string{"no number", "breaks off within a line", "not UTF-8", "time can't be read", "no series", "labels can't be read", "twice"}; !slices.ContainsFunc(known, func(k string) bool { return strings.Contains(err.Error(), k) }) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got)\n%s", body, diff)
		}
	})
}

// FuzzBytes reads whatever comes as each form: it ends, and what it calls is bounded.
func FuzzBytes(f *testing.F) {
	f.Add([]byte("a{b=\"c\"} 1 2.5 # {x=\"y\"} 3 4\n# EOF"))
	f.Add([]byte("\x0b\x0a\x01a\x18\x00\x22\x04\x1a\x02\x09\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, kind := range []string{"application/openmetrics-text", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"} {
			n := 0
			_ = exposition.Read(bytes.NewReader(body), kind, everything, func(s *exposition.Series) error {
				if n++; n > len(body)+2 {
					t.Fatalf("%d series of %d bytes", n, len(body))
				}
				return nil
			})
		}
	})
}

func TestOpenMetrics(t *testing.T) {
	body := "# TYPE a counter\n# UNIT a seconds\na_total{b=\"c # {\"} 17 1700000000.25 # {trace=\"x\"} 0.67 1700000000.1\na_created{b=\"c # {\"} 1.7e9\n# EOF\n"
	// The exemplar's mark within a label's value is no exemplar.
	got, err := lines("application/openmetrics-text; version=1.0.0; charset=utf-8", body)
	if diff := cmp.Diff([]string{`a_total b="c # {" 17 @1700000000250`, `a_created b="c # {" 1.7e+09`}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// A million series that nobody asks for take no memory.
func TestMillionSeries(t *testing.T) {
	one := "http_request_duration_seconds_bucket{code=\"200\",le=\"0.5\"} 12345\n"
	body := strings.NewReader(strings.Repeat(one, 250_000))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n := 0
	err := exposition.Read(body, textType, func([]byte) bool { n++; return false }, nil)
	runtime.ReadMemStats(&after)
	if err != nil || n != 250_000 {
		t.Fatal(n, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]float64{"1": 1, "+Inf": math.Inf(1), "-inf": math.Inf(-1), "1e400": math.Inf(1), ".5": .5} {
		got := math.NaN()
		err := exposition.Read(strings.NewReader("a "+text+"\n"), textType, everything, func(s *exposition.Series) error { got = s.Value; return nil })
		if err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
}
