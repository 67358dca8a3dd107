package lab

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// logsOverlays judge filter patterns, of which moto knows one term: `A B` are both, `?A ?B` is any, `-A` is none, "of words" is one
// term. A term is found anywhere in a line. Patterns on JSON and columns the lab has not.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html
func (l *Lab) logsOverlays() map[string]Overlay {
	return map[string]Overlay{"logs:FilterLogEvents": func(ctx context.Context, c *Call, next Next) Reply {
		text := c.Text("filterPattern")
		if text == "" {
			return next(ctx, c)
		}
		if strings.ContainsAny(text[:1], "{[%") {
			return *notInLab(c, "filter pattern on JSON, columns or regular expressions")
		}
		p, ok := readFilter(text)
		if !ok || len(text) > 1024 {
			return errorReply(c, http.StatusBadRequest, "InvalidParameterException", "Invalid filter pattern")
		}
		in := maps.Clone(c.Input)
		delete(in, "filterPattern")
		return corrected(ctx, changed(c, in), next, func(out map[string]any) {
			events, _ := out["events"].([]any)
			out["events"] = slices.DeleteFunc(events, func(e any) bool { return !p.matches(textOf(objectOf(e)["message"])) })
		})
	}}
}

// filter is a pattern on a line without structure.
type filter struct{ all, anyOf, none []string }

func readFilter(text string) (f filter, ok bool) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		into := &f.all
		switch text[0] {
		case '?':
			into, text = &f.anyOf, text[1:]
		case '-':
			into, text = &f.none, text[1:]
		}
		var term string
		if rest, quoted := strings.CutPrefix(text, `"`); quoted {
			if term, text, ok = strings.Cut(rest, `"`); !ok {
				return f, false
			}
		} else {
			term, text, _ = strings.Cut(text, " ")
		}
		if term == "" {
			return f, false
		}
		*into = append(*into, term)
	}
	return f, true
}

func (f filter) matches(line string) bool {
	in := func(term string) bool { return strings.Contains(line, term) }
	if len(f.all) == 0 && len(f.anyOf) > 0 && !slices.ContainsFunc(f.anyOf, in) {
		return false // beside terms that must be there, those that may be are ignored
	}
	return !slices.ContainsFunc(f.none, in) && !slices.ContainsFunc(f.all, func(term string) bool { return !in(term) })
}
