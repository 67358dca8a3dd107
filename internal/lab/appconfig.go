package lab

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// configState is AppConfig, all of it: moto has hosted versions that can't be listed, and neither environments nor
// deployments.
type configState struct {
	mu         sync.Mutex
	apps       map[string][]*configApp // by scope, in the order of their creation
	strategies map[string][]*strategy
	tags       map[string]map[string]any // by scope and ARN
	serial     int
}

type configApp struct {
	ID, Name, Description string
	Environments          []*configEnvironment
	Profiles              []*configProfile
}

type configEnvironment struct {
	ID, Name, Description string
	Monitors              []any
	Deployments           []*configDeployment // oldest first
}

type configProfile struct {
	ID, Name, Description, Location, Type, Role, Key string
	Versions                                         []*hostedVersion // oldest first
	Last                                             int              // number of the latest, also when it is deleted
}

type hostedVersion struct {
	Number                          int
	Description, ContentType, Label string
	Content                         []byte
}

func (s *configState) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps, s.strategies, s.tags, s.serial = nil, nil, nil, 0
}

const flagProfile = "AWS.AppConfig.FeatureFlags"

// configCall is one call while the state is locked.
type configCall struct {
	*Call
	lab *Lab
	s   *configState
}

func (l *Lab) appconfigOverlays() map[string]Overlay {
	own := func(f func(configCall) Reply) Overlay {
		return func(_ context.Context, c *Call, _ Next) Reply {
			l.states.config.mu.Lock()
			defer l.states.config.mu.Unlock()
			return f(configCall{c, l, &l.states.config})
		}
	}
	out := map[string]Overlay{}
	for operation, f := range map[string]func(configCall) Reply{
		"CreateApplication": configCall.createApplication, "GetApplication": configCall.getApplication, "UpdateApplication": configCall.getApplication,
		"ListApplications": configCall.listApplications, "DeleteApplication": configCall.deleteApplication,
		"CreateEnvironment": configCall.createEnvironment, "GetEnvironment": configCall.getEnvironment, "UpdateEnvironment": configCall.getEnvironment,
		"ListEnvironments": configCall.listEnvironments, "DeleteEnvironment": configCall.deleteEnvironment,
		"CreateConfigurationProfile": configCall.createProfile, "GetConfigurationProfile": configCall.getProfile, "UpdateConfigurationProfile": configCall.getProfile,
		"ListConfigurationProfiles": configCall.listProfiles, "DeleteConfigurationProfile": configCall.deleteProfile,
		"ValidateConfiguration":            configCall.validate,
		"CreateHostedConfigurationVersion": configCall.createVersion, "GetHostedConfigurationVersion": configCall.getVersion,
		"ListHostedConfigurationVersions": configCall.listVersions, "DeleteHostedConfigurationVersion": configCall.deleteVersion,
		"CreateDeploymentStrategy": configCall.createStrategy, "GetDeploymentStrategy": configCall.getStrategy, "UpdateDeploymentStrategy": configCall.updateStrategy,
		"ListDeploymentStrategies": configCall.listStrategies, "DeleteDeploymentStrategy": configCall.deleteStrategy,
		"StartDeployment": configCall.startDeployment, "GetDeployment": configCall.getDeployment, "ListDeployments": configCall.listDeployments,
		"StopDeployment": configCall.stopDeployment,
		"TagResource":    configCall.tag, "UntagResource": configCall.untag, "ListTagsForResource": configCall.listTags,
	} {
		out["appconfig:"+operation] = own(f)
	}
	out["appconfigdata:StartConfigurationSession"] = own(configCall.startSession)
	out["appconfigdata:GetLatestConfiguration"] = own(configCall.latestConfiguration)
	return out
}

func (c configCall) refuse(status int, code, message string, args ...any) *Reply {
	r := errorReply(c.Call, status, code, fmt.Sprintf(message, args...))
	return &r
}

func (c configCall) missing(what, id string) *Reply {
	return c.refuse(http.StatusNotFound, "ResourceNotFoundException", "%s %s could not be found", what, id)
}

func (c configCall) bad(message string, args ...any) *Reply {
	return c.refuse(http.StatusBadRequest, "BadRequestException", message, args...)
}

func (c configCall) reply(status int, v any) Reply { return jsonReply(c.Call, status, v) }

// nothing is the answer of deletions.
func (c configCall) nothing() Reply {
	return Reply{http.StatusNoContent, http.Header{"X-Amzn-Requestid": {requestID(c.Call)}}, nil}
}

// newID makes an id, and takes over the tags of what it is for.
func (c configCall) newID(kind string) string {
	c.s.serial++
	return shortOf(scopeOf(c.Call), kind, c.s.serial)
}

func (c configCall) arn(path ...string) string {
	return "arn:aws:appconfig:" + c.Region + ":" + c.Account + ":" + strings.Join(path, "/")
}

func (c configCall) setTags(arn string, tags map[string]any) {
	key := scopeOf(c.Call) + arn
	if c.s.tags == nil {
		c.s.tags = map[string]map[string]any{}
	}
	if c.s.tags[key] == nil {
		c.s.tags[key] = map[string]any{}
	}
	for k, v := range tags {
		c.s.tags[key][k] = v
	}
}

// page answers with one page of a list, as all lists of AppConfig look.
func (c configCall) page(items []any) Reply {
	page, next, ok := paged(items, c.Text("NextToken"), min(50, intOf(c.Input["MaxResults"], 50)))
	if !ok {
		return *c.bad("Invalid NextToken")
	}
	out := map[string]any{"Items": append([]any{}, page...)}
	put(out, "NextToken", next)
	return c.reply(http.StatusOK, out)
}

// named checks the name that something is created with.
func (c configCall) named(most int) (string, *Reply) {
	name := c.Text("Name")
	if name == "" || len(name) > most {
		return "", c.bad("Value at 'name' failed to satisfy constraint: Member must have length between 1 and %d", most)
	}
	return name, nil
}

// change takes over the text members that an update gives.
func (c configCall) change(members map[string]*string) {
	for member, at := range members {
		if v, ok := c.Input[member].(string); ok {
			*at = v
		}
	}
}

func (c configCall) app() (*configApp, *Reply) {
	id := c.Text("ApplicationId")
	for _, a := range c.s.apps[scopeOf(c.Call)] {
		if a.ID == id {
			return a, nil
		}
	}
	return nil, c.missing("Application", id)
}

func (c configCall) createApplication() Reply {
	name, refused := c.named(64)
	if refused != nil {
		return *refused
	}
	a := &configApp{ID: c.newID("application"), Name: name, Description: c.Text("Description")}
	if c.s.apps == nil {
		c.s.apps = map[string][]*configApp{}
	}
	c.s.apps[scopeOf(c.Call)] = append(c.s.apps[scopeOf(c.Call)], a)
	c.setTags(c.arn("application", a.ID), objectOf(c.Input["Tags"]))
	return c.reply(http.StatusCreated, a.view())
}

func (a *configApp) view() map[string]any {
	out := map[string]any{"Id": a.ID, "Name": a.Name}
	put(out, "Description", a.Description)
	return out
}

// getApplication also serves UpdateApplication, which gives members to change.
func (c configCall) getApplication() Reply {
	a, refused := c.app()
	if refused != nil {
		return *refused
	}
	if c.Operation == "UpdateApplication" {
		c.change(map[string]*string{"Name": &a.Name, "Description": &a.Description})
	}
	return c.reply(http.StatusOK, a.view())
}

func (c configCall) listApplications() Reply {
	items := []any{}
	for _, a := range c.s.apps[scopeOf(c.Call)] {
		items = append(items, a.view())
	}
	return c.page(items)
}

func (c configCall) deleteApplication() Reply {
	a, refused := c.app()
	if refused != nil {
		return *refused
	}
	if len(a.Environments)+len(a.Profiles) > 0 {
		return *c.bad("Cannot delete Application %s because it has environments or configuration profiles", a.ID)
	}
	key := scopeOf(c.Call)
	c.s.apps[key] = slices.DeleteFunc(c.s.apps[key], func(x *configApp) bool { return x == a })
	return c.nothing()
}

func (c configCall) environment() (*configApp, *configEnvironment, *Reply) {
	a, refused := c.app()
	if refused != nil {
		return nil, nil, refused
	}
	id := c.Text("EnvironmentId")
	i := slices.IndexFunc(a.Environments, func(e *configEnvironment) bool { return e.ID == id })
	if i < 0 {
		return nil, nil, c.missing("Environment", id)
	}
	c.settle(a.Environments[i])
	return a, a.Environments[i], nil
}

// settle lets the deployments of an environment go on until now.
func (c configCall) settle(e *configEnvironment) {
	for _, d := range e.Deployments {
		if d.open() {
			d.advance(c.Time, c.lab.monitor(c.Call, e.Monitors))
		}
	}
}

// monitor asks the alarms that watch an environment.
func (l *Lab) monitor(scope *Call, monitors []any) func(from, to time.Time) (string, time.Time, bool) {
	var arns []string
	for _, m := range objectsOf(monitors) {
		arns = append(arns, textOf(m["AlarmArn"]))
	}
	if len(arns) == 0 {
		return nil
	}
	return func(from, to time.Time) (string, time.Time, bool) { return l.firstFiring(scope, arns, from, to) }
}

func (e *configEnvironment) latest() *configDeployment {
	if len(e.Deployments) == 0 {
		return nil
	}
	return e.Deployments[len(e.Deployments)-1]
}

func (c configCall) createEnvironment() Reply {
	a, refused := c.app()
	if refused != nil {
		return *refused
	}
	name, refused := c.named(64)
	if refused != nil {
		return *refused
	}
	e := &configEnvironment{ID: c.newID("environment"), Name: name, Description: c.Text("Description")}
	e.Monitors, _ = c.Input["Monitors"].([]any)
	a.Environments = append(a.Environments, e)
	c.setTags(c.arn("application", a.ID, "environment", e.ID), objectOf(c.Input["Tags"]))
	return c.reply(http.StatusCreated, e.view(a))
}

func (e *configEnvironment) view(a *configApp) map[string]any {
	out := map[string]any{"ApplicationId": a.ID, "Id": e.ID, "Name": e.Name, "State": environmentState(e.latest())}
	put(out, "Description", e.Description)
	if len(e.Monitors) > 0 {
		out["Monitors"] = e.Monitors
	}
	return out
}

func (c configCall) getEnvironment() Reply {
	a, e, refused := c.environment()
	if refused != nil {
		return *refused
	}
	if c.Operation == "UpdateEnvironment" {
		c.change(map[string]*string{"Name": &e.Name, "Description": &e.Description})
		if m, ok := c.Input["Monitors"].([]any); ok {
			e.Monitors = m
		}
	}
	return c.reply(http.StatusOK, e.view(a))
}

func (c configCall) listEnvironments() Reply {
	a, refused := c.app()
	if refused != nil {
		return *refused
	}
	items := []any{}
	for _, e := range a.Environments {
		c.settle(e)
		items = append(items, e.view(a))
	}
	return c.page(items)
}

func (c configCall) deleteEnvironment() Reply {
	a, e, refused := c.environment()
	if refused != nil {
		return *refused
	}
	if d := e.latest(); d != nil && d.open() {
		return *c.refuse(http.StatusConflict, "ConflictException", "Cannot delete Environment %s because a deployment is in progress", e.ID)
	}
	a.Environments = slices.DeleteFunc(a.Environments, func(x *configEnvironment) bool { return x == e })
	return c.nothing()
}

func (c configCall) strategy(id string) (*strategy, *Reply) {
	for i := range predefined {
		if predefined[i].ID == id {
			return &predefined[i], nil
		}
	}
	for _, s := range c.s.strategies[scopeOf(c.Call)] {
		if s.ID == id {
			return s, nil
		}
	}
	return nil, c.missing("DeploymentStrategy", id)
}

func (c configCall) createStrategy() Reply {
	name, refused := c.named(64)
	if refused != nil {
		return *refused
	}
	s := &strategy{Name: name, Growth: "LINEAR", ReplicateTo: "NONE"}
	if refused := c.readStrategy(s); refused != nil {
		return *refused
	}
	c.change(map[string]*string{"ReplicateTo": &s.ReplicateTo})
	s.ID = c.newID("deploymentstrategy")
	if c.s.strategies == nil {
		c.s.strategies = map[string][]*strategy{}
	}
	c.s.strategies[scopeOf(c.Call)] = append(c.s.strategies[scopeOf(c.Call)], s)
	c.setTags(c.arn("deploymentstrategy", s.ID), objectOf(c.Input["Tags"]))
	return c.reply(http.StatusCreated, s.view())
}

// readStrategy takes over what a create or update gives, or nothing of it.
func (c configCall) readStrategy(s *strategy) *Reply {
	n := *s
	c.change(map[string]*string{"Description": &n.Description, "GrowthType": &n.Growth})
	n.Minutes, n.Bake = intOf(c.Input["DeploymentDurationInMinutes"], n.Minutes), intOf(c.Input["FinalBakeTimeInMinutes"], n.Bake)
	if f, ok := numberOf(c.Input["GrowthFactor"]); ok {
		n.Factor = f
	}
	switch {
	case n.Minutes < 0 || n.Minutes > 1440 || n.Bake < 0 || n.Bake > 1440:
		return c.bad("DeploymentDurationInMinutes and FinalBakeTimeInMinutes must be between 0 and 1440")
	case n.Factor < 1 || n.Factor > 100:
		return c.bad("GrowthFactor must be between 1.0 and 100.0")
	case !isOneOf(n.Growth, "LINEAR", "EXPONENTIAL"):
		return c.bad("GrowthType must be LINEAR or EXPONENTIAL")
	}
	*s = n
	return nil
}

func (s *strategy) view() map[string]any {
	out := map[string]any{"Id": s.ID, "Name": s.Name, "DeploymentDurationInMinutes": s.Minutes, "GrowthType": s.Growth,
		"GrowthFactor": s.Factor, "FinalBakeTimeInMinutes": s.Bake, "ReplicateTo": s.ReplicateTo}
	put(out, "Description", s.Description)
	return out
}

func (c configCall) getStrategy() Reply {
	s, refused := c.strategy(c.Text("DeploymentStrategyId"))
	if refused != nil {
		return *refused
	}
	return c.reply(http.StatusOK, s.view())
}

func (c configCall) updateStrategy() Reply {
	id := c.Text("DeploymentStrategyId")
	s, refused := c.strategy(id)
	switch {
	case refused != nil:
		return *refused
	case strings.HasPrefix(id, "AppConfig."):
		return *c.bad("%s is predefined and cannot be changed", id)
	}
	if refused := c.readStrategy(s); refused != nil {
		return *refused
	}
	return c.reply(http.StatusOK, s.view())
}

func (c configCall) listStrategies() Reply {
	items := []any{}
	for i := range predefined {
		items = append(items, predefined[i].view())
	}
	for _, s := range c.s.strategies[scopeOf(c.Call)] {
		items = append(items, s.view())
	}
	return c.page(items)
}

func (c configCall) deleteStrategy() Reply {
	id := c.Text("DeploymentStrategyId")
	s, refused := c.strategy(id)
	switch {
	case refused != nil:
		return *refused
	case strings.HasPrefix(id, "AppConfig."):
		return *c.bad("%s is predefined and cannot be deleted", id)
	}
	key := scopeOf(c.Call)
	c.s.strategies[key] = slices.DeleteFunc(c.s.strategies[key], func(x *strategy) bool { return x == s })
	return c.nothing()
}

func (c configCall) tag() Reply {
	c.setTags(c.Text("ResourceArn"), objectOf(c.Input["Tags"]))
	return c.nothing()
}

func (c configCall) untag() Reply {
	for _, key := range append(textsOf(c.Input["TagKeys"]), c.Text("TagKeys")) {
		delete(c.s.tags[scopeOf(c.Call)+c.Text("ResourceArn")], key)
	}
	return c.nothing()
}

func (c configCall) listTags() Reply {
	tags, ok := c.s.tags[scopeOf(c.Call)+c.Text("ResourceArn")]
	if !ok {
		return *c.missing("Resource", c.Text("ResourceArn"))
	}
	return c.reply(http.StatusOK, map[string]any{"Tags": tags})
}

// number reads a label that is a number.
func (c configCall) number(member string) int {
	if n, err := strconv.Atoi(c.Text(member)); err == nil {
		return n
	}
	return intOf(c.Input[member], 0)
}
