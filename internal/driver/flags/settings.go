package flags

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// Settings is the `with` of a component of kind flags.
type Settings struct {
	// File is the flag file. A relative one is below the folder of astern.yaml, and for this machine only.
	File string `json:"file" jsonschema:"minLength=1,description=the flag file in flagd's format"`
	// Host is where the file is.
	Host string `json:"host,omitempty" jsonschema:"description=host of the environment that has the file (default: the machine that astern runs on)"`
	// Evaluate is where flagd answers evaluations (OFREP), as seen from this machine.
	Evaluate string `json:"evaluate,omitempty" jsonschema:"description=URL at which flagd answers evaluations by OFREP\\, such as http://127.0.0.1:8016; a change then waits until it is served"`
}

// place is a component's settings, complete and valid.
type place struct {
	component    astern.Component
	folder, name string // the file: folder is absolute
	host         string
	evaluate     string // without a slash at its end; "" when none is declared
}

func (p place) file() string    { return path.Join(p.folder, p.name) }
func (p place) history() string { return p.file() + ".astern" }

// beside returns where the state of that hash is kept, from the folder of the file.
func (p place) beside(hash string) string {
	return p.name + ".astern/" + strings.TrimPrefix(hash, "sha256:") + ".json"
}

// resolve reads a component's settings. It returns an Invalid error that names the first problem.
func resolve(c astern.Component) (place, error) {
	p, problems := examine(c)
	if len(problems) > 0 {
		w := problems[0]
		return place{}, astern.Errorf(astern.Invalid, "reading the settings of %s: with/%s %s", c.Address(), w.Path, w.What).WithHint("%s", w.Hint)
	}
	return p, nil
}

// examine decodes the settings and returns every problem of them.
func examine(c astern.Component) (place, []astern.Problem) {
	var s Settings
	d := json.NewDecoder(bytes.NewReader(c.Settings))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return place{}, []astern.Problem{{What: "can't be read: " + err.Error(), Hint: "astern schema shows what is allowed"}}
	}
	var problems []astern.Problem
	add := func(at, hint, format string, args ...any) {
		problems = append(problems, astern.Problem{Path: at, What: fmt.Sprintf(format, args...), Hint: hint})
	}
	p := place{component: c, host: host.Local, evaluate: strings.TrimSuffix(s.Evaluate, "/")}
	if declared, ok := c.Host(s.Host); ok && declared.SSH != nil {
		p.host = s.Host
	} else if !ok && s.Host != "" && s.Host != host.Local {
		add("host", "declare it below hosts of the environment", "%q is no host of %s", s.Host, c.Environment)
	}
	file := s.File
	if !path.IsAbs(file) {
		if p.host != host.Local {
			add("file", "write the absolute path on the host", "%q is relative, but it is on another machine", file)
		}
		file = path.Join(c.Folder, file)
	}
	file = path.Clean(file)
	if s.File == "" || !path.IsAbs(file) || file == "/" || strings.ContainsFunc(file, unicode.IsControl) || strings.HasSuffix(s.File, "/") {
		add("file", "write a file such as /etc/flagd/flags.json", "%q is no path of a file", s.File)
	}
	p.folder, p.name = path.Split(file)
	p.folder = path.Clean(p.folder)
	if u, err := url.Parse(s.Evaluate); s.Evaluate != "" && (err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "http" && u.Scheme != "https") {
		add("evaluate", "write a URL such as http://127.0.0.1:8016", "is no URL of the form http://HOST:PORT")
	}
	return p, problems
}

// validator is the driver's Validator and Occupier.
type validator struct{}

// Validate returns every problem of the component's settings.
func (validator) Validate(c astern.Component) []astern.Problem {
	_, problems := examine(c)
	return problems
}

// Occupies names the file on its host: two environments would take each other's changes for somebody else's.
func (validator) Occupies(c astern.Component) []string {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	where := "this machine"
	if h, ok := c.Host(p.host); ok && h.SSH != nil {
		where = h.SSH.Address
	}
	return []string{p.file() + " on " + where}
}

// machine returns the machine that has the file.
func (d *driver) machine(p place) (host.Machine, error) {
	h, ok := p.component.Host(p.host)
	if p.host == host.Local || !ok {
		h = astern.Host{Name: host.Local}
	}
	return d.machines.Machine(h, p.component.Folder)
}

// oneLine makes text fit for a state's value or an error.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(s), "?"))
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
