package astern

import (
	"fmt"
	"log/slog"
)

// Secret refers to a value that astern uses and never shows: an environment variable or a file. The value itself is
// not part of it; it is read by the code that needs it, at the moment of use. A Secret prints and encodes as its
// reference, never as its value.
type Secret struct {
	// Env is the name of an environment variable.
	Env string `json:"env,omitempty" jsonschema:"minLength=1,description=name of the environment variable that holds the value"`
	// File is the path of a file whose content, without a trailing newline, is the value.
	File string `json:"file,omitempty" jsonschema:"minLength=1,description=path of the file that holds the value"`
}

// SecretValue is a secret's value in memory. It cannot be printed, logged or encoded: every way to text gives
// <secret>. Reveal is the one way out, and greppable.
type SecretValue struct{ value string }

const redacted = "<secret>"

// NewSecretValue wraps a secret's value.
func NewSecretValue(v string) SecretValue { return SecretValue{v} }

// Reveal returns the value; call it only where it is handed to the system that needs it.
func (s SecretValue) Reveal() string { return s.value }

// String returns <secret>.
func (s SecretValue) String() string { return redacted }

// GoString returns <secret>.
func (s SecretValue) GoString() string { return redacted }

// Format writes <secret> for every verb.
func (s SecretValue) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText returns <secret>; JSON and YAML encoders use it.
func (s SecretValue) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns <secret>.
func (s SecretValue) LogValue() slog.Value { return slog.StringValue(redacted) }
