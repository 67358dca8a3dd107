package secret

import (
	"regexp"
	"strings"
	"sync"

	"github.com/astern-dev/astern"
)

// masked are the forms by which a secret can be told in text of others. Group "keep" stays. The prefixes of tokens are those
// that their makers document so that they can be found:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
// https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
// https://docs.slack.dev/authentication/tokens
var masked = sync.OnceValue(func() []*regexp.Regexp {
	const name = `[\w.-]*(?:passw(?:or)?d|pwd|secret|token|api_?-?key|access_?-?key|private_?-?key|credential)[\w.-]*`
	var out []*regexp.Regexp
	for _, form := range []string{
		`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`,
		`\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*`, // a JSON web token, RFC 7519
		`\b(?:AKIA|ASIA)[A-Z2-7]{16}\b`,
		`\b(?:gh[pousr]_\w{30,}|github_pat_\w{22,}|glpat-[\w-]{20,}|xox[a-z]-[\w-]{10,}|[sr]k_live_\w{16,}|AIza[\w-]{35})`,
		`(?i)(?P<keep>\b(?:bearer|basic)\s+)[\w.~+/=-]{16,}`,
		`(?i)(?P<keep>\b[a-z][a-z0-9+.-]*://[^\s:/@"']*:)[^\s/@"']+@`,
		// name=value, and "name": "value" as JSON has it, which may be quoted once more
		`(?i)(?P<keep>` + name + `(?:\\?["']\s*[:=]\s*|=)\\?")(?:[^"\\]|\\[^"])+`,
		`(?i)(?P<keep>` + name + `(?:["']\s*[:=]\s*|=)')[^']+`,
		`(?i)(?P<keep>` + name + `(?:["']\s*:\s*\b|=))[^\s"',;&)\]}]+`,
		// name: value, where the value looks like no word of a sentence
		`(?i)(?P<keep>\b(?:passw(?:or)?d|pwd|secret|token|api[ _-]?key)\s*:\s+)[^\s"',;]*\d[^\s"',;]*`,
	} {
		out = append(out, regexp.MustCompile(form))
	}
	return out
})

// Mask returns text that others wrote (a log line, the output of a command) without what looks like a secret: private keys,
// tokens of well-known makers, passwords in URLs, and values beside a name such as password or api_key. It finds common forms, and
// no others: a secret that stands alone and looks like any word is not known as one. Give it the whole text rather than its beginning.
func Mask(text string) string {
	for _, form := range masked() {
		text = form.ReplaceAllStringFunc(text, func(found string) string {
			groups := form.FindStringSubmatch(found)
			var keep, end string
			if i := form.SubexpIndex("keep"); i >= 0 {
				keep = groups[i]
				if strings.HasSuffix(found, "@") { // the user of a URL keeps its host
					end = "@"
				}
			}
			return keep + astern.SecretValue{}.String() + end
		})
	}
	return text
}
