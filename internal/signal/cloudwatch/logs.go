package cloudwatch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Bounds of what is read of a log.
const (
	mostLines    = 20
	longestLine  = 400
	logsWithin   = 10 * time.Second
	logPages     = 20
	eventsOfPage = 1000
)

// Failures returns the last lines of a log that tell of failures, each as redact leaves it. What could not be read is said in
// what it returns: an incident goes on without it. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
func (r *Reader) Failures(ctx context.Context, source astern.LogSource, since, until time.Time, redact func(string) string) astern.FailureLog {
	ctx, cancel := context.WithTimeout(ctx, logsWithin)
	defer cancel()
	out := astern.FailureLog{Group: source.Group, Since: since.UTC()}
	session, err := r.accounts.Session(ctx, settings(source.AWSPlace))
	if err != nil {
		out.Missing = harmless(err.Error(), longestLine)
		return out
	}
	ahead := r.ahead(source.AWSPlace) // as far as CloudWatch was asked for something else
	since, until = since.Add(ahead), until.Add(ahead)
	client := cloudwatchlogs.NewFromConfig(session.Read)
	// CloudWatch tells the oldest first, so the newest are looked for in windows that go back in time.
	var events []types.FilteredLogEvent
	for end, window := until.Add(time.Millisecond), time.Minute; end.After(since) && len(events) < mostLines && err == nil; window *= 8 {
		begin := end.Add(-window)
		if begin.Before(since) {
			begin = since
		}
		var some []types.FilteredLogEvent
		var cut bool
		some, cut, err = lastEvents(ctx, client, source, begin, end)
		events = append(some, events...)
		out.More = out.More || cut
		end = begin
	}
	if over := len(events) - mostLines; over > 0 {
		events, out.More = events[over:], true
	}
	for _, e := range events {
		out.Lines = append(out.Lines, astern.LogLine{At: time.UnixMilli(aws.ToInt64(e.Timestamp)).Add(-ahead).UTC(), Text: harmless(redact(clip(aws.ToString(e.Message))), longestLine)})
	}
	switch {
	case err == nil:
	case len(events) > 0: // what was found is worth more than why no more was
		out.More = true
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		out.Missing = "it did not answer within " + logsWithin.String()
	default:
		out.Missing = harmless(awsapi.Explain(err, "looking for failures", source.Group).Error(), longestLine)
	}
	return out
}

// clip keeps what is looked through for secrets small; a line of Lambda's may have 256 KB.
func clip(s string) string {
	const most = 8 << 10
	if len(s) > most {
		return s[:most]
	}
	return s
}

// lastEvents returns the last events from one moment until before another, the oldest first; cut says that there were more than could be read.
func lastEvents(ctx context.Context, c *cloudwatchlogs.Client, source astern.LogSource, from, to time.Time) (last []types.FilteredLogEvent, cut bool, err error) {
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &source.Group, FilterPattern: &source.Pattern, StartTime: aws.Int64(from.UnixMilli()),
		EndTime: aws.Int64(to.UnixMilli() - 1), Limit: aws.Int32(eventsOfPage)}
	for range logPages {
		page, err := c.FilterLogEvents(ctx, in)
		if err != nil {
			return last, cut, err
		}
		last = append(last, page.Events...)
		slices.SortStableFunc(last, func(a, b types.FilteredLogEvent) int { return int(aws.ToInt64(a.Timestamp) - aws.ToInt64(b.Timestamp)) })
		if over := len(last) - mostLines; over > 0 {
			last, cut = slices.Clone(last[over:]), true
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return last, cut, nil
		}
	}
	return last, true, nil
}
