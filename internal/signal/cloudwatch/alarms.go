package cloudwatch

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// mostAlarms is how many DescribeAlarms takes at a time.
const mostAlarms = 100

// The states of an alarm.
const (
	StateOK               = string(types.StateValueOk)
	StateAlarm            = string(types.StateValueAlarm)
	StateInsufficientData = string(types.StateValueInsufficientData)
)

// AlarmSeen is what CloudWatch says of an alarm.
type AlarmSeen struct {
	State  string // "" where there is no such alarm, or Err says why it is not known
	Reason string
	// Since is when it took on the state.
	Since time.Time
	// Looks is how long before that it looked at; 0 where it is not known, as of composite alarms.
	Looks time.Duration
	// Period is one of the periods of that time.
	Period time.Duration
	// Muted is true when its actions are switched off: it calls nobody.
	Muted bool
	// Idle is true when nothing is to happen when it goes off.
	Idle bool
	// Region is where CloudWatch was asked.
	Region string
	Err    error
}

// Alarms returns what CloudWatch says of each alarm, in order. https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
func (r *Reader) Alarms(ctx context.Context, alarms []astern.Alarm) []AlarmSeen {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	out := make([]AlarmSeen, len(alarms))
	at := map[astern.AWSPlace][]int{}
	var places []astern.AWSPlace
	for i, a := range alarms {
		if at[a.AWSPlace] == nil {
			places = append(places, a.AWSPlace)
		}
		at[a.AWSPlace] = append(at[a.AWSPlace], i)
	}
	var wait sync.WaitGroup // a place that does not answer is in the way of no other
	for _, place := range places {
		wait.Go(func() {
			for some := range slices.Chunk(at[place], mostAlarms) {
				seen, region, err := r.describe(ctx, place, alarms, some)
				for _, i := range some {
					out[i] = seen[alarms[i].Alarm]
					out[i].Region, out[i].Err = region, err
				}
			}
		})
	}
	wait.Wait()
	return out
}

// describe asks for some of the alarms, by name.
func (r *Reader) describe(ctx context.Context, place astern.AWSPlace, alarms []astern.Alarm, some []int) (seen map[string]AlarmSeen, region string, err error) {
	session, err := r.accounts.Session(ctx, settings(place))
	if err != nil {
		return nil, "", err
	}
	in := &sdk.DescribeAlarmsInput{AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm}, MaxRecords: aws.Int32(mostAlarms)}
	var names []string
	for _, i := range some {
		if !slices.Contains(names, alarms[i].Alarm) {
			names = append(names, alarms[i].Alarm)
		}
	}
	in.AlarmNames = names
	seen = map[string]AlarmSeen{}
	pages := sdk.NewDescribeAlarmsPaginator(sdk.NewFromConfig(session.Read), in)
	for n := 0; pages.HasMorePages() && n < mostPages; n++ {
		began := r.now()
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, session.Region, awsapi.Explain(err, "asking CloudWatch in "+session.Region+" for the alarms "+strings.Join(names, ", "), "")
		}
		r.learn(place, began, r.now(), page.ResultMetadata)
		for _, a := range page.MetricAlarms {
			s := AlarmSeen{State: string(a.StateValue), Reason: aws.ToString(a.StateReason), Since: when(a.StateTransitionedTimestamp, a.StateUpdatedTimestamp)}
			s.Muted, s.Idle = !aws.ToBool(a.ActionsEnabled), len(a.AlarmActions) == 0
			// Of M out of N periods the M that were bad, at least, are the newest M of those that it looks at.
			s.Period = time.Duration(aws.ToInt32(a.Period)) * time.Second
			s.Looks = time.Duration(cmp.Or(aws.ToInt32(a.DatapointsToAlarm), aws.ToInt32(a.EvaluationPeriods))) * s.Period
			seen[aws.ToString(a.AlarmName)] = s.told(r.ahead(place))
		}
		for _, a := range page.CompositeAlarms {
			s := AlarmSeen{State: string(a.StateValue), Reason: aws.ToString(a.StateReason), Since: when(a.StateTransitionedTimestamp, a.StateUpdatedTimestamp)}
			s.Muted, s.Idle = !aws.ToBool(a.ActionsEnabled), len(a.AlarmActions) == 0
			seen[aws.ToString(a.AlarmName)] = s.told(r.ahead(place))
		}
	}
	return seen, session.Region, nil
}

// told is what can be shown, by our clock.
func (s AlarmSeen) told(ahead time.Duration) AlarmSeen {
	s.Reason, s.Since = harmless(s.Reason, 200), s.Since.Add(-ahead)
	return s
}

// when is the first of the times that is told.
func when(times ...*time.Time) time.Time {
	for _, t := range times {
		if t != nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// harmless is text of others on one line, of at most so many characters, without what could steer a terminal.
func harmless(s string, most int) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}
