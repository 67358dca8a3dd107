package check

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/secret"
)

// Redact returns what removes secrets from text of which only the beginning was read, and makes it one line.
func Redact(values []astern.SecretValue) func(string) string { return newRedactor(values).start }

// redactor removes the secrets that were sent from what is shown, in the forms in which a service may give them back.
type redactor struct {
	secret string
	forms  []string // longest first
}

// newRedactor makes a redactor for the values. A value of several words ("Bearer …") is one in each of its longer words
// too.
func newRedactor(values []astern.SecretValue) redactor {
	r := redactor{secret: astern.SecretValue{}.String()}
	seen := map[string]bool{"": true}
	add := func(form string) {
		if !seen[form] {
			seen[form] = true
			r.forms = append(r.forms, form)
		}
	}
	for _, v := range values {
		words := []string{v.Reveal()}
		for _, w := range strings.FieldsFunc(v.Reveal(), func(c rune) bool { return c == ' ' || c == ';' || c == ',' }) {
			if len(w) >= 8 {
				words = append(words, w)
			}
		}
		for _, w := range words {
			quoted := strconv.Quote(w)
			encoded, _ := json.Marshal(w) // a string always encodes
			add(w)
			add(quoted[1 : len(quoted)-1])
			add(string(encoded[1 : len(encoded)-1]))
			add(url.QueryEscape(w))
			add(url.PathEscape(w))
			add(html.EscapeString(w))
			add(base64.StdEncoding.EncodeToString([]byte(w)))
			add(base64.RawStdEncoding.EncodeToString([]byte(w)))
			add(base64.RawURLEncoding.EncodeToString([]byte(w)))
		}
	}
	sort.SliceStable(r.forms, func(i, k int) bool { return len(r.forms[i]) > len(r.forms[k]) })
	return r
}

// text returns s on one line and without secrets.
func (r redactor) text(s string) string {
	return oneLine(r.hide(s))
}

func (r redactor) hide(s string) string {
	for _, f := range r.forms {
		s = strings.ReplaceAll(s, f, r.secret)
	}
	return secret.Mask(s)
}

// start is text for something of which only the beginning was read: a secret may have been cut in two.
func (r redactor) start(s string) string {
	s = r.hide(s)
	cut := 0
	for _, f := range r.forms {
		for n := min(len(f)-1, len(s)); n > cut; n-- {
			if strings.HasSuffix(s, f[:n]) {
				cut = n
				break
			}
		}
	}
	if cut > 0 {
		s = s[:len(s)-cut] + r.secret
	}
	return oneLine(s)
}

// oneLine makes text from outside fit to be shown: valid UTF-8, printable, one line, single spaces.
func oneLine(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// shorten cuts text to at most n characters, with an ellipsis.
func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
