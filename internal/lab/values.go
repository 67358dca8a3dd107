package lab

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
)

// Reading the members of inputs and replies, which are JSON's values or texts. What is missing or of another type reads
// as empty: the SDKs check types before they send.

func textOf(v any) string { s, _ := v.(string); return s }

func objectOf(v any) map[string]any { m, _ := v.(map[string]any); return m }

func objectsOf(v any) (out []map[string]any) {
	l, _ := v.([]any)
	for _, x := range l {
		if m, ok := x.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func textsOf(v any) (out []string) {
	l, _ := v.([]any)
	for _, x := range l {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// numberOf reads a whole or broken number, also one that was sent as a text, and whether there is one.
func numberOf(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(n, 64)
		return f, err == nil
	case int:
		return float64(n), true
	}
	return 0, false
}

func intOf(v any, otherwise int) int {
	if n, ok := numberOf(v); ok && n > -1e9 && n < 1e9 {
		return int(n)
	}
	return otherwise
}

func truthOf(v any) bool {
	b, ok := v.(bool)
	return ok && b || v == "true"
}

// epoch is a time as the JSON protocol writes it, nil when there is none.
func epoch(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return float64(t.UnixMilli()) / 1000
}

// put sets a member of an object unless it is empty.
func put(m map[string]any, member string, v any) {
	switch x := v.(type) {
	case nil:
		return
	case string:
		if x == "" {
			return
		}
	}
	m[member] = v
}

// paged cuts one page out of items: at most size of them, from where token says. The token of the next page is empty
// at the end, and ok is false for a token that was not given out.
func paged[T any](items []T, token string, size int) (page []T, next string, ok bool) {
	from := 0
	if token != "" {
		b, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			return nil, "", false
		}
		if from, err = strconv.Atoi(string(b)); err != nil || from < 0 || from > len(items) {
			return nil, "", false
		}
	}
	to := min(len(items), from+max(1, size))
	if to < len(items) {
		next = base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(to)))
	}
	return items[from:to], next, true
}

// said is an error in the words of AWS, capitals and all.
type said string

func (s said) Error() string { return string(s) }
