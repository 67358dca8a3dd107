// Package secret reads the values that astern.Secret refers to, at the moment of use.
package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/astern-dev/astern"
)

// maxBytes bounds a secret's file, so that a mistaken path does not fill the memory.
const maxBytes = 1 << 20

// Resolve returns the value that s refers to. A relative file is below folder; a leading ~/ is the home folder. An
// unset or empty variable and a missing or empty file are errors; no error holds the value.
func Resolve(s astern.Secret, folder string) (astern.SecretValue, error) {
	switch {
	case s.Env != "" && s.File != "":
		return astern.SecretValue{}, astern.Errorf(astern.Invalid,
			"a secret names both the environment variable %s and the file %s", s.Env, s.File).WithHint("keep one of them")
	case s.Env != "":
		return fromEnv(s.Env)
	case s.File != "":
		return fromFile(s.File, folder)
	}
	return astern.SecretValue{}, astern.Errorf(astern.Invalid, "a secret names neither an environment variable nor a file")
}

func fromEnv(name string) (astern.SecretValue, error) {
	v, ok := os.LookupEnv(name)
	if !ok {
		return astern.SecretValue{}, astern.Errorf(astern.NotFound, "the environment variable %s is not set", name).
			WithHint("export %s before running astern", name)
	}
	if v == "" {
		return astern.SecretValue{}, astern.Errorf(astern.Invalid, "the environment variable %s is empty", name).
			WithHint("export %s with the value", name)
	}
	return astern.NewSecretValue(v), nil
}

func fromFile(name, folder string) (astern.SecretValue, error) {
	path, err := locate(name, folder)
	if err != nil {
		return astern.SecretValue{}, failed(astern.Internal, name, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return astern.SecretValue{}, failed(codeOf(err), path, err)
	}
	defer f.Close() // opened for reading only
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return astern.SecretValue{}, failed(codeOf(err), path, err)
	}
	if len(b) > maxBytes {
		return astern.SecretValue{}, failed(astern.Invalid, path, errors.New("the file is larger than 1 MiB"))
	}
	v := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if v == "" {
		return astern.SecretValue{}, failed(astern.Invalid, path, errors.New("the file is empty"))
	}
	return astern.NewSecretValue(v), nil
}

// locate returns the path of a secret's file.
func locate(name, folder string) (string, error) {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("finding the home folder: %w", err)
		}
		return filepath.Join(home, rest), nil
	}
	if filepath.IsAbs(name) {
		return name, nil
	}
	return filepath.Join(folder, name), nil
}

// failed says which secret could not be read. The cause of a *fs.PathError is taken out: the path stands before it.
func failed(code astern.Code, path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &astern.Error{Code: code, Doing: "reading the secret in " + path, Cause: err}
}

func codeOf(err error) astern.Code {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return astern.NotFound
	case errors.Is(err, fs.ErrPermission):
		return astern.Denied
	}
	return astern.Invalid
}
