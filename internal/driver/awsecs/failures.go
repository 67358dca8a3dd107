package awsecs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/secret"
)

// failure is a task that ended although nobody wanted it to. ECS shows stopped tasks for an hour.
type failure struct {
	id, definition string
	at             time.Time
	why            string
	task           types.Task
}

// Bounds of what is looked at, and of what is shown of a log.
const (
	stoppedMost = 100
	linesMost   = 3
	wordsMost   = 300
)

// askFailures returns the tasks of a service that failed lately, the last first.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
func (c cloud) askFailures(ctx context.Context, service string) ([]failure, error) {
	doing := "reading the stopped tasks of " + service
	list, err := c.ecs.ListTasks(ctx, &ecs.ListTasksInput{Cluster: &c.Cluster, ServiceName: &service, DesiredStatus: types.DesiredStatusStopped, MaxResults: aws.Int32(stoppedMost)})
	if err != nil {
		return nil, awsapi.Explain(err, doing, "task/"+c.Cluster+"/*")
	}
	if len(list.TaskArns) == 0 {
		return nil, nil
	}
	tasks, err := c.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &c.Cluster, Tasks: list.TaskArns})
	if err != nil {
		return nil, awsapi.Explain(err, doing, "task/"+c.Cluster+"/*")
	}
	var out []failure
	for _, t := range tasks.Tasks {
		if why, failed := whyFailed(t); failed {
			arn := aws.ToString(t.TaskArn)
			out = append(out, failure{id: arn[strings.LastIndex(arn, "/")+1:], definition: aws.ToString(t.TaskDefinitionArn), at: stoppedAt(t), why: why, task: t})
		}
	}
	slices.SortFunc(out, func(a, b failure) int { return cmp.Or(b.at.Compare(a.at), strings.Compare(a.id, b.id)) })
	return out, nil
}

func stoppedAt(t types.Task) time.Time {
	for _, at := range []*time.Time{t.StoppedAt, t.StoppingAt, t.CreatedAt} {
		if at != nil {
			return *at
		}
	}
	return time.Time{}
}

// whyFailed tells a task that failed from one that was stopped because it was not needed any more.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
func whyFailed(t types.Task) (why string, failed bool) {
	why = awsapi.OneLine(aws.ToString(t.StoppedReason))
	switch t.StopCode {
	case types.TaskStopCodeTaskFailedToStart:
		return why, true
	case types.TaskStopCodeServiceSchedulerInitiated:
		return why, strings.Contains(why, "failed") // health checks of a container or a load balancer
	case types.TaskStopCodeEssentialContainerExited:
		for _, c := range t.Containers {
			if c.ExitCode != nil {
				why += fmt.Sprintf("; %s ended with %d", aws.ToString(c.Name), *c.ExitCode)
			}
		}
		return why, true
	}
	return why, false
}

// lastWords returns the end of the log of a task's containers, "" where there is none or it can't be read.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
func (c cloud) lastWords(ctx context.Context, f failure, d types.TaskDefinition) string {
	var out []string
	for _, container := range d.ContainerDefinitions {
		l := container.LogConfiguration
		if l == nil || l.LogDriver != types.LogDriverAwslogs || l.Options["awslogs-stream-prefix"] == "" {
			continue
		}
		stream := l.Options["awslogs-stream-prefix"] + "/" + aws.ToString(container.Name) + "/" + f.id
		events, err := logsIn(c.config, l.Options["awslogs-region"]).GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: aws.String(l.Options["awslogs-group"]), LogStreamName: &stream, Limit: aws.Int32(linesMost), StartFromHead: aws.Bool(false)})
		if err != nil {
			continue // a task that never started has no log; why it failed is known without it
		}
		var lines []string // together, for a key has several
		for _, e := range events.Events {
			lines = append(lines, aws.ToString(e.Message))
		}
		for line := range strings.SplitSeq(secret.Mask(strings.Join(lines, "\n")), "\n") {
			out = append(out, awsapi.OneLine(line))
		}
	}
	return shorten(strings.Join(out, " / "))
}

func shorten(s string) string {
	if len(s) > wordsMost {
		return strings.ToValidUTF8(s[:wordsMost], "") + "…"
	}
	return s
}

// tell words the failures of one definition: how many, the last one's reason, and its last words.
func (c cloud) tell(ctx context.Context, failures []failure, d types.TaskDefinition) string {
	mine := slices.DeleteFunc(slices.Clone(failures), func(f failure) bool { return f.definition != aws.ToString(d.TaskDefinitionArn) })
	if len(mine) == 0 {
		return ""
	}
	text := fmt.Sprintf("%d of its tasks failed, the last at %s: %s", len(mine), mine[0].at.UTC().Format("15:04:05Z"), mine[0].why)
	if words := c.lastWords(ctx, mine[0], d); words != "" {
		text += fmt.Sprintf("; it said: %s", words)
	}
	return text
}
