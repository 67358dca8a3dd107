package flags

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/astern-dev/astern/internal/pattern"
)

// rule judges a rule of targeting: an object of one operator with its operands. The schema also lets operators of one
// family stand together, and nothing at all.
func rule(n *node) *refusal {
	if n.kind != kindObject {
		return refuse("must be a rule, which is an object")
	}
	family := ""
	return members(n, func(m *node) *refusal {
		of, judge := operator(m.key)
		switch {
		case m.key == "$ref":
			return refuse("a reference is allowed only as an operand")
		case judge == nil:
			return refuse("there is no such operator")
		case family != "" && family != of:
			return refuse("this operator can't stand beside another one")
		}
		family = of
		return judge(m)
	})
}

// operator returns how the operands of an operator are judged, nil for an unknown operator, and the family that it is of.
func operator(name string) (family string, judge func(*node) *refusal) {
	switch name {
	case "var":
		return name, variable
	case "missing":
		return name, texts
	case "missing_some":
		return name, missingSome
	case "==", "===", "!=", "!==", ">", ">=", "%", "/", "map", "filter", "all", "none", "some", "in":
		return "binary", between(2, 2, operand)
	case "if":
		return "binary", between(1, unbounded, operand)
	case "substr", "<", "<=":
		return "binary or ternary", between(2, 3, operand)
	case "reduce":
		return name, between(3, 3, operand)
	case "*":
		return name, between(2, unbounded, operand)
	case "!", "!!":
		return "unary", operand // a list too, whatever is in it
	case "or", "and", "+", "-", "max", "min", "merge", "cat":
		return "variadic", between(1, unbounded, operand)
	case "starts_with", "ends_with":
		return "string comparison", between(2, 2, compared)
	case "sem_ver":
		return name, semVer
	case "fractional":
		return name, fractional
	}
	return "", nil
}

// unbounded is any number of elements.
const unbounded = -1

// between judges lists of so many elements, each by itself.
func between(least, most int, judge func(*node) *refusal) func(*node) *refusal {
	return func(n *node) *refusal {
		if r := counted(n, least, most); r != nil {
			return r
		}
		return elements(n, judge)
	}
}

// counted judges how many elements a list has.
func counted(n *node, least, most int) *refusal {
	switch {
	case n.kind != kindList:
		return refuse("must be a list")
	case len(n.items) >= least && (most == unbounded || len(n.items) <= most):
		return nil
	case most == unbounded:
		return refuse(fmt.Sprintf("must have at least %d elements", least))
	}
	return refuse(fmt.Sprintf("must have %d to %d elements", least, most))
}

// elements judges each element of a list, and says where the first that is refused stands.
func elements(n *node, judge func(*node) *refusal) *refusal {
	for i, e := range n.items {
		if r := judge(e); r != nil {
			r.at = append(r.at, strconv.Itoa(i))
			return r
		}
	}
	return nil
}

// operand judges an operand: a rule, a reference to one, or anything that is no object. What is in a list is not judged.
func operand(n *node) *refusal {
	switch {
	case n.kind != kindObject:
		return nil
	case len(n.items) == 0:
		return refuse("a rule without an operator is allowed only at the top")
	case len(n.items) == 1 && n.items[0].key == "$ref":
		if n.items[0].kind != kindString {
			return refuse("a reference must be the name of a rule")
		}
		return nil
	}
	return rule(n)
}

// variable judges what var reads. The schema refuses nothing but unknown names of flagd's own.
func variable(n *node) *refusal {
	own, ok := strings.CutPrefix(n.text, "$flagd.")
	if n.kind == kindString && ok && own != "timestamp" && own != "flagKey" && !strings.Contains(own, "\n") {
		return refuse("flagd gives only $flagd.timestamp and $flagd.flagKey")
	}
	return nil
}

func text(n *node) *refusal {
	if n.kind != kindString {
		return refuse("must be a text")
	}
	return nil
}

func texts(n *node) *refusal { return between(0, unbounded, text)(n) }

func missingSome(n *node) *refusal {
	if r := counted(n, 2, 2); r != nil {
		return r
	}
	if n.items[0].kind != kindNumber {
		return refuse("the first element must be a number")
	}
	return texts(n.items[1])
}

// compared judges an operand of starts_with and ends_with.
func compared(n *node) *refusal {
	if n.kind == kindString {
		return nil
	}
	return rule(n)
}

// semantic is a semantic version, as semver.org and the schema have it.
var semantic = pattern.New(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

func semVer(n *node) *refusal {
	if r := counted(n, 3, 3); r != nil {
		return r
	}
	if op := n.items[1]; op.kind != kindString || !slices.Contains([]string{"=", "!=", ">", "<", ">=", "<=", "~", "^"}, op.text) {
		return refuse("the second element must be one of = != > < >= <= ~ ^")
	}
	for _, v := range []*node{n.items[0], n.items[2]} {
		switch {
		case v.kind == kindObject && len(v.items) == 0:
		case v.kind == kindObject && len(v.items) == 1 && v.items[0].key == "var" && variable(v.items[0]) == nil:
		case v.kind == kindString && semantic.MatchString(v.text):
		default:
			return refuse("the first and the last element must be a semantic version or a var")
		}
	}
	return nil
}

// fractional judges a distribution: what it draws by, which may be left out, then a variant with its weight, again and again.
func fractional(n *node) *refusal {
	if r := counted(n, 1, unbounded); r != nil {
		return r
	}
	first := n.items[0]
	return elements(n, func(e *node) *refusal {
		if e == first && e.kind != kindList {
			return rule(e)
		}
		if r := counted(e, 1, 2); r != nil {
			return r
		}
		if r := operand(e.items[0]); r != nil || len(e.items) == 1 {
			return r
		}
		return weight(e.items[1])
	})
}

// weight judges a weight: a whole number that is not below zero, or a rule that computes one.
func weight(n *node) *refusal {
	if n.kind == kindObject {
		return rule(n)
	}
	if n.kind != kindNumber || !natural(n.text) {
		return refuse("a weight must be a whole number that is not below zero, or a rule")
	}
	return nil
}

// maxExponent is how large an exponent may be, here and for the schema's readers (math/big).
const maxExponent = 1_000_000

// natural reports whether the number is whole and not below zero. To JSON Schema, 1.0 and 10e-1 are. It computes nothing:
// 1e999999 has a million digits.
func natural(number string) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.Trim(whole+fraction, "-0")
	switch {
	case digits == "":
		return true
	case strings.HasPrefix(number, "-"):
		return false
	}
	shift := 0
	if exponent != "" {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift > maxExponent || shift < -maxExponent {
			return false
		}
	}
	zeros := len(whole+fraction) - len(strings.TrimRight(whole+fraction, "0"))
	return len(fraction)-zeros <= shift
}
