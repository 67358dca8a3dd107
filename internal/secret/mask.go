package secret

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/astern-dev/astern"
)

// form is one way in which text tells a secret. What its group keep matches stays.
type form struct {
	*regexp.Regexp
	keep  int  // number of the group, -1 for none
	named bool // the secret stands beside a name, which may say that it is none
	url   bool // the secret is the password of a URL, and ends with @
}

// The name of a setting that holds a secret, and what stands between a name and its value: in JSON, YAML, TOML, shells, Ruby and PHP.
const (
	settingName = `[\w.-]*(?:passw(?:or)?d|passphrase|_pass\b|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[\w.-]*`
	between     = `["'\])]?\s*(?:=>|[:=])\s*`
)

// forms are the ways that are known. The prefixes of tokens are those that their makers document so that they can be found:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
// https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
// https://docs.slack.dev/authentication/tokens
var forms = sync.OnceValue(func() []form {
	var out []form
	add := func(named bool, all ...string) {
		for _, pattern := range all {
			re := regexp.MustCompile(pattern)
			out = append(out, form{Regexp: re, keep: re.SubexpIndex("keep"), named: named, url: strings.Contains(pattern, "://")})
		}
	}
	add(false,
		`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`,
		`(?:[A-Za-z0-9+/=]{16,}\s+)+-----END [A-Z0-9 ]*PRIVATE KEY-----`, // of which only the end was read
		`\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*`,                              // a JSON web token, RFC 7519
		`\b(?:AKIA|ASIA)[A-Z2-7]{16}\b`,
		`\b(?:gh[pousr]_\w{30,}|github_pat_\w{22,}|glpat-[\w-]{20,}|xox[a-z]-[\w-]{10,}|[sr]k_live_\w{16,}|AIza[\w-]{35})`,
		`(?i)(?P<keep>authorization["']?\s*[:=]\s*["']?\w+\s+)[^\s"',<]{4,}`,
		`(?i)(?P<keep>\b(?:bearer|basic)\s+)[\w.~+/=-]{16,}`,
		`(?i)(?P<keep>\b[a-z][a-z0-9+.-]*://[^\s:/@"']*:)[^\s"'<>]+@`)
	add(true,
		`(?i)(?P<keep>[?&]`+settingName+`=)[^\s"'&#<]+`,                   // in a query
		`(?i)(?P<keep>`+settingName+`\\"\s*[:=]\s*\\")(?:[^"\\]|\\[^"])+`, // in JSON that is quoted once more
		`(?i)(?P<keep>`+settingName+between+`")(?:[^"\\]|\\.)+`,
		`(?i)(?P<keep>`+settingName+between+`')[^']+`,
		`(?i)(?P<keep>`+settingName+`["'\])]?\s*=>?\s*)[^\s"'<>=\\][^\s"']*`,
		`(?i)(?P<keep>`+settingName+`["']\s*:\s*)\d[\w.]*`,
		`(?P<keep>\b[A-Z][A-Z0-9_]*_(?:PASSWORD|PASSWD|PASS|SECRET|TOKEN|KEY)\s*:\s*)[^\s"'<]\S*`, // variables
		`(?i)(?P<keep>`+settingName+`\s*:\s+)[^\s"'<]*\d[^\s"'<]*`,                                // where the value looks like no word of a sentence
		`(?P<keep>[{ ](?:[A-Z]\w*)?(?:Password|Secret|Token|AccessKey|APIKey|ApiKey):)[^\s}<]+`,   // as Go prints structures
		`(?i)(?P<keep><`+settingName+`>)[^<]+`,
		`(?i)(?P<keep>--?`+settingName+`\s+)[^\s<-]\S*`)
	return out
})

// harmless are values that are no secrets, and labels names that hold none: what a secret is called, where it lies, how many.
var harmless, labels = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:\d{1,3}[,;.)]?|v?\d+(?:\.\d+)+|arn:aws[\w-]*:\S*|true|false|null|nil|none|\S*:)$`)
}), sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:name|arn|ur[li]|endpoint|file|path|type|tokens|count|ttl|policy|id|version|stage)["'\\\])>]*\s*(?:=>|[:=]|\s)?\s*\\?["']?$`)
})

// hints are what every form has one of; most text has none, and is not searched.
var hints = [...]string{"pass", "pwd", "secret", "token", "key", "credential", "bearer", "basic", "authorization", "://", "eyj", "akia", "asia",
	"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "k_live_", "aiza"}

// Mask returns text that others wrote (a log line, the output of a command) without what looks like a secret: private keys,
// tokens of well-known makers, passwords in URLs, and values beside a name such as password or api_key. It finds common forms, and
// no others: a secret that stands alone and looks like any word is not known as one. Give it the whole text rather than its beginning.
func Mask(text string) string {
	lower := strings.ToLower(text)
	if !slices.ContainsFunc(hints[:], func(h string) bool { return strings.Contains(lower, h) }) {
		return text
	}
	for _, f := range forms() {
		text = f.mask(text)
	}
	return text
}

// deepest is how many values are looked into that were spared, one in the other: what stands deeper is hidden whole. Each look reads
// all that follows, and a text may be made of nothing else.
const deepest = 8

func (f form) mask(text string) string { return f.within(text, 0) }

func (f form) within(text string, depth int) string {
	var out strings.Builder
	last := 0
	for _, at := range f.FindAllStringSubmatchIndex(text, -1) {
		from, to, end := at[0], at[1], at[1]
		if f.keep >= 0 {
			from = at[2*f.keep+1]
		}
		if f.url {
			to-- // the host stays, and the sign before it
		}
		if depth < deepest && f.spares(text[at[0]:from], text[from:to]) { // another may stand in what was taken for the value
			out.WriteString(text[last:from])
			out.WriteString(f.within(text[from:end], depth+1)) // with the @ that ends the password of a URL in a URL
			last = end
			continue
		}
		out.WriteString(text[last:from])
		out.WriteString(astern.SecretValue{}.String())
		last = to
	}
	return out.String() + text[last:]
}

// spares reports whether what was found is no secret after all; what is written in place of one looks like a tag.
func (f form) spares(name, value string) bool {
	if f.url { // a port, and a path in which there is an @
		port, _, _ := strings.Cut(value, "/")
		return port != value && strings.Trim(port, "0123456789") == ""
	}
	return f.named && (name == astern.SecretValue{}.String() || harmless().MatchString(value) || labels().MatchString(name))
}
