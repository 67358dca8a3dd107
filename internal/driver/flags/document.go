package flags

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/astern-dev/astern"
)

// Limits of a flag file.
const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 64      // levels of nesting
)

// The kinds of a node.
const (
	kindObject = '{'
	kindList   = '['
	kindString = '"'
	kindNumber = '0'
	kindOther  = 't' // true, false, null
)

// node is a value of a JSON document with where it stands, so that one value can be replaced and every other byte stays.
type node struct {
	start, end int
	kind       byte
	key        string // of a member of an object
	keyStart   int
	text       string  // a string decoded; a number, true, false or null as written
	items      []*node // members or elements
}

// member returns the object's member of that name, or nil.
func (n *node) member(key string) *node {
	if n == nil || n.kind != kindObject {
		return nil
	}
	for _, m := range n.items {
		if m.key == key {
			return m
		}
	}
	return nil
}

// document is a flag file, read.
type document struct {
	text  []byte
	root  *node
	flags map[string]*node
	names []string // of the flags, as they stand
	list  bool     // the flags stand in a list
}

// hashOf returns the content hash of a file.
func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// revisionOf returns the name of a state of the file: the first twelve digits of its hash.
func revisionOf(hash string) string {
	digits := strings.TrimPrefix(hash, "sha256:")
	return digits[:min(12, len(digits))]
}

// read reads and validates a flag file. Its errors are Invalid and say what is wrong and where.
func read(text []byte) (*document, error) {
	switch {
	case len(text) > maxFile:
		return nil, astern.Errorf(astern.Invalid, "it is larger than %d MB", maxFile>>20)
	case !utf8.Valid(text):
		return nil, astern.Errorf(astern.Invalid, "it is not UTF-8")
	}
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	d := &document{text: text, root: root, flags: map[string]*node{}}
	if err := d.collect(); err != nil {
		return nil, err
	}
	return d, d.validate()
}

// parse reads one JSON document.
func parse(text []byte) (*node, error) {
	p := parser{text: text, tokens: json.NewDecoder(bytes.NewReader(text))}
	p.tokens.UseNumber()
	root, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if _, more := p.tokens.Token(); !errors.Is(more, io.EOF) {
		return nil, astern.Errorf(astern.Invalid, "line %d: something follows after its end", p.line())
	}
	return root, nil
}

// collect finds the flags, in an object or in a list.
func (d *document) collect() error {
	all := d.root.member("flags")
	if all == nil {
		return nil // the schema says so
	}
	d.list = all.kind == kindList
	for _, f := range all.items {
		name := f.key
		if d.list {
			key := f.member("key")
			if key == nil || key.kind != kindString {
				continue // the schema says so
			}
			name = key.text
		}
		if _, twice := d.flags[name]; twice {
			return astern.Errorf(astern.Invalid, "the flag %q stands twice", oneLine(name))
		}
		d.flags[name] = f
		d.names = append(d.names, name)
	}
	return nil
}

// parser builds nodes from the tokens of encoding/json, which says what is JSON.
type parser struct {
	text   []byte
	tokens *json.Decoder
	at     int // end of the last token
}

func (p *parser) line() int { return 1 + bytes.Count(p.text[:min(p.at, len(p.text))], []byte("\n")) }

// next returns the next token and where it stands.
func (p *parser) next() (token json.Token, start, end int, err error) {
	token, err = p.tokens.Token()
	if err != nil {
		line := p.line()
		var wrong *json.SyntaxError
		if errors.As(err, &wrong) {
			line = 1 + bytes.Count(p.text[:min(int(wrong.Offset), len(p.text))], []byte("\n"))
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, 0, 0, astern.Errorf(astern.Invalid, "line %d: it ends in the middle", line)
		}
		return nil, 0, 0, astern.Errorf(astern.Invalid, "line %d: it is no JSON: %w", line, err)
	}
	end = int(p.tokens.InputOffset())
	start = p.at
	for start < end && strings.IndexByte(" \t\r\n,:", p.text[start]) >= 0 {
		start++
	}
	p.at = end
	return token, start, end, nil
}

// value reads one value. Encoding/json takes the last of two equal keys; here they are refused, for two readers would
// take different ones.
func (p *parser) value(depth int) (*node, error) {
	token, start, end, err := p.next()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, astern.Errorf(astern.Invalid, "line %d: it is nested more than %d levels deep", p.line(), maxDepth)
	}
	n := &node{start: start, end: end, kind: kindOther, text: string(p.text[start:end])}
	switch t := token.(type) {
	case string:
		n.kind, n.text = kindString, t
	case json.Number:
		n.kind = kindNumber
	case json.Delim:
		n.kind, n.text = byte(t), ""
		if err := p.items(n, depth); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// items reads what is in an object or a list, to its end.
func (p *parser) items(n *node, depth int) error {
	seen := map[string]bool{}
	for p.tokens.More() {
		key, at := "", 0
		if n.kind == kindObject {
			token, start, _, err := p.next()
			if err != nil {
				return err
			}
			key, at = token.(string), start // encoding/json gives nothing else as a key
			if seen[key] {
				return astern.Errorf(astern.Invalid, "line %d: the key %q stands twice", p.line(), oneLine(key))
			}
			seen[key] = true
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		item.key, item.keyStart = key, at
		n.items = append(n.items, item)
	}
	_, _, end, err := p.next()
	n.end = end
	return err
}
