package server

import (
	"fmt"
	"time"
)

// Defect is what is wrong with a release: a share of its orders fails, and a share is slow. It strikes evenly and not
// by chance, so that a demonstration shows the same every time.
type Defect struct {
	FailPercent int
	SlowPercent int
	Delay       time.Duration
}

// ParseDefect reads "fail=8 slow=20 delay=150ms"; "" is no defect.
func ParseDefect(text string) (Defect, error) {
	var d Defect
	if text == "" {
		return d, nil
	}
	var delay string
	if _, err := fmt.Sscanf(text, "fail=%d slow=%d delay=%s", &d.FailPercent, &d.SlowPercent, &delay); err != nil {
		return d, fmt.Errorf(`%q is not of the form "fail=8 slow=20 delay=150ms": %w`, text, err)
	}
	var err error
	if d.Delay, err = time.ParseDuration(delay); err != nil {
		return d, err
	}
	if d.FailPercent < 0 || d.FailPercent > 100 || d.SlowPercent < 0 || d.SlowPercent > 100 || d.Delay < 0 {
		return d, fmt.Errorf("%q: percentages are 0 to 100, the delay is not negative", text)
	}
	return d, nil
}

// String is the inverse of ParseDefect.
func (d Defect) String() string {
	if d == (Defect{}) {
		return ""
	}
	return fmt.Sprintf("fail=%d slow=%d delay=%s", d.FailPercent, d.SlowPercent, d.Delay)
}

// Strikes says what happens to the n-th order of an instance (from 1): it fails, it is slow, both or neither.
func (d Defect) Strikes(n int64) (fails, slow bool) {
	return n*int64(d.FailPercent)%100 < int64(d.FailPercent), n*int64(d.SlowPercent)%100 < int64(d.SlowPercent)
}
