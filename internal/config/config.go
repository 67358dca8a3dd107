// Package config reads astern.yaml into an astern.System. It reports everything that is wrong with a file at once, each
// problem with its position, the offending line and a suggestion.
//
// A file passes through these stages, each of which reports what it alone can know:
//
//	bytes -> tree (read.go) -> Document (decode.go) -> meaning (meaning.go, checks.go) -> JSON Schema (schema.go)
//	      -> astern.System (translate.go) -> each driver's own judgement of its settings
//
// The first stage to report something about a path has the word: what the schema finds is for editors and for what no
// stage before it looks at.
package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/astern-dev/astern"
)

// Limits of a file. They are far above what people write and keep a hostile file from filling the memory.
const (
	maxBytes   = 4 << 20
	maxLines   = 200_000
	maxMarks   = 200_000 // what YAML's own signs can make values of; a value takes 2 kB of memory
	maxDepth   = 100
	maxAliased = 100_000 // values that aliases expand to
)

// Prepare does what Load waits for whatever the file says, for whoever wants it done beside something else.
func Prepare() {
	_, _ = embedded() // Load says what is wrong
}

// Load reads and judges the file at path. The kinds it may use are those of the drivers. On bad input the error is an
// *Errors; when the file can't be read it is an astern.Error that says why.
func Load(path string, drivers []astern.Driver) (astern.System, error) {
	src, err := readFile(path)
	if err != nil {
		return astern.System{}, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return astern.System{}, &astern.Error{Code: astern.Internal, Doing: "finding the folder of " + path, Cause: err}
	}
	return Parse(path, src, filepath.Dir(abs), drivers)
}

// Parse judges the content of a file: name stands in errors, folder is what relative paths are below. On bad input the
// error is an *Errors.
func Parse(name string, src []byte, folder string, drivers []astern.Driver) (astern.System, error) {
	return parse(name, src, folder, drivers, embedded)
}

func parse(name string, src []byte, folder string, drivers []astern.Driver, rulesOf func() (*rules, error)) (astern.System, error) {
	f := read(name, src)
	schema, err := rulesOf()
	if err != nil {
		return astern.System{}, err
	}
	if f.root == nil {
		return astern.System{}, f.errors()
	}
	var doc Document
	f.decodeDocument(&doc)
	if f.root.kind != object || f.newer(doc.Version) { // further stages would say the same again
		return astern.System{}, f.errors()
	}
	f.judge(&doc, drivers)
	f.validate(schema, drivers)
	system := f.translate(&doc, folder)
	f.judgePolicies(system)
	f.judgeChannels(system)
	f.askDrivers(system, drivers)
	if err := f.errors(); err != nil {
		return astern.System{}, err
	}
	return system, nil
}

// readFile returns the file's content, or why it can't be had. One byte more than allowed is read, so that the reader
// sees that the file is too large.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for somebody who writes to it
		return nil, astern.Errorf(astern.Invalid, "reading %s: it is no regular file", path).
			WithHint("name the file with -f, or let astern init write one")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close() // opened for reading only
	src, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return src, nil
}

func unreadable(path string, err error) error {
	e := &astern.Error{Code: astern.Invalid, Doing: "reading " + path, Cause: err}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		e.Cause = pe.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Code = astern.NotFound
		e.Hint = "name the file with -f, or let astern init write one"
	case errors.Is(err, fs.ErrPermission):
		e.Code = astern.Denied
	}
	return e
}
