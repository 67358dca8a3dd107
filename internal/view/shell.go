package view

import (
	"fmt"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"github.com/astern-dev/astern"
)

// quote quotes a word for a POSIX shell where it needs it.
func quote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./-_", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// ShellLine joins words to a line that a POSIX shell takes apart into the same words.
func ShellLine(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

// checkCommand returns what a person would type to make a bound check.
func checkCommand(c astern.Check) string {
	switch {
	case c.HTTP != nil:
		return curl(c)
	case c.TCP != nil:
		host, port := c.TCP.Address, ""
		if i := strings.LastIndexByte(host, ':'); i >= 0 {
			host, port = strings.Trim(host[:i], "[]"), host[i+1:]
		}
		return fmt.Sprintf("nc -z -w %d %s %s", wholeSeconds(c.TimeoutSeconds), quote(host), quote(port))
	case c.Command != nil:
		var words []string
		if len(c.Command.Env) > 0 {
			words = append(words, "env")
			for _, k := range keys(c.Command.Env) {
				words = append(words, quote(k+"="+c.Command.Env[k]))
			}
		}
		for _, a := range c.Command.Argv {
			words = append(words, quote(a))
		}
		return strings.Join(words, " ")
	case c.Proven != nil:
		return strings.Join([]string{"astern may follow", quote(c.Address), quote(c.Proven.Revision)}, " ")
	case c.Judge != nil:
		return strings.Join([]string{"astern judge", quote(c.Address), quote(c.Judge.Revision), "--against", quote(c.Judge.Baseline)}, " ")
	}
	return ""
}

func curl(c astern.Check) string {
	h := c.HTTP
	words := []string{"curl", "-sS", "-i", "--max-time", strconv.Itoa(wholeSeconds(c.TimeoutSeconds))}
	if h.Method != "" && h.Method != "GET" {
		words = append(words, "-X", quote(h.Method))
	}
	for _, k := range keys(h.Headers) {
		words = append(words, "-H", quote(k+": "+h.Headers[k]))
	}
	for _, k := range keys(h.SecretHeaders) {
		s := h.SecretHeaders[k]
		value := `"$(cat ` + quote(s.File) + `)"`
		if s.Env != "" {
			value = `"$` + s.Env + `"`
		}
		words = append(words, "-H", quote(k+": ")+value)
	}
	if h.Body != "" {
		words = append(words, "--data-binary", quote(h.Body))
	}
	if u, err := url.Parse(h.URL); err != nil || u.Scheme == "" {
		words = append(words, "--url")
	}
	return strings.Join(append(words, quote(h.URL)), " ")
}

func wholeSeconds(s float64) int { return max(int(s+0.999), 1) }

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// checkExpects lists, as Markdown, what a person looks for in the answer of a check.
func checkExpects(c astern.Check) []string {
	var out []string
	switch {
	case c.HTTP != nil:
		h := c.HTTP
		if len(h.Status) == 0 {
			out = append(out, "the status is 200 to 299")
		} else {
			var codes []string
			for _, s := range h.Status {
				codes = append(codes, strconv.Itoa(s))
			}
			out = append(out, "the status is "+strings.Join(codes, " or "))
		}
		for _, k := range keys(h.HeaderEquals) {
			out = append(out, "the header "+mdCode(k)+" is "+mdCode(h.HeaderEquals[k]))
		}
		for _, k := range keys(h.JSONEquals) {
			out = append(out, mdCode(k)+" in the JSON is "+mdCode(h.JSONEquals[k]))
		}
		if h.Contains != "" {
			out = append(out, "the body contains "+mdCode(h.Contains))
		}
	case c.TCP != nil:
		out = append(out, "the connection opens (exit code 0)")
	case c.Command != nil, c.Judge != nil, c.Proven != nil:
		out = append(out, "the exit code is 0")
	}
	return out
}
