// Package view renders values for people and for programs: the same value as a table, as a plan to read, as a runbook
// to follow by hand, or as JSON and YAML. It decides nothing: what it shows was decided by others and is passed in.
//
// Every rendering for people has the form
//
//	func X(w io.Writer, st Style, v V) error
//
// and writes once, at its end; an error is the writer's. Style holds the width, whether to colour, and the moment
// against which ages are told, so a rendering is a pure function of its arguments and its golden files are stable.
//
// Meaning is never carried by colour alone: a symbol and a word stand beside it. Control characters, line breaks and
// text direction marks in values are made visible, so that no value can move the cursor or forge a line.
package view
