package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern/internal/pattern"
)

// Duration is a length of time as it is written in astern.yaml: 500ms, 30s, 5m, 1h30m, 90d.
type Duration time.Duration

// durationPattern is the JSON Schema pattern of a Duration; a negative one is refused by words of its own.
const durationPattern = `^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+)$`

var (
	durationShape = pattern.New(durationPattern)
	durationPart  = pattern.New(`([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)`)
	durationUnit  = map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}
)

// SchemaPattern returns the pattern that the JSON Schema demands of the text.
func (Duration) SchemaPattern() string { return durationPattern }

// UnmarshalText reads the written form.
func (d *Duration) UnmarshalText(b []byte) error {
	s := string(b)
	if strings.HasPrefix(s, "-") {
		return errors.New("can't be negative")
	}
	if !durationShape.MatchString(s) {
		return fmt.Errorf("is not a duration: %q", s)
	}
	total := 0.0
	for _, m := range durationPart.FindAllStringSubmatch(s, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return fmt.Errorf("is not a duration: %q", s)
		}
		total += n * float64(durationUnit[m[2]])
	}
	if total >= math.MaxInt64 {
		return errors.New("is longer than 292 years")
	}
	*d = Duration(math.Round(total))
	return nil
}

// MarshalText writes a form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatFloat(time.Duration(d).Seconds(), 'f', -1, 64) + "s"), nil
}

// wholeSeconds reports whether the duration has no fraction of a second.
func (d Duration) wholeSeconds() bool { return time.Duration(d)%time.Second == 0 }

// seconds returns the whole seconds of d; a nil d has none.
// optional returns the seconds, or nil for a duration that was not declared.
func (d *Duration) optional() *int64 {
	if d == nil {
		return nil
	}
	n := d.seconds()
	return &n
}

func (d *Duration) seconds() int64 {
	if d == nil {
		return 0
	}
	return int64(time.Duration(*d) / time.Second)
}
