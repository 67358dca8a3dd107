package lab

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Profiles, hosted versions and deployments of AppConfig, and what its clients see.

func (c configCall) profile() (*configApp, *configProfile, *Reply) {
	a, refused := c.app()
	if refused != nil {
		return nil, nil, refused
	}
	id := c.Text("ConfigurationProfileId")
	i := slices.IndexFunc(a.Profiles, func(p *configProfile) bool { return p.ID == id })
	if i < 0 {
		return nil, nil, c.missing("ConfigurationProfile", id)
	}
	return a, a.Profiles[i], nil
}

func (c configCall) createProfile() Reply {
	a, refused := c.app()
	if refused != nil {
		return *refused
	}
	name, refused := c.named(128)
	if refused != nil {
		return *refused
	}
	p := &configProfile{Name: name, Type: "AWS.Freeform"}
	c.change(map[string]*string{"Description": &p.Description, "LocationUri": &p.Location, "Type": &p.Type, "RetrievalRoleArn": &p.Role, "KmsKeyIdentifier": &p.Key})
	switch {
	case p.Location != "hosted":
		return *notInLab(c.Call, "configuration stored elsewhere than hosted")
	case len(objectsOf(c.Input["Validators"])) > 0:
		return *notInLab(c.Call, "validators")
	case !isOneOf(p.Type, "AWS.Freeform", flagProfile):
		return *c.bad("Type must be AWS.Freeform or %s", flagProfile)
	}
	p.ID = c.newID("configurationprofile")
	a.Profiles = append(a.Profiles, p)
	c.setTags(c.arn("application", a.ID, "configurationprofile", p.ID), objectOf(c.Input["Tags"]))
	return c.reply(http.StatusCreated, p.view(a))
}

func (p *configProfile) view(a *configApp) map[string]any {
	out := map[string]any{"ApplicationId": a.ID, "Id": p.ID, "Name": p.Name, "LocationUri": p.Location, "Type": p.Type}
	put(out, "Description", p.Description)
	put(out, "RetrievalRoleArn", p.Role)
	put(out, "KmsKeyIdentifier", p.Key)
	return out
}

func (c configCall) getProfile() Reply {
	a, p, refused := c.profile()
	if refused != nil {
		return *refused
	}
	if c.Operation == "UpdateConfigurationProfile" {
		if len(objectsOf(c.Input["Validators"])) > 0 {
			return *notInLab(c.Call, "validators")
		}
		c.change(map[string]*string{"Name": &p.Name, "Description": &p.Description, "RetrievalRoleArn": &p.Role, "KmsKeyIdentifier": &p.Key})
	}
	return c.reply(http.StatusOK, p.view(a))
}

func (c configCall) listProfiles() Reply {
	a, refused := c.app()
	if refused != nil {
		return *refused
	}
	items := []any{}
	for _, p := range a.Profiles {
		if t := c.Text("Type"); t == "" || t == p.Type {
			items = append(items, map[string]any{"ApplicationId": a.ID, "Id": p.ID, "Name": p.Name, "LocationUri": p.Location, "Type": p.Type, "ValidatorTypes": []any{}})
		}
	}
	return c.page(items)
}

func (c configCall) deleteProfile() Reply {
	a, p, refused := c.profile()
	if refused != nil {
		return *refused
	}
	for _, e := range a.Environments {
		c.settle(e)
		if d := e.latest(); d != nil && d.open() && d.Profile == p.ID {
			return *c.refuse(http.StatusConflict, "ConflictException", "Cannot delete ConfigurationProfile %s because a deployment is in progress", p.ID)
		}
	}
	if len(p.Versions) > 0 {
		return *c.bad("Cannot delete ConfigurationProfile %s because it has hosted configuration versions", p.ID)
	}
	a.Profiles = slices.DeleteFunc(a.Profiles, func(x *configProfile) bool { return x == p })
	return c.nothing()
}

// version finds a hosted version by its number or label.
func (p *configProfile) version(named string) *hostedVersion {
	i := slices.IndexFunc(p.Versions, func(v *hostedVersion) bool {
		return named != "" && (strconv.Itoa(v.Number) == named || v.Label == named)
	})
	if i < 0 {
		return nil
	}
	return p.Versions[i]
}

func (p *configProfile) check(v *hostedVersion) error {
	if p.Type == flagProfile {
		return checkFlags(v.Content)
	}
	return nil
}

// invalid is the refusal of a configuration, with the reason where the API puts it.
func (c configCall) invalid(err error) Reply {
	r := c.reply(http.StatusBadRequest, map[string]any{"__type": "BadRequestException", "Message": "Error invoking validators: " + err.Error(), "Reason": "InvalidConfiguration",
		"Details": map[string]any{"InvalidConfiguration": []any{map[string]any{"Type": "JSON_SCHEMA", "Reason": err.Error()}}}})
	r.Header.Set("X-Amzn-Errortype", "BadRequestException")
	return r
}

func (c configCall) createVersion() Reply {
	a, p, refused := c.profile()
	if refused != nil {
		return *refused
	}
	v := &hostedVersion{Number: p.Last + 1, Description: c.Text("Description"), ContentType: c.Header.Get("Content-Type"), Label: c.Text("VersionLabel"), Content: slices.Clone(c.Body)}
	if given := c.number("LatestVersionNumber"); given != 0 && given != p.Last {
		return *c.refuse(http.StatusConflict, "ConflictException", "The latest version number %d does not match the one that was given, %d", p.Last, given)
	}
	switch _, err := strconv.Atoi(v.Label); {
	case len(v.Content) > 1<<20:
		return *c.refuse(http.StatusRequestEntityTooLarge, "PayloadTooLargeException", "The configuration must be at most 1 MB")
	case v.ContentType == "":
		return *c.bad("ContentType is required")
	case v.Label != "" && (err == nil || p.version(v.Label) != nil):
		return *c.bad("VersionLabel %s is a number or in use", v.Label)
	}
	if err := p.check(v); err != nil {
		return c.invalid(err)
	}
	p.Last++
	p.Versions = append(p.Versions, v)
	return c.hosted(http.StatusCreated, a, p, v)
}

// hosted answers with a version: its content is the body, the rest headers.
func (c configCall) hosted(status int, a *configApp, p *configProfile, v *hostedVersion) Reply {
	h := http.Header{"X-Amzn-Requestid": {requestID(c.Call)}}
	for name, value := range map[string]string{"Application-Id": a.ID, "Configuration-Profile-Id": p.ID, "Version-Number": strconv.Itoa(v.Number),
		"Description": v.Description, "Content-Type": v.ContentType, "Versionlabel": v.Label} {
		if value != "" {
			h.Set(name, value)
		}
	}
	return Reply{status, h, v.Content}
}

func (c configCall) getVersion() Reply {
	a, p, refused := c.profile()
	if refused != nil {
		return *refused
	}
	v := p.version(strconv.Itoa(c.number("VersionNumber")))
	if v == nil {
		return *c.missing("HostedConfigurationVersion", c.Text("VersionNumber"))
	}
	return c.hosted(http.StatusOK, a, p, v)
}

func (c configCall) listVersions() Reply {
	a, p, refused := c.profile()
	if refused != nil {
		return *refused
	}
	items := []any{}
	for _, v := range slices.Backward(p.Versions) {
		label := c.Text("VersionLabel")
		if prefix, wild := strings.CutSuffix(label, "*"); label != "" && v.Label != label && !(wild && strings.HasPrefix(v.Label, prefix)) {
			continue
		}
		x := map[string]any{"ApplicationId": a.ID, "ConfigurationProfileId": p.ID, "VersionNumber": v.Number, "ContentType": v.ContentType}
		put(x, "Description", v.Description)
		put(x, "VersionLabel", v.Label)
		items = append(items, x)
	}
	return c.page(items)
}

func (c configCall) deleteVersion() Reply {
	_, p, refused := c.profile()
	if refused != nil {
		return *refused
	}
	v := p.version(strconv.Itoa(c.number("VersionNumber")))
	if v == nil {
		return *c.missing("HostedConfigurationVersion", c.Text("VersionNumber"))
	}
	p.Versions = slices.DeleteFunc(p.Versions, func(x *hostedVersion) bool { return x == v })
	return c.nothing()
}

func (c configCall) validate() Reply {
	_, p, refused := c.profile()
	if refused != nil {
		return *refused
	}
	v := p.version(c.Text("ConfigurationVersion"))
	if v == nil {
		return *c.missing("HostedConfigurationVersion", c.Text("ConfigurationVersion"))
	}
	if err := p.check(v); err != nil {
		return c.invalid(err)
	}
	return c.nothing()
}

// startDeployment begins a deployment. An environment has one at a time.
func (c configCall) startDeployment() Reply {
	a, e, refused := c.environment()
	if refused != nil {
		return *refused
	}
	_, p, refused := c.profile()
	if refused != nil {
		return *refused
	}
	s, refused := c.strategy(c.Text("DeploymentStrategyId"))
	if refused != nil {
		return *refused
	}
	v := p.version(c.Text("ConfigurationVersion"))
	if v == nil {
		return *c.missing("HostedConfigurationVersion", c.Text("ConfigurationVersion"))
	}
	if last := e.latest(); last != nil && last.open() {
		return *c.refuse(http.StatusConflict, "ConflictException", "Deployment %d of Environment %s is in progress (%s)", last.Number, e.ID, last.State)
	}
	if err := p.check(v); err != nil {
		return c.invalid(err)
	}
	d := &configDeployment{Number: len(e.Deployments) + 1, Profile: p.ID, Version: strconv.Itoa(v.Number), Label: v.Label, Before: e.serving(p.ID, 0),
		Strategy: *s, Description: c.Text("Description")}
	d.began(c.Time)
	e.Deployments = append(e.Deployments, d)
	c.setTags(c.arn("application", a.ID, "environment", e.ID, "deployment", strconv.Itoa(d.Number)), objectOf(c.Input["Tags"]))
	return c.reply(http.StatusCreated, d.view(a, e))
}

// serving is the version of a profile that a client of an environment sees.
func (e *configEnvironment) serving(profile string, place float64) string {
	for _, d := range slices.Backward(e.Deployments) {
		if d.Profile == profile {
			return d.serves(place)
		}
	}
	return ""
}

const iso8601 = "2006-01-02T15:04:05.000Z"

func (d *configDeployment) summary(a *configApp) map[string]any {
	name := d.Profile
	if i := slices.IndexFunc(a.Profiles, func(p *configProfile) bool { return p.ID == d.Profile }); i >= 0 {
		name = a.Profiles[i].Name
	}
	out := map[string]any{"DeploymentNumber": d.Number, "ConfigurationName": name, "ConfigurationVersion": d.Version,
		"DeploymentDurationInMinutes": d.Strategy.Minutes, "GrowthType": d.Strategy.Growth, "GrowthFactor": d.Strategy.Factor,
		"FinalBakeTimeInMinutes": d.Strategy.Bake, "State": d.State, "PercentageComplete": d.Percent, "StartedAt": d.Started.UTC().Format(iso8601)}
	if !d.Finished.IsZero() {
		out["CompletedAt"] = d.Finished.UTC().Format(iso8601)
	}
	put(out, "VersionLabel", d.Label)
	return out
}

func (d *configDeployment) view(a *configApp, e *configEnvironment) map[string]any {
	out := d.summary(a)
	out["ApplicationId"], out["EnvironmentId"], out["ConfigurationProfileId"] = a.ID, e.ID, d.Profile
	out["DeploymentStrategyId"], out["ConfigurationLocationUri"] = d.Strategy.ID, "hosted"
	put(out, "Description", d.Description)
	events := []any{}
	for _, ev := range d.Events {
		events = append(events, map[string]any{"EventType": ev.Type, "TriggeredBy": ev.By, "Description": ev.Description, "OccurredAt": ev.At.UTC().Format(iso8601)})
	}
	out["EventLog"], out["AppliedExtensions"] = events, []any{}
	return out
}

func (c configCall) deployment() (*configApp, *configEnvironment, *configDeployment, *Reply) {
	a, e, refused := c.environment()
	if refused != nil {
		return nil, nil, nil, refused
	}
	n := c.number("DeploymentNumber")
	if n < 1 || n > len(e.Deployments) {
		return nil, nil, nil, c.missing("Deployment", c.Text("DeploymentNumber"))
	}
	return a, e, e.Deployments[n-1], nil
}

func (c configCall) getDeployment() Reply {
	a, e, d, refused := c.deployment()
	if refused != nil {
		return *refused
	}
	return c.reply(http.StatusOK, d.view(a, e))
}

func (c configCall) listDeployments() Reply {
	a, e, refused := c.environment()
	if refused != nil {
		return *refused
	}
	items := []any{}
	for _, d := range slices.Backward(e.Deployments) {
		items = append(items, d.summary(a))
	}
	return c.page(items)
}

func (c configCall) stopDeployment() Reply {
	a, e, d, refused := c.deployment()
	if refused != nil {
		return *refused
	}
	if err := d.stop(c.Time, c.Text("AllowRevert") == "true" || truthOf(c.Input["AllowRevert"]), d == e.latest(), "arn:aws:iam::"+c.Account+":root"); err != nil {
		return *c.bad("%s", err)
	}
	return c.reply(http.StatusAccepted, d.view(a, e))
}

// session is what a token of the data plane says; the lab remembers nothing else of its clients.
type session struct {
	ID                                string
	Application, Environment, Profile string
	Seen                              string // the version that the client has
	Every                             int    // seconds, 0: as often as it likes
	NotBefore, Until                  time.Time
}

func (s session) token() string {
	b, _ := json.Marshal(s) // texts, numbers and times
	return base64.URLEncoding.EncodeToString(b)
}

// startSession begins a session of a client. Ids and names both do.
//
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_appconfigdata_StartConfigurationSession.html
func (c configCall) startSession() Reply {
	named := c.Text("ApplicationIdentifier")
	for _, a := range c.s.apps[scopeOf(c.Call)] {
		if a.ID != named && a.Name != named {
			continue
		}
		s := session{Application: a.ID, Every: intOf(c.Input["RequiredMinimumPollIntervalInSeconds"], 0), Until: c.Time.Add(24 * time.Hour)}
		for _, e := range a.Environments {
			if x := c.Text("EnvironmentIdentifier"); e.ID == x || e.Name == x {
				s.Environment = e.ID
			}
		}
		for _, p := range a.Profiles {
			if x := c.Text("ConfigurationProfileIdentifier"); p.ID == x || p.Name == x {
				s.Profile = p.ID
			}
		}
		switch {
		case s.Environment == "":
			return *c.missing("Environment", c.Text("EnvironmentIdentifier"))
		case s.Profile == "":
			return *c.missing("ConfigurationProfile", c.Text("ConfigurationProfileIdentifier"))
		case s.Every != 0 && (s.Every < 15 || s.Every > 86400):
			return *c.bad("RequiredMinimumPollIntervalInSeconds must be between 15 and 86400")
		}
		c.s.serial++
		s.ID = hexOf(scopeOf(c.Call), "session", c.s.serial)
		return c.reply(http.StatusCreated, map[string]any{"InitialConfigurationToken": s.token()})
	}
	return *c.missing("Application", named)
}

// badToken refuses a token as the data plane does.
func (c configCall) badToken(problem string) Reply {
	r := c.reply(http.StatusBadRequest, map[string]any{"__type": "BadRequestException", "Message": "Request failed because the token is not usable: " + problem,
		"Reason": "InvalidParameters", "Details": map[string]any{"InvalidParameters": map[string]any{"configuration_token": map[string]any{"Problem": problem}}}})
	r.Header.Set("X-Amzn-Errortype", "BadRequestException")
	return r
}

// latestConfiguration answers a poll: with the content when it is another than the client has, else with nothing.
func (c configCall) latestConfiguration() Reply {
	var s session
	b, err := base64.URLEncoding.DecodeString(c.Text("ConfigurationToken"))
	if err != nil || json.Unmarshal(b, &s) != nil {
		return c.badToken("Corrupted")
	}
	switch {
	case c.Time.After(s.Until):
		return c.badToken("Expired")
	case c.Time.Before(s.NotBefore):
		return c.badToken("PollIntervalNotSatisfied")
	}
	scoped := *c.Call
	scoped.Input = map[string]any{"ApplicationId": s.Application, "EnvironmentId": s.Environment, "ConfigurationProfileId": s.Profile}
	c.Call = &scoped
	_, e, refused := c.environment()
	if refused != nil {
		return *refused
	}
	_, p, refused := c.profile()
	if refused != nil {
		return *refused
	}
	version := e.serving(p.ID, s.place())
	v := p.version(version)
	if version == "" || v == nil {
		return *c.refuse(http.StatusNotFound, "ResourceNotFoundException", "No configuration is deployed to Environment %s for ConfigurationProfile %s", e.ID, p.ID)
	}
	content, kind := v.Content, v.ContentType
	if p.Type == flagProfile {
		content = flagValues(content)
	}
	if s.Seen == version {
		content = nil
	}
	s.Seen, s.Until = version, c.Time.Add(24*time.Hour)
	if s.Every > 0 {
		s.NotBefore = c.Time.Add(time.Duration(s.Every) * time.Second)
	}
	h := http.Header{"X-Amzn-Requestid": {requestID(c.Call)}, "Content-Type": {kind}, "Next-Poll-Configuration-Token": {s.token()},
		"Next-Poll-Interval-In-Seconds": {strconv.Itoa(max(s.Every, 60))}}
	if v.Label != "" {
		h.Set("Version-Label", v.Label)
	}
	return Reply{http.StatusOK, h, content}
}

// place spreads sessions evenly over 0 to 100.
func (s session) place() float64 {
	b := digest("place", s.ID)
	return float64(int(b[0])<<16|int(b[1])<<8|int(b[2])) / (1 << 24) * 100
}
