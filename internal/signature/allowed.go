package signature

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/astern-dev/astern"
)

// Allowed are the keys that may sign, and those that may no longer.
type Allowed struct {
	lines   []line
	revoked []ssh.PublicKey
}

// line is one line of an allowed-signers file.
type line struct {
	number        int
	principals    string // a list of patterns
	namespaces    string // a list of patterns; "" allows every namespace
	after, before time.Time
	key           ssh.PublicKey
}

// ParseAllowed reads a file in OpenSSH's form (ssh-keygen(1), ALLOWED SIGNERS): on each line principals, options, key.
// The options namespaces, valid-after and valid-before are obeyed; a line with cert-authority names no key that signs by
// itself and is passed over. Anything else is an Invalid error with the line: what is not understood allows nobody.
func ParseAllowed(file string, content []byte) (Allowed, error) {
	var out Allowed
	for n, text := range strings.Split(string(content), "\n") {
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		l, ok, err := parseLine(text)
		if err != nil {
			return Allowed{}, astern.Errorf(astern.Invalid, "reading the allowed signers: %s:%d: %w", file, n+1, err).
				WithHint("each line is: PRINCIPALS [OPTIONS] KEYTYPE KEY, see ALLOWED SIGNERS in man ssh-keygen")
		}
		if l.number = n + 1; ok {
			out.lines = append(out.lines, l)
		}
	}
	return out, nil
}

// Revoke adds a file of public keys, one a line, whose signatures no longer count.
func (a Allowed) Revoke(file string, content []byte) (Allowed, error) {
	if bytes.HasPrefix(content, []byte("SSHKRL\n")) {
		return a, astern.Errorf(astern.Invalid, "reading the revoked signers: %s is a binary list (KRL), which astern does not read", file).
			WithHint("list the public keys, one a line")
	}
	for n, text := range strings.Split(string(content), "\n") {
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			return a, astern.Errorf(astern.Invalid, "reading the revoked signers: %s:%d is no public key", file, n+1)
		}
		a.revoked = append(a.revoked, key)
	}
	return a, nil
}

// Verify says whether the armored signature of a message for a namespace is one that the person may give at that time:
// nil, or a Refused error with the reason.
func (a Allowed) Verify(person, namespace string, message, armored []byte, at time.Time) error {
	s, err := read(armored)
	if err != nil {
		return err
	}
	if err := fits(s, namespace, message); err != nil {
		return err
	}
	for _, r := range a.revoked {
		if same(r, s.PublicKey) {
			return refuse("key %s is revoked", name(s.PublicKey))
		}
	}
	why := refuse("key %s is not among the allowed signers", name(s.PublicKey))
	for _, l := range a.lines {
		if !same(l.key, s.PublicKey) {
			continue
		}
		if why = l.refuses(person, namespace, at); why == nil {
			return nil
		}
	}
	return why
}

// Person returns the one person who may sign with the key for a namespace at a time: the principal of its line. A key that
// belongs to nobody, to several people or to a pattern of names is Refused: it can't say who signs.
func (a Allowed) Person(key ssh.PublicKey, namespace string, at time.Time) (string, error) {
	refused := func(format string, args ...any) (string, error) {
		return "", astern.Errorf(astern.Refused, "who signs with key %s can't be told: "+format, append([]any{name(key)}, args...)...)
	}
	for _, r := range a.revoked {
		if same(r, key) {
			return refused("it is revoked")
		}
	}
	person, why := "", error(nil)
	for _, l := range a.lines {
		if !same(l.key, key) {
			continue
		}
		if !literal(l.principals) {
			return refused("line %d of the allowed signers names %q, not one person", l.number, l.principals)
		}
		if err := l.refuses(l.principals, namespace, at); err != nil {
			why = err
			continue
		}
		if person != "" && person != l.principals {
			return refused("it is that of %s and of %s", person, l.principals)
		}
		person = l.principals
	}
	switch {
	case person != "":
		return person, nil
	case why != nil:
		return refused("%w", why)
	}
	return refused("it is not among the allowed signers")
}

// Signer returns the one person who signed the message for a namespace, when that may be done at that time.
func (a Allowed) Signer(namespace string, message, armored []byte, at time.Time) (string, error) {
	s, err := read(armored)
	if err != nil {
		return "", err
	}
	if err := fits(s, namespace, message); err != nil {
		return "", err
	}
	return a.Person(s.PublicKey, namespace, at)
}

// literal reports whether principals name one person.
func literal(principals string) bool {
	return principals != "" && !strings.ContainsAny(principals, "*?!, \t")
}

// People returns who can sign for a namespace at a time, each once and in the order of the file.
func (a Allowed) People(namespace string, at time.Time) []string {
	var out []string
	for _, l := range a.lines {
		if who, err := a.Person(l.key, namespace, at); err == nil && !slices.Contains(out, who) {
			out = append(out, who)
		}
	}
	return out
}

// Doubles says which people of the file can't be told apart: a key that several have, a line of several people or of a pattern,
// and names that differ in upper and lower case only. Two of them would count as two, and be one.
func (a Allowed) Doubles() []string {
	var out []string
	owner, spelt := map[string]line{}, map[string]line{}
	for _, l := range a.lines {
		if !literal(l.principals) {
			out = append(out, fmt.Sprintf("line %d names %q: approvals need one line for each person", l.number, l.principals))
			continue
		}
		if first, ok := owner[string(l.key.Marshal())]; !ok {
			owner[string(l.key.Marshal())] = l
		} else if first.principals != l.principals {
			out = append(out, fmt.Sprintf("lines %d and %d give one key to two people, %s and %s", first.number, l.number, first.principals, l.principals))
		}
		if first, ok := spelt[strings.ToLower(l.principals)]; !ok {
			spelt[strings.ToLower(l.principals)] = l
		} else if first.principals != l.principals {
			out = append(out, fmt.Sprintf("lines %d and %d name %s and %s, which differ in upper and lower case only", first.number, l.number, first.principals, l.principals))
		}
	}
	return out
}

// refuses says why a line does not allow its own key to sign.
func (l line) refuses(person, namespace string, at time.Time) error {
	const shown = "2006-01-02 15:04:05Z"
	switch {
	case !matches(l.principals, person):
		return refuse("key %s is that of %s, and not of %s", name(l.key), l.principals, person)
	case l.namespaces != "" && !matches(l.namespaces, namespace):
		return refuse("key %s may sign for %q only, not for %q", name(l.key), l.namespaces, namespace)
	case !l.after.IsZero() && at.Before(l.after):
		return refuse("key %s is valid from %s on", name(l.key), l.after.UTC().Format(shown))
	case !l.before.IsZero() && !at.Before(l.before):
		return refuse("key %s has expired: it was valid until %s", name(l.key), l.before.UTC().Format(shown))
	}
	return nil
}

func same(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// parseLine reads one line; ok is false for one that names a certificate authority.
func parseLine(text string) (l line, ok bool, err error) {
	principals, rest, err := firstField(text)
	if err != nil {
		return l, false, err
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(rest))
	if err != nil {
		return l, false, fmt.Errorf("there is no public key after the principals %q", principals)
	}
	l, ok = line{principals: principals, key: key}, true
	for _, o := range options {
		option, value, _ := strings.Cut(o, "=")
		value = strings.Trim(value, `"`)
		switch option = strings.ToLower(option); option {
		case "cert-authority":
			ok = false
		case "namespaces":
			l.namespaces = value
		case "valid-after":
			l.after, err = moment(value)
		case "valid-before":
			l.before, err = moment(value)
		default:
			err = fmt.Errorf("the option %q is not known", option)
		}
		if err == nil && value == "" && option != "cert-authority" {
			err = fmt.Errorf("the option %s is empty", option)
		}
		if err != nil {
			return l, false, err
		}
	}
	return l, ok, nil
}

// firstField cuts the principals off, which may stand in quotes.
func firstField(text string) (first, rest string, err error) {
	if quoted, isQuoted := strings.CutPrefix(text, `"`); isQuoted {
		first, rest, isQuoted = strings.Cut(quoted, `"`)
		if !isQuoted {
			return "", "", fmt.Errorf("the quotes of the principals do not end")
		}
	} else if i := strings.IndexAny(text, " \t"); i > 0 {
		first, rest = text[:i], text[i:]
	}
	if first == "" || strings.TrimSpace(rest) == "" {
		return "", "", fmt.Errorf("principals and a public key are expected")
	}
	return first, strings.TrimSpace(rest), nil
}

// moment reads OpenSSH's form of a time: YYYYMMDD or YYYYMMDDHHMM[SS], local, or UTC with a Z behind.
func moment(s string) (time.Time, error) {
	place := time.Local
	digits, utc := strings.CutSuffix(s, "Z")
	if utc {
		place = time.UTC
	}
	layout, ok := map[int]string{8: "20060102", 12: "200601021504", 14: "20060102150405"}[len(digits)]
	if ok {
		if t, err := time.ParseInLocation(layout, digits, place); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write YYYYMMDD[HHMM[SS]][Z]", s)
}

// matches reports whether text fits a list of patterns (with * and ?), as OpenSSH reads it: one that begins with ! and
// fits settles that it does not.
func matches(list, text string) bool {
	found := false
	for _, p := range strings.Split(list, ",") {
		p, not := strings.CutPrefix(strings.TrimSpace(p), "!")
		switch fit := like(p, text); {
		case fit && not:
			return false
		case fit:
			found = true
		}
	}
	return found
}

// like matches one pattern, in which only * and ? stand for others.
func like(pattern, text string) bool {
	r := strings.NewReplacer(`\`, `\\`, `[`, `\[`)
	// path.Match keeps * from passing a slash, which is an ordinary character here.
	plain := func(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
	ok, err := path.Match(plain(r.Replace(pattern)), plain(text))
	return err == nil && ok
}
