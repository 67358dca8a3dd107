// Package canary holds secrets for tests and for the demo, and finds them: they are put into every input that can hold a
// secret, and must turn up in nothing that is printed or left, in whatever form.
package canary

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Folder is the name of the folder that holds Files; a search passes it over.
const Folder = ".canaries"

// Variables are secrets in the environment, by name.
func Variables() map[string]string {
	return map[string]string{
		"PROBE_TOKEN":           "cnryPr0beT0ken7Wq4Zx",
		"KEY_PASSPHRASE":        "cnryPassphr4se9Lm2Rt",
		"AWS_SECRET_ACCESS_KEY": "cnryAwsSecret5Hj8Kp3",
		"PGPASSWORD":            "cnryPgPassw0rd6Vb1Nc",
		"DRIVER_SECRET":         "cnryDriver2Secret8Yd",
	}
}

// Files are secrets in files of Folder, by the file's name.
func Files() map[string]string {
	return map[string]string{"token": "cnryFileT0ken3Gf6Sq", "header": bearer + "cnryBearerT0ken1Mz7"}
}

const bearer = "Bearer "

// Environ returns the variables as an environment lists them, sorted.
func Environ() []string {
	var out []string
	for name, value := range Variables() {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

// Place writes the files into Folder below at.
func Place(at string) error {
	if err := os.MkdirAll(filepath.Join(at, Folder), 0o700); err != nil {
		return err
	}
	for name, value := range Files() {
		if err := os.WriteFile(filepath.Join(at, Folder, name), []byte(value+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// mark is what every kept secret begins and ends with, so that one is found without a list of them.
const mark = "cnryKept7Xw2"

// Kept returns a secret for what is kept at a service, for as many things as a test makes: the value of a parameter, a variable
// of a function. Each thing has its own.
func Kept(thing string) string {
	sum := sha256.Sum256([]byte(thing))
	return mark + hex.EncodeToString(sum[:4]) + mark
}

// Leaks returns the secrets that content holds, by name, in any of the forms in which they might be written.
func Leaks(content []byte) (found []string) {
	all := Variables()
	all["a kept secret"] = mark
	for name, value := range Files() {
		all["file "+name] = strings.TrimPrefix(value, bearer)
	}
	lower := bytes.ToLower(content)
	for name, value := range all {
		if bytes.Contains(lower, []byte(strings.ToLower(value))) {
			found = append(found, name)
		}
		if bytes.Contains(lower, []byte(hex.EncodeToString([]byte(value)))) {
			found = append(found, name+" in hex")
		}
		for shift := range 3 { // base64 has three forms, by what stands before; the letters at both ends mix with it
			for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				form := e.EncodeToString([]byte(strings.Repeat("x", shift) + value))
				if bytes.Contains(content, []byte(form[4:len(form)-4])) {
					found = append(found, name+" in base64")
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// Search looks through every file below a folder and returns how many there were, and each that holds a secret, with the
// secret's name. What can't be read is passed over: nobody else reads it either.
func Search(folder string) (files int, found []string, err error) {
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // it is gone, or closed to all
		case d.IsDir() && d.Name() == Folder:
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		for _, leak := range Leaks(content) {
			found = append(found, strings.TrimPrefix(path, folder)+" holds "+leak)
		}
		return nil
	})
	if err == nil && files == 0 {
		err = errors.New("no file was searched")
	}
	return files, found, err
}
