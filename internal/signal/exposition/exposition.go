// Package exposition reads what a program exposes about itself, in the three forms that Prometheus' client libraries write:
// the text format 0.0.4, OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/) and delimited protobuf
// (https://github.com/prometheus/client_model). It reads once through, keeps nothing but the series that are asked for, and
// reads the rest only as far as to know that it is one: a million series cost time and no memory. The parsers of
// prometheus/common and prometheus/prometheus build every family first, and the former can't read OpenMetrics.
package exposition

import (
	"fmt"
	"io"
	"mime"
	"time"

	"github.com/astern-dev/astern/internal/signal"
)

// Accept is the Accept header for Read: protobuf first, which alone tells native histograms and is read fastest.
const Accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=1," +
	"application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5"

// Label is one label of a series. Its value is valid until the next series is read.
type Label struct {
	Name, Value []byte
}

// Series is one series as it is exposed now.
type Series struct {
	Name   []byte
	Labels []Label
	Value  float64
	// At is the moment that it is of, where the program says so.
	At time.Time
	// Created is when it began to count, where it says so. The texts have a series NAME_created of its own instead.
	Created time.Time
	// Native is set on a native histogram; Value is its count.
	Native []signal.Interval
}

// Label returns the value of a label, "" when there is none.
func (s *Series) Label(name string) string {
	for _, l := range s.Labels {
		if string(l.Name) == name {
			return string(l.Value)
		}
	}
	return ""
}

// Read calls each for every series whose name is wanted. An error says why what was read is no whole exposition; what each
// was called with before is then worth nothing.
func Read(r io.Reader, contentType string, want func(name []byte) bool, each func(*Series) error) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("it does not say of what type its answer is")
	}
	switch kind {
	case "text/plain":
		return readText(r, false, want, each)
	case "application/openmetrics-text":
		return readText(r, true, want, each)
	case "application/vnd.google.protobuf":
		if params["encoding"] == "delimited" && params["proto"] == "io.prometheus.client.MetricFamily" {
			return readProtobuf(r, want, each)
		}
	}
	return fmt.Errorf("it answers with another type than metrics have")
}
