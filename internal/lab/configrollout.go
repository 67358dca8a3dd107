package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// What an AppConfig deployment does by itself: it grows, bakes, completes, and is rolled back when an alarm goes off.
// Pure; sources:
// https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-creating-deployment-strategy.html (growth),
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_StopDeployment.html and
// https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-deploying-revert.html (72 hours).
//
// When the steps come follows from the example of GetDeployment in the API's model: of four steps in 15 minutes the first
// comes after 3 minutes and the last after 12, so between start and end lie one more intervals than steps.

// revertWindow is how long after its completion a deployment can be reverted.
const revertWindow = 72 * time.Hour

// rollingBackTakes is how long a deployment stays ROLLING_BACK. AWS gives no figure.
const rollingBackTakes = 2 * time.Second

// strategy is how a deployment grows.
type strategy struct {
	ID, Name, Description string
	Minutes, Bake         int
	Growth                string // LINEAR or EXPONENTIAL
	Factor                float64
	ReplicateTo           string
}

// predefined are the strategies that every account has.
//
// https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-creating-deployment-strategy-predefined.html
var predefined = []strategy{
	{"AppConfig.AllAtOnce", "AppConfig.AllAtOnce", "Quick", 0, 10, "LINEAR", 100, "NONE"},
	{"AppConfig.Linear50PercentEvery30Seconds", "AppConfig.Linear50PercentEvery30Seconds", "Test/Demo", 1, 1, "LINEAR", 50, "NONE"},
	{"AppConfig.Linear20PercentEvery6Minutes", "AppConfig.Linear20PercentEvery6Minutes", "AWS Recommended", 30, 30, "LINEAR", 20, "NONE"},
	{"AppConfig.Canary10Percent20Minutes", "AppConfig.Canary10Percent20Minutes", "AWS Recommended", 20, 10, "EXPONENTIAL", 10, "NONE"},
}

// percentages are what the deployment grows to, step by step; the last is 100.
func (s strategy) percentages() (out []float64) {
	if s.Minutes == 0 || s.Factor >= 100 {
		return []float64{100}
	}
	for p, n := s.Factor, 1; ; n++ {
		if out = append(out, min(100, p)); p >= 100 {
			return out
		}
		if p = s.Factor * float64(n+1); s.Growth == "EXPONENTIAL" {
			p = s.Factor * math.Pow(2, float64(n))
		}
	}
}

// stepAt is when step i of n is taken; step n is the end of the growth, where baking begins.
func (s strategy) stepAt(i, n int) time.Duration {
	total := time.Duration(s.Minutes) * time.Minute
	return total * time.Duration(i+1) / time.Duration(n+1)
}

type configEvent struct {
	Type, By, Description string
	At                    time.Time
}

// configDeployment is one deployment of a version of a profile to an environment.
type configDeployment struct {
	Number            int
	Profile, Version  string // ids
	Label             string
	Before            string // the version that a rollback goes back to; empty: none
	Strategy          strategy
	Description       string
	State             string
	Percent           float64
	Started, Finished time.Time
	RollingUntil      time.Time
	Events            []configEvent // newest first
}

func (d *configDeployment) log(at time.Time, kind, by, description string) {
	d.Events = append([]configEvent{{kind, by, description, at}}, d.Events...)
}

// began is a deployment that a user starts.
func (d *configDeployment) began(now time.Time) {
	d.Started, d.State, d.Percent = now, "DEPLOYING", 1
	d.log(now, "DEPLOYMENT_STARTED", "USER", "Deployment started")
	d.advance(now, nil)
}

// open tells whether the deployment still occupies its environment.
func (d *configDeployment) open() bool {
	return isOneOf(d.State, "VALIDATING", "DEPLOYING", "BAKING", "ROLLING_BACK")
}

// advance lets everything happen that happens by itself until now. firing returns the ARN of an alarm of the environment
// that is in ALARM at some time within (from, to], and when; nil: there are none.
func (d *configDeployment) advance(now time.Time, firing func(from, to time.Time) (string, time.Time, bool)) {
	if isOneOf(d.State, "DEPLOYING", "BAKING") && firing != nil {
		from := d.Started
		if arn, at, ok := firing(from, minTime(now, d.end())); ok {
			d.grow(at)
			if d.open() {
				d.rollBack(at, "CLOUDWATCH_ALARM", "Rollback initiated by CloudWatch alarm "+arn)
			}
		}
	}
	d.grow(now)
	if d.State == "ROLLING_BACK" && !now.Before(d.RollingUntil) {
		d.State, d.Finished = "ROLLED_BACK", d.RollingUntil
		d.log(d.RollingUntil, "ROLLBACK_COMPLETED", "APPCONFIG", "Rollback completed")
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// end is when the deployment completes unless something comes in between.
func (d *configDeployment) end() time.Time {
	return d.Started.Add(time.Duration(d.Strategy.Minutes+d.Strategy.Bake) * time.Minute)
}

// grow takes the steps that are due.
func (d *configDeployment) grow(now time.Time) {
	if d.State == "DEPLOYING" {
		steps := d.Strategy.percentages()
		for i, p := range steps {
			at := d.Started.Add(d.Strategy.stepAt(i, len(steps)))
			if d.Percent < p && !now.Before(at) {
				d.Percent = p
				d.log(at, "PERCENTAGE_UPDATED", "APPCONFIG", fmt.Sprintf("Configuration available to %.2f%% of clients", p))
			}
		}
		if at := d.Started.Add(time.Duration(d.Strategy.Minutes) * time.Minute); !now.Before(at) {
			d.State = "BAKING"
			d.log(at, "BAKE_TIME_STARTED", "APPCONFIG", "Deployment bake time started")
		}
	}
	if d.State == "BAKING" && !now.Before(d.end()) {
		d.State, d.Finished = "COMPLETE", d.end()
		d.log(d.end(), "DEPLOYMENT_COMPLETED", "APPCONFIG", "Deployment completed")
	}
}

// rollBack takes the version away from everybody at once; the deployment ends a moment later.
func (d *configDeployment) rollBack(at time.Time, by, why string) {
	d.State, d.Percent, d.RollingUntil = "ROLLING_BACK", 0, at.Add(rollingBackTakes)
	d.log(at, "ROLLBACK_STARTED", by, why)
}

// stop is what StopDeployment does. Only a deployment that is DEPLOYING can be stopped; with revert also one that bakes,
// and within 72 hours one that is complete. latest tells that no later one has replaced it.
func (d *configDeployment) stop(now time.Time, revert, latest bool, who string) error {
	switch {
	case d.State == "DEPLOYING" || d.State == "BAKING" && revert:
		d.rollBack(now, "USER", "Rollback initiated by "+who)
		return nil
	case d.State == "COMPLETE" && revert && !latest:
		return said(fmt.Sprintf("Deployment %d can't be reverted because it is not the most recent deployment", d.Number))
	case d.State == "COMPLETE" && revert && now.Sub(d.Finished) > revertWindow:
		return said(fmt.Sprintf("Deployment %d can't be reverted because it completed more than 72 hours ago", d.Number))
	case d.State == "COMPLETE" && revert:
		d.State, d.Percent = "REVERTED", 0
		d.log(now, "REVERT_COMPLETED", "USER", "Revert completed")
		return nil
	}
	return said(fmt.Sprintf("Cannot stop deployment %d because its state is %s", d.Number, d.State))
}

// serves is the version that a client sees, by the place of its session between 0 and 100.
func (d *configDeployment) serves(place float64) string {
	switch d.State {
	case "DEPLOYING":
		if place < d.Percent {
			return d.Version
		}
		return d.Before
	case "BAKING", "COMPLETE":
		return d.Version
	}
	return d.Before
}

// environmentState is what the state of the latest deployment makes of the environment. The spelling is that of
// botocore's waiter and of the examples of the command line; the API reference writes READY_FOR_DEPLOYMENT.
func environmentState(latest *configDeployment) string {
	if latest == nil {
		return "ReadyForDeployment"
	}
	switch latest.State {
	case "ROLLING_BACK":
		return "RollingBack"
	case "ROLLED_BACK":
		return "RolledBack"
	case "REVERTED":
		return "Reverted"
	case "COMPLETE":
		return "ReadyForDeployment"
	}
	return "Deploying"
}

// checkFlags reads the content of a feature flag configuration profile, so far as the lab does: version "1", values only
// of flags and attributes that are defined, of the type that their constraints say.
//
// https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-type-reference-feature-flags.html
func checkFlags(content []byte) error {
	var doc struct {
		Version string `json:"version"`
		Flags   map[string]struct {
			Attributes map[string]struct {
				Constraints struct {
					Type     string `json:"type"`
					Required bool   `json:"required"`
				} `json:"constraints"`
			} `json:"attributes"`
		} `json:"flags"`
		Values map[string]map[string]any `json:"values"`
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		return said("Invalid JSON: " + err.Error())
	}
	if doc.Version != "1" {
		return fmt.Errorf("version must be \"1\"")
	}
	for _, flag := range slices.Sorted(maps.Keys(doc.Values)) {
		defined, ok := doc.Flags[flag]
		if !ok {
			return fmt.Errorf("values has %q, which flags doesn't define", flag)
		}
		value := doc.Values[flag]
		if _, variants := value["_variants"]; variants {
			return fmt.Errorf("the lab has no flags with variants: %q", flag)
		}
		if _, ok := value["enabled"].(bool); !ok {
			return fmt.Errorf("%q needs enabled: true or false", flag)
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if isOneOf(name, "enabled", "_createdAt", "_updatedAt", "_deprecation") {
				continue
			}
			attribute, ok := defined.Attributes[name]
			if !ok {
				return fmt.Errorf("%q has a value for the attribute %q, which is not defined", flag, name)
			}
			if !hasType(value[name], attribute.Constraints.Type) {
				return fmt.Errorf("the attribute %q of %q must be of type %s", name, flag, attribute.Constraints.Type)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(defined.Attributes)) {
			if _, given := value[name]; defined.Attributes[name].Constraints.Required && !given && value["enabled"] == true {
				return fmt.Errorf("%q needs a value for the attribute %q", flag, name)
			}
		}
	}
	return nil
}

func hasType(v any, kind string) bool {
	switch kind {
	case "string":
		_, ok := v.(string)
		return ok
	case "number":
		_, ok := v.(float64)
		return ok
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "array":
		_, ok := v.([]any)
		return ok
	}
	return true // without constraint
}

// flagValues is what clients get of a feature flag configuration: the values alone, of a disabled flag only that it is.
func flagValues(content []byte) []byte {
	var doc struct {
		Values map[string]map[string]any `json:"values"`
	}
	if json.Unmarshal(content, &doc) != nil {
		return content
	}
	out := map[string]any{}
	for flag, value := range doc.Values {
		shown := map[string]any{"enabled": value["enabled"]}
		for name, v := range value {
			if value["enabled"] == true && !isOneOf(name, "_createdAt", "_updatedAt", "_deprecation") {
				shown[name] = v
			}
		}
		out[flag] = shown
	}
	b, _ := json.Marshal(out) // was JSON
	return b
}
