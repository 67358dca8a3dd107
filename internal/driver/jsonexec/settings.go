package jsonexec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	astern "github.com/astern-dev/astern"

	"github.com/astern-dev/astern/internal/pattern"
)

var (
	variableName  = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	durationShape = pattern.New(`^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$`)
	durationPart  = pattern.New(`([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)`)
	durationUnit  = map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}
)

// duration reads a length of time as astern.yaml writes it.
func duration(text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	total := 0.0
	for _, m := range durationPart.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		total += n * float64(durationUnit[m[2]])
	}
	if !durationShape.MatchString(text) || total < float64(time.Millisecond) || total > float64(24*time.Hour) {
		return 0, fmt.Errorf("%q is not a duration between 1ms and 24h", text)
	}
	return time.Duration(total), nil
}

// Validate returns every problem of the component's settings: those of single values, calls that need each other, and a
// program that is not where the settings say.
func (driver) Validate(c astern.Component) []astern.Problem {
	s, problems := decode(c.Settings)
	if len(s.Command) == 0 || !strings.Contains(s.Command[0], "/") {
		return problems
	}
	info, err := os.Stat(locate(c.Folder, s.Command[0]))
	switch {
	case err != nil:
		problems = append(problems, astern.Problem{Path: "command/0", What: fmt.Sprintf("there is no program %s: %v", s.Command[0], err),
			Hint: "the path is relative to the folder of astern.yaml"})
	case info.IsDir() || info.Mode()&0o111 == 0:
		problems = append(problems, astern.Problem{Path: "command/0", What: s.Command[0] + " can't be executed",
			Hint: "chmod +x " + quote(s.Command[0])})
	}
	return problems
}

// decode reads settings strictly and returns every problem of them.
func decode(raw json.RawMessage) (Settings, []astern.Problem) {
	var s Settings
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = json.RawMessage("{}")
	}
	if err := strictly(raw, &s); err != nil {
		return s, []astern.Problem{{What: err.Error(), Hint: "docs/jsonexec.md lists the settings"}}
	}
	var out []astern.Problem
	add := func(path, hint, format string, args ...any) {
		out = append(out, astern.Problem{Path: path, What: fmt.Sprintf(format, args...), Hint: hint})
	}
	if len(s.Command) == 0 || s.Command[0] == "" {
		add("command", "command: [./my-program]", "the program is missing")
	}
	for i, w := range s.Command {
		if strings.ContainsRune(w, 0) {
			add("command/"+strconv.Itoa(i), "", "an argument holds a zero byte")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if !variableName.MatchString(name) {
			add("env/"+name, "letters, digits and _", "%q is not the name of an environment variable", name)
		}
		if _, _, err := variable(s.Env[name]); err != nil {
			add("env/"+name, "write a text, {env: NAME} or {file: PATH}", "%v", err)
		}
	}
	for i, call := range s.Answers {
		path := "answers/" + strconv.Itoa(i)
		if !slices.Contains(optionalCalls, call) {
			add(path, "one of "+strings.Join(optionalCalls, ", "), "%q is not a call that a program may leave to astern", call)
		}
		if slices.Contains(s.Answers[:i], call) {
			add(path, "", "%q stands twice", call)
		}
	}
	if slices.Contains(s.Answers, "undo") && !slices.Contains(s.Answers, "route") {
		add("answers", "add route, or take undo away", "undo without route: astern undoes the routes that it makes")
	}
	if _, err := duration(s.Timeout, defaultTimeout); err != nil {
		add("timeout", "write 30s or 2m", "%v", err)
	}
	if _, err := duration(s.StepTimeout, defaultStepTimeout); err != nil {
		add("step_timeout", "write 30s or 2m", "%v", err)
	}
	return s, out
}

// variable reads the value of an environment variable: a text, or a reference to a secret. No error shows the value:
// what stands there by mistake may be the secret.
func variable(v any) (text string, ref *astern.Secret, err error) {
	if text, ok := v.(string); ok {
		if strings.ContainsRune(text, 0) {
			return "", nil, fmt.Errorf("the value holds a zero byte")
		}
		return text, nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", nil, err
	}
	ref = &astern.Secret{}
	if strictly(b, ref) != nil || (ref.Env == "") == (ref.File == "") {
		return "", nil, fmt.Errorf("the value is neither a text nor a reference to a secret")
	}
	return "", ref, nil
}

// locate returns the path of a program: one with a slash is relative to the folder, others are looked up in PATH.
func locate(folder, name string) string {
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		return filepath.Join(folder, name)
	}
	return name
}

// strictly decodes exactly one JSON document without unknown fields. Numbers in free-form parts keep their digits.
func strictly(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return plainly(err)
	}
	if err := d.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows after the end of the JSON document")
	}
	return nil
}

// plainly takes the package's name out of an error of the JSON decoder.
func plainly(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "json: "); ok {
		return fmt.Errorf("%s", text)
	}
	return err
}
