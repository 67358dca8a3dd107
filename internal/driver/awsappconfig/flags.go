package awsappconfig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/appconfig"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

// flagShape is what names of flags look like.
// https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-type-reference-feature-flags.html
var flagShape = pattern.New(`^[a-z][a-zA-Z0-9_-]{0,63}$`)

// maxFlags bounds what is shown of a set of flags.
const maxFlags = 2000

// askContent reads what is in a version.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_GetHostedConfigurationVersion.html
func askContent(ctx context.Context, c *appconfig.Client, i ids, number int64) ([]byte, error) {
	out, err := c.GetHostedConfigurationVersion(ctx, &appconfig.GetHostedConfigurationVersionInput{ApplicationId: &i.application, ConfigurationProfileId: &i.profile,
		VersionNumber: aws.Int32(int32(number))})
	if err != nil {
		return nil, awsapi.Explain(err, fmt.Sprintf("reading version %d of the configuration profile %s", number, i.profile), i.profile)
	}
	return out.Content, nil
}

// object is a JSON object whose members stay as they are written.
type object map[string]json.RawMessage

// flagSet is a set of feature flags as a version holds it: what they are, and the value of each.
type flagSet struct {
	whole, values object
}

func parseFlags(content []byte) (flagSet, error) {
	var s flagSet
	bad := func(err error) (flagSet, error) {
		return s, astern.Errorf(astern.Invalid, "reading the feature flags: they are not in the form of %s: %s", flagType, awsapi.OneLine(err.Error()))
	}
	if err := json.Unmarshal(content, &s.whole); err != nil {
		return bad(err)
	}
	if text, ok := s.whole["values"]; ok {
		if err := json.Unmarshal(text, &s.values); err != nil {
			return bad(err)
		}
	}
	if len(s.values) > maxFlags {
		return bad(fmt.Errorf("there are more than %d", maxFlags))
	}
	return s, nil
}

// readFlags returns for each flag whether it is on.
func readFlags(content []byte) (map[string]string, error) {
	s, err := parseFlags(content)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name := range s.values {
		if !flagShape.MatchString(name) {
			continue // AppConfig takes no such name
		}
		on, of, variants, err := s.enabled(name)
		switch {
		case err != nil:
			return nil, err
		case on == 0:
			out[name] = "off"
		case variants && on < of:
			out[name] = fmt.Sprintf("on in %d of %d variants", on, of)
		default:
			out[name] = "on"
		}
	}
	return out, nil
}

// enabled returns how many variants of a flag are on, of how many; a flag without variants counts as one.
func (s flagSet) enabled(name string) (on, of int, variants bool, err error) {
	value, list, err := s.flag(name)
	if err != nil {
		return 0, 0, false, err
	}
	for _, v := range append(list, value)[:max(len(list), 1)] {
		var is *bool
		if err := json.Unmarshal(v["enabled"], &is); err != nil || is == nil {
			return 0, 0, false, astern.Errorf(astern.Invalid, "reading the feature flag %s: whether it is enabled is not said as true or false", name)
		}
		of++
		if *is {
			on++
		}
	}
	return on, of, list != nil, nil
}

// flag returns the value of a flag, and its variants, nil where it has none.
func (s flagSet) flag(name string) (value object, variants []object, err error) {
	if err := json.Unmarshal(s.values[name], &value); err != nil || value == nil {
		return nil, nil, astern.Errorf(astern.Invalid, "reading the feature flag %s: its value is no object", name)
	}
	if text, ok := value["_variants"]; ok {
		if err := json.Unmarshal(text, &variants); err != nil || len(variants) == 0 {
			return nil, nil, astern.Errorf(astern.Invalid, "reading the feature flag %s: its variants are no list of objects", name)
		}
	}
	return value, variants, nil
}

// switchOff returns the content with the flag disabled, in each of its variants, and everything else as it was.
func switchOff(content []byte, name string) ([]byte, error) {
	s, err := parseFlags(content)
	if err != nil {
		return nil, err
	}
	if _, ok := s.values[name]; !ok {
		return nil, astern.Errorf(astern.NotFound, "there is no feature flag %q", awsapi.OneLine(name))
	}
	if _, _, _, err := s.enabled(name); err != nil {
		return nil, err
	}
	value, variants, err := s.flag(name)
	if err != nil {
		return nil, err
	}
	if variants == nil {
		value["enabled"] = json.RawMessage("false")
	}
	for _, v := range variants {
		v["enabled"] = json.RawMessage("false")
	}
	if variants != nil {
		if value["_variants"], err = encode(variants); err != nil {
			return nil, err
		}
	}
	if s.values[name], err = encode(value); err != nil {
		return nil, err
	}
	if s.whole["values"], err = encode(s.values); err != nil {
		return nil, err
	}
	return encode(s.whole)
}

// encode writes a value as JSON and leaves <, > and & as they are.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, astern.Errorf(astern.Internal, "writing the feature flags: %w", err)
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

// maxLabel is how long the label of a version may be.
const maxLabel = 64

// labelOff is the label of the version that is another one with a flag off. It says which and tells both apart, so that
// the same change is made once, and found again.
func labelOff(base int64, flag string) string {
	label := fmt.Sprintf("%d-off-%s", base, flag)
	if len(label) <= maxLabel {
		return label
	}
	tail := "-" + digest(flag)[:8]
	return label[:maxLabel-len(tail)] + tail
}

// Switch returns the version in which the flag is off.
func (router) Switch(c astern.Component, s astern.State, change astern.FlagChange) (astern.Target, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.Target{}, err
	}
	base, err := switchable(c, s, change)
	if err != nil {
		return astern.Target{}, err
	}
	t := astern.Target{Address: c.Address(), Revision: labelOff(base, change.Flag), Readiness: astern.Ready}
	e := &evidence{awsapi.Findings{Seen: s.Newest()}}
	e.Add(astern.Ready, "%s is %s in version %d, which clients get", change.Flag, s.Values["flag/"+change.Flag].Text, base)
	e.deployable(p, s)
	if why, ok := e.Against(); ok {
		return t, astern.Errorf(astern.Refused, "switching %s off in %s: %s", awsapi.OneLine(change.Flag), c.Address(), why.What)
	}
	t.Evidence = e.List
	for _, x := range e.List {
		if x.Readiness == astern.AtRisk {
			t.Readiness = astern.AtRisk
		}
	}
	return t, nil
}

// Reach knows of a flag that is on, or off, for all; whom the rules of variants are for is not in the configuration.
func (router) Reach(_ astern.Component, s astern.State, flag string) (percent float64, known bool) {
	switch s.Values["flag/"+flag].Text {
	case "on":
		return 100, true
	case "off":
		return 0, true
	}
	return 0, false
}

// switchable returns the number of the version that the change starts from. What AppConfig can't do, or can do only by
// rules that somebody must write, is refused.
func switchable(c astern.Component, s astern.State, change astern.FlagChange) (int64, error) {
	refuse := func(hint, format string, args ...any) (int64, error) {
		return 0, astern.Errorf(astern.Refused, "switching %s off in %s: %s", awsapi.OneLine(change.Flag), c.Address(), fmt.Sprintf(format, args...)).WithHint("%s", hint)
	}
	off := "it can be switched off everywhere: astern off " + c.Name + " " + awsapi.OneLine(change.Flag)
	is, there := s.Get("flag/" + change.Flag)
	whole := s.Values["ids"]
	now, served := s.Get("revision")
	switch {
	case !whole.Known():
		return refuse("", "the configuration could not be looked at: %s", whole.Unknown)
	case whole.Text == "":
		return refuse("", "there is no such configuration")
	case s.Values["type"].Text != flagType:
		return refuse("", "the configuration profile holds no feature flags: its type is %s, not %s", s.Values["type"].Text, flagType)
	case change.Segment != "":
		return refuse(off, "for a part of the users AppConfig needs a variant with a rule, which the application must give the context for; astern writes no rules")
	case change.Percent != nil && *change.Percent != 0:
		return refuse(off, "for a share of the users AppConfig needs a variant with a split rule; astern writes no rules")
	case change.Serve != "":
		return refuse(off, "AppConfig has no variant that everybody could be served by name")
	case served && !now.Known():
		return refuse("", "what clients get is not known: %s", now.Unknown)
	case !served:
		return refuse("", "nothing is deployed to the environment")
	case strings.Contains(now.Text, "+"):
		return refuse("astern rollback "+c.Name+" takes it back", "a deployment is under way, and clients get two versions: %s", now.Text)
	}
	if flags, ok := s.Get("flags"); ok {
		return refuse("", "the flags could not be read: %s", flags.Unknown)
	}
	if !there {
		var names []string
		for _, path := range s.Under("flag") {
			names = append(names, strings.TrimPrefix(path, "flag/"))
		}
		if len(names) > 12 {
			names = append(names[:12], fmt.Sprintf("%d more", len(names)-12))
		}
		return 0, astern.Errorf(astern.NotFound, "switching %s off in %s: there is no flag %q", awsapi.OneLine(change.Flag), c.Address(), awsapi.OneLine(change.Flag)).
			WithHint("it holds %s", strings.Join(names, ", "))
	}
	base, ok := numbered(s, now.Text)
	switch {
	case !is.Known():
		return refuse("", "the flags could not be read: %s", is.Unknown)
	case is.Text == "off":
		return 0, astern.Errorf(astern.Refused, "switching %s off in %s: %w: it is off already", awsapi.OneLine(change.Flag), c.Address(), astern.ErrNothingToDo)
	case !ok:
		return refuse("", "the version that clients get, %s, was deleted", now.Text)
	}
	return base, nil
}
