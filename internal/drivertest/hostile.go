package drivertest

import (
	"math/rand/v2"
	"strings"
)

// Hostile draws a text that a shell, a path, an option, a pattern, an address, a document, a log or a terminal would make
// something of. Any shell that reads it makes a file whose name holds "pwned", the canary, which needs no space to be named.
func Hostile(rnd *rand.Rand, canary string) string {
	touch := "touch " + canary
	all := []string{
		// shells
		"$(" + touch + ")", "`" + touch + "`", "$(touch${IFS}" + canary + ")", "; " + touch + " #", "| " + touch, "&& " + touch, "\n" + touch + "\n", "' ; " + touch + " ; '",
		`"; ` + touch + `; "`, `\`, "'", `"`, "$IFS", "${HOME}", "$((1))", "~", "~root", "*", "?", "[a-z]", "{a,b}", "!", "!!", "#", "<(" + touch + ")", ">" + canary,
		// options
		"--", "-", "-rf", "-oProxyCommand=" + touch, "--help", "-e" + touch, "-exec " + touch + " ;",
		// paths
		"..", "../..", "../../etc/passwd", "/etc/passwd", "/", "./", "a/../../b", "a//b", ".", "v1/../v2", "a\\b", "..\\..\\b", "%2e%2e%2f", "%00", strings.Repeat("../", 1000), "COM1",
		// addresses, headers, documents
		"a:b", "a?b=c", "a#b", "a&b=c", "a;b=c", "a%3fb", "http://127.0.0.1:1/", "@127.0.0.1", "x\r\nX-Pwned: 1", "a\nb: c", `","pwned":"`, "</Key><Key>", "<!--", "]]>", "${jndi:x}", "{{7*7}}", "{revision}", "{instance}",
		"%s%n%d", "null", "0", "-1", "1e999", "99999999999999999999",
		// nothing, white space, control characters, escape sequences
		"", " ", "\t", "\r", "\x00", "a\x00b", "\x1b[2J\x1b]0;pwned\x07", "\x1b[31mred", "\u009b2J", "\x7f\b\b\b", strings.Repeat("\x1b[A", 1000), "v1\n\x1b[32m✓ ready", "\r✓ ready", "\u0085",
		// Unicode
		"\u202egnp.exe\u2066", "\u200b", "\ufeff", "\uff0e\uff0e\uff0f", "\xff\xfe", "\u2028", "cafe\u0301", "\u0430dmin", "\U000e0041",
		// nearly right
		strings.Repeat("A", 64<<10), "v1 ", " v1", "v1\n", "v1;", "v1+v2", "v1..v2", "V1",
	}
	s := all[rnd.IntN(len(all))]
	switch rnd.IntN(8) {
	case 0:
		s = []string{"v1", "shop", "ex-1", "production/"}[rnd.IntN(4)] + s
	case 1:
		s += all[rnd.IntN(len(all))]
	case 2:
		s += "v2"
	}
	if s == "v1" || s == "v2" { // of nothing and a name of the world: that is no hostile text
		return ""
	}
	return s
}
