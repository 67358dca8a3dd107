package lab

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// pass lets so much of the lab's time go by.
func (a *account) later(d time.Duration) {
	a.t.Helper()
	if _, err := a.Step(a.t.Context(), d); err != nil {
		a.t.Fatal(err)
	}
}

// ecsSetup gives scripts a cluster and functions for what all of them need.
const ecsSetup = `
import hashlib
ecs, ecr, iam, logs = client("ecs"), client("ecr"), client("iam"), client("logs")
registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com/"
network = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}
def image(tag, **annotations):
    try: ecr.create_repository(repositoryName="api")
    except ecr.exceptions.RepositoryAlreadyExistsException: pass
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"tag": tag}, "annotations": annotations})
    return ecr.put_image(repositoryName="api", imageTag=tag, imageManifest=manifest)["image"]["imageId"]["imageDigest"]
def define(image, family="api", **more):
    container = dict({"name": "app", "image": image, "essential": True}, **more.pop("container", {}))
    return ecs.register_task_definition(family=family, requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512",
        containerDefinitions=[container], **more)["taskDefinition"]["taskDefinitionArn"]
def service(**more):
    return ecs.create_service(**dict(dict(cluster="shop", serviceName="api", taskDefinition="api", desiredCount=2, launchType="FARGATE",
        networkConfiguration=network), **more))["service"]
def look(): return ecs.describe_services(cluster="shop", services=["api"])["services"][0]
def rows(): return [(d["status"], d["taskDefinition"].split("/")[-1], d["desiredCount"], d["runningCount"], d["pendingCount"], d["rolloutState"]) for d in look()["deployments"]]
def stopped():
    arns = ecs.list_tasks(cluster="shop", serviceName="api", desiredStatus="STOPPED")["taskArns"]
    return ecs.describe_tasks(cluster="shop", tasks=arns)["tasks"] if arns else []
def wait(name, **args):
    return refused(lambda: client("ecs").get_waiter(name).wait(WaiterConfig={"Delay": 0, "MaxAttempts": 2}, **args))
`

// "ECS deployments (two during a rollout, task counts, events, steady state …)", seen by boto3 and its waiters.
func TestECSServiceRolls(t *testing.T) {
	a := start(t)
	a.wantPython("PROVISIONING [('PRIMARY', 'api:1', 2, 0, 2, 'IN_PROGRESS')] WaiterError", ecsSetup+`
ecs.create_cluster(clusterName="shop")
one = image("1"); image("2")
define(registry + "api:1"); define(registry + "api:2")
service(taskDefinition="api:1")
t = ecs.describe_tasks(cluster="shop", tasks=ecs.list_tasks(cluster="shop")["taskArns"])["tasks"]
print(t[0]["lastStatus"], rows(), wait("services_stable", cluster="shop", services=["api"]))`)
	a.later(5 * time.Second)
	a.wantPython(`
not refused not refused 2
[('PRIMARY', 'api:2', 2, 0, 2, 'IN_PROGRESS'), ('ACTIVE', 'api:1', 2, 2, 0, 'COMPLETED')]
{'activeServicesCount': 1, 'pendingTasksCount': 2, 'runningTasksCount': 2}`, ecsSetup+`
tasks = ecs.list_tasks(cluster="shop", serviceName="api")["taskArns"]
print(wait("services_stable", cluster="shop", services=["api"]), wait("tasks_running", cluster="shop", tasks=tasks), len(tasks))
ecs.update_service(cluster="shop", service="api", taskDefinition="api:2")
print(rows())
c = ecs.describe_clusters(clusters=["shop"])["clusters"][0]
print({k: c[k] for k in sorted(c) if k.endswith("Count") and c[k]})`)
	a.later(10 * time.Second)
	a.wantPython(`
not refused [('PRIMARY', 'api:2', 2, 2, 0, 'COMPLETED')]
['has reached a steady state.', 'deployment completed.', 'has stopped 2', 'has started 2', 'has reached a steady state.', 'deployment completed.', 'has started 2']
['ServiceSchedulerInitiated', 'ServiceSchedulerInitiated'] [143, 143]
['SUCCESSFUL', 'SUCCESSFUL'] ['api:2', 'api:1'] True 1
[]`, ecsSetup+`
import re
print(wait("services_stable", cluster="shop", services=["api"]), rows())
print([re.search(r"has reached a steady state.|deployment completed.|has \w+ \d", e["message"]).group() for e in look()["events"]])
print([t["stopCode"] for t in stopped()], [t["containers"][0]["exitCode"] for t in stopped()])
brief = ecs.list_service_deployments(cluster="shop", service="api")["serviceDeployments"]
revisions = ecs.describe_service_revisions(serviceRevisionArns=[b["targetServiceRevisionArn"] for b in brief])["serviceRevisions"]
full = ecs.describe_service_deployments(serviceDeploymentArns=[brief[0]["serviceDeploymentArn"]])["serviceDeployments"][0]
digests = [i["imageDigest"] for r in revisions for i in r["containerImages"]]
print([b["status"] for b in brief], [r["taskDefinition"].split("/")[-1] for r in revisions],
    digests == [i["imageDigest"] for tag in "21" for i in ecr.describe_images(repositoryName="api", imageIds=[{"imageTag": tag}])["imageDetails"]],
    len(full["sourceServiceRevisions"]))
print(ecs.list_service_deployments(cluster="shop", service="api", status=["IN_PROGRESS"])["serviceDeployments"])`)
	if out := a.aws("ecs", "wait", "services-stable", "--cluster", "shop", "--services", "api"); out != "" {
		t.Errorf("the command line waits: %s", out)
	}
	a.aws("ecs", "update-service", "--cluster", "shop", "--service", "api", "--desired-count", "0")
	a.later(5 * time.Second)
	a.wantPython(`
409 ...
DRAINING or INACTIVE True
not refused
[] MISSING`, ecsSetup+`
print("409 ..." if "ClusterContainsServices" in refused(lambda: ecs.delete_cluster(cluster="shop")) else "the cluster is gone")
print("DRAINING or INACTIVE", ecs.delete_service(cluster="shop", service="api")["service"]["status"] in ("DRAINING", "INACTIVE"))
print(wait("services_inactive", cluster="shop", services=["api"]))
print(ecs.list_services(cluster="shop")["serviceArns"], ecs.describe_services(cluster="shop", services=["nobody"])["failures"][0]["reason"])`)
}

// "images that don't start, task definitions set INACTIVE": each with the reason that AWS gives, and the circuit breaker
// takes the service back each time.
func TestECSTasksThatDontStart(t *testing.T) {
	for name, c := range map[string]struct{ setup, want string }{
		"image deleted": {`
image("2"); define(registry + "api:2"); ecr.batch_delete_image(repositoryName="api", imageIds=[{"imageTag": "2"}])`,
			"TaskFailedToStart CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref 123456789012.dkr.ecr.us-east-1.amazonaws.com/api:2: 123456789012.dkr.ecr.us-east-1.amazonaws.com/api:2: not found"},
		"digest never pushed": {`define(registry + "api@sha256:" + "0" * 64)`, "TaskFailedToStart CannotPullContainerError: "},
		"no such repository":  {`define(registry + "nobody:1")`, "TaskFailedToStart CannotPullContainerError: "},
		"image crashes":       {`image("2", LAB_EXIT="3"); define(registry + "api:2")`, "EssentialContainerExited Essential container in task exited 3"},
		"environment crashes": {`define(registry + "api:1", container={"environment": [{"name": "LAB_EXIT", "value": "137"}]})`, "EssentialContainerExited Essential container in task exited 137"},
		"label crashes":       {`define(registry + "api:1", container={"dockerLabels": {"LAB_EXIT": "1"}})`, "EssentialContainerExited Essential container in task exited 1"},
		"secret is gone": {`define(registry + "api:1", container={"secrets": [{"name": "DB", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"}]})`,
			"TaskFailedToStart ResourceInitializationError: unable to pull secrets or registry auth: "},
		"parameter is gone": {`define(registry + "api:1", container={"secrets": [{"name": "DB", "valueFrom": "/shop/db"}]})`,
			"TaskFailedToStart ResourceInitializationError: unable to pull secrets or registry auth: "},
		"log group is gone": {`define(registry + "api:1", container={"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/shop/api", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "api"}}})`,
			"TaskFailedToStart ResourceInitializationError: failed to validate logger args: "},
		"role is gone": {`define(registry + "api:1", executionRoleArn="arn:aws:iam::123456789012:role/nobody")`, "no task"},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t)
			a.python(ecsSetup + `
ecs.create_cluster(clusterName="shop")
image("1"); define(registry + "api:1")
service(taskDefinition="api:1", deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}})`)
			a.later(5 * time.Second)
			a.python(ecsSetup + c.setup + "\necs.update_service(cluster='shop', service='api', taskDefinition='api:2')")
			a.later(time.Minute)
			got := a.python(ecsSetup + `
bad = [t for t in stopped() if t["taskDefinitionArn"].endswith("api:2")]
print(bad[0]["stopCode"], bad[0]["stoppedReason"], *[c["exitCode"] for c in bad[0]["containers"] if "exitCode" in c]) if bad else print("no task")
s = look()
print(rows(), wait("services_stable", cluster="shop", services=["api"]))
d = ecs.describe_service_deployments(serviceDeploymentArns=[ecs.list_service_deployments(cluster="shop", service="api")["serviceDeployments"][0]["serviceDeploymentArn"]])["serviceDeployments"][0]
print(d["status"], d["statusReason"], d["deploymentCircuitBreaker"], d["rollback"]["reason"])
print(*sorted({e["message"].split(") ", 1)[1].split("(error")[-1][:36] for e in s["events"] if "launch" in e["message"] or "rolling back" in e["message"] or "failed" in e["message"]}), sep="; ")`)
			lines := strings.Split(got, "\n")
			if !strings.HasPrefix(lines[0], c.want) {
				t.Errorf("the task says\n%s\nwant\n%s", lines[0], c.want)
			}
			want := "[('PRIMARY', 'api:1', 2, 2, 0, 'COMPLETED')] not refused\n" +
				"ROLLBACK_SUCCESSFUL ECS deployment circuit breaker: tasks failed to start. {'status': 'TRIGGERED', 'failureCount': 3, 'threshold': 3} ECS deployment circuit breaker: tasks failed to start."
			if g := strings.Join(lines[1:3], "\n"); g != want && name != "role is gone" && !strings.Contains(g, "'failureCount': 4") {
				t.Errorf("got\n%s\nwant\n%s", g, want)
			}
			if !strings.Contains(lines[3], "rolling back to deployment ecs-svc/") || name == "role is gone" && !strings.Contains(lines[3], "ECS was unable to assume the role") {
				t.Errorf("events: %s", lines[3])
			}
		})
	}
}

// What the last words of a failing task were is in its log group.
func TestECSFailingTasksLog(t *testing.T) {
	a := start(t)
	a.python(ecsSetup + `
ecs.create_cluster(clusterName="shop"); logs.create_log_group(logGroupName="/shop/api")
image("1", LAB_EXIT="1", LAB_LOG="panic: no database"); define(registry + "api:1", container={"logConfiguration": {"logDriver": "awslogs",
    "options": {"awslogs-group": "/shop/api", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "api"}}})
service(desiredCount=1)`)
	a.later(3 * time.Second)
	a.wantPython("['panic: no database'] True", ecsSetup+`
events = logs.filter_log_events(logGroupName="/shop/api")["events"]
print([e["message"] for e in events], events[0]["logStreamName"] == "api/app/" + stopped()[0]["taskArn"].split("/")[-1])`)
}

// Version consistency: a tag that moves in the middle changes nothing for the revision that is deployed, until a new
// deployment is forced.
func TestECSTagsAreResolvedOnce(t *testing.T) {
	a := start(t)
	a.python(ecsSetup + `
ecs.create_cluster(clusterName="shop"); image("latest"); define(registry + "api:latest"); service(desiredCount=1)`)
	a.later(5 * time.Second)
	a.python(ecsSetup + `
image("latest", moved="yes")
ecs.update_service(cluster="shop", service="api", desiredCount=2)`)
	a.later(5 * time.Second)
	const digests = ecsSetup + `
print(len({t["containers"][0]["imageDigest"] for t in ecs.describe_tasks(cluster="shop", tasks=ecs.list_tasks(cluster="shop")["taskArns"])["tasks"]}),
  ecr.describe_images(repositoryName="api", imageIds=[{"imageTag": "latest"}])["imageDetails"][0]["imageDigest"] in
  [t["containers"][0]["imageDigest"] for t in ecs.describe_tasks(cluster="shop", tasks=ecs.list_tasks(cluster="shop")["taskArns"])["tasks"]])`
	a.wantPython("1 False", digests)
	a.python(ecsSetup + `ecs.update_service(cluster="shop", service="api", forceNewDeployment=True)`)
	a.later(10 * time.Second)
	a.wantPython("1 True", digests)
}

func TestECSRefusals(t *testing.T) {
	a := start(t)
	a.wantPython(`
400 ClusterNotFoundException: Cluster not found.
400 ClientException: TaskDefinition not found.
400 ClientException: TaskDefinition is inactive
400 ClientException: TaskDefinition is inactive
400 ClientException: TaskDefinition not found.
400 ServiceNotFoundException: Service not found.
400 InvalidParameterException: Creation of service was not idempotent.
True
400 InvalidParameterException: Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.
400 InvalidParameterException: Network Configuration must be provided when networkMode 'awsvpc' is specified.
400 InvalidParameterException: The service cannot be stopped while it is scaled above 0.
400 ServiceDeploymentNotFoundException: Service deployment not found.
400 InvalidParameterException: The service deployment can't be rolled back because there is no completed service deployment to roll back to.
501 LabNotImplemented: The lab has no deployment strategy BLUE_GREEN for ecs:UpdateService.
501 LabNotImplemented: The lab has no deploymentController CODE_DEPLOY for ecs:CreateService.
INACTIVE True api:3`, ecsSetup+`
image("1")
print(refused(lambda: service()))
ecs.create_cluster(clusterName="shop")
print(refused(lambda: service(taskDefinition="nobody")))
for i in range(3): define(registry + "api:1")
ecs.deregister_task_definition(taskDefinition="api:2")
print(refused(lambda: service(taskDefinition="api:2")))
service(taskDefinition="api:1")
up = lambda **more: ecs.update_service(cluster="shop", **dict({"service": "api"}, **more))
print(refused(lambda: up(taskDefinition="api:2")))
print(refused(lambda: up(taskDefinition="api:9")))
print(refused(lambda: up(service="nobody")))
print(refused(lambda: service(taskDefinition="api:1", desiredCount=3)))
print(service(taskDefinition="api:1")["serviceArn"] == look()["serviceArn"])
print(refused(lambda: up(deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 100})))
print(refused(lambda: service(serviceName="other", networkConfiguration=None) if False else ecs.create_service(cluster="shop", serviceName="other", taskDefinition="api:1", desiredCount=1, launchType="FARGATE")))
print(refused(lambda: ecs.delete_service(cluster="shop", service="api")))
arn = look()["currentServiceDeployment"]
print(refused(lambda: ecs.stop_service_deployment(serviceDeploymentArn=arn + "x")))
print(refused(lambda: ecs.stop_service_deployment(serviceDeploymentArn=arn)))
print(refused(lambda: up(deploymentConfiguration={"strategy": "BLUE_GREEN"})))
print(refused(lambda: service(serviceName="other", deploymentController={"type": "CODE_DEPLOY"})))
td = ecs.describe_task_definition(taskDefinition="api:2")["taskDefinition"]
print(td["status"], td["deregisteredAt"] > td["registeredAt"], ecs.describe_task_definition(taskDefinition="api")["taskDefinition"]["taskDefinitionArn"].split("/")[-1])`)
}

// StopServiceDeployment takes a rollout back that nothing else would.
func TestECSDeploymentStopped(t *testing.T) {
	a := start(t)
	a.python(ecsSetup + `
ecs.create_cluster(clusterName="shop"); image("1"); define(registry + "api:1"); define(registry + "api:missing"); service(taskDefinition="api:1")`)
	a.later(5 * time.Second)
	a.python(ecsSetup + `ecs.update_service(cluster="shop", service="api", taskDefinition="api:2")`)
	a.later(30 * time.Second)
	a.python(ecsSetup + `ecs.stop_service_deployment(serviceDeploymentArn=look()["currentServiceDeployment"], stopType="ROLLBACK")`)
	a.later(10 * time.Second)
	a.wantPython(`
[('PRIMARY', 'api:1', 2, 2, 0, 'COMPLETED')] ROLLBACK_SUCCESSFUL
400 ConflictException: The service deployment cannot be stopped because its status is ROLLBACK_SUCCESSFUL.`, ecsSetup+`
last = ecs.list_service_deployments(cluster="shop", service="api")["serviceDeployments"][0]
print(rows(), last["status"])
print(refused(lambda: ecs.stop_service_deployment(serviceDeploymentArn=last["serviceDeploymentArn"])))`)
}

// A task that somebody stops is replaced, and tags and pages work as for moto's own.
func TestECSTasksTagsPages(t *testing.T) {
	a := start(t)
	a.python(ecsSetup + `
ecs.create_cluster(clusterName="shop"); image("1"); define(registry + "api:1"); service(tags=[{"key": "team", "value": "shop"}])`)
	a.later(5 * time.Second)
	a.wantPython(`
UserInitiated by hand STOPPED
{'stage': 'prod'} [{'key': 'stage', 'value': 'prod'}]
3 3 ['MISSING']`, ecsSetup+`
arns = ecs.list_tasks(cluster="shop")["taskArns"]
t = ecs.stop_task(cluster="shop", task=arns[0], reason="by hand")["task"]
print(t["stopCode"], t["stoppedReason"], t["desiredStatus"])
arn = look()["serviceArn"]
ecs.tag_resource(resourceArn=arn, tags=[{"key": "stage", "value": "prod"}]); ecs.untag_resource(resourceArn=arn, tagKeys=["team"])
print({t["key"]: t["value"] for t in ecs.list_tags_for_resource(resourceArn=arn)["tags"]}, ecs.describe_services(cluster="shop", services=["api"], include=["TAGS"])["services"][0]["tags"])
for n in ("a", "b"): service(serviceName=n)
pages = list(ecs.get_paginator("list_services").paginate(cluster="shop", PaginationConfig={"PageSize": 1}))
print(len(pages), len({a for p in pages for a in p["serviceArns"]}), [f["reason"] for f in ecs.describe_tasks(cluster="shop", tasks=["0" * 32])["failures"]])`)
	a.later(5 * time.Second)
	a.wantPython("2 not refused", ecsSetup+`print(look()["runningCount"], wait("services_stable", cluster="shop", services=["api"]))`)
}

// moto's Application Auto Scaling finds the service.
func TestECSServiceCanBeScaled(t *testing.T) {
	a := start(t)
	a.wantPython("['service/shop/api'] 1 2", ecsSetup+`
ecs.create_cluster(clusterName="shop"); image("1"); define(registry + "api:1"); service()
scaling = client("application-autoscaling")
scaling.register_scalable_target(ServiceNamespace="ecs", ResourceId="service/shop/api", ScalableDimension="ecs:service:DesiredCount", MinCapacity=1, MaxCapacity=4)
c = ecs.describe_clusters(clusters=["shop"])["clusters"][0]
print([t["ResourceId"] for t in scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]], c["activeServicesCount"], c["pendingTasksCount"])`)
}

// Many at once: nobody waits for ever, and what they see adds up.
func TestECSConcurrently(t *testing.T) {
	a := start(t)
	a.python(ecsSetup + `ecs.create_cluster(clusterName="shop"); image("1"); define(registry + "api:1"); define(registry + "api:1"); service(); service(serviceName="other")`)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				call := []string{"UpdateService", "DescribeServices", "ListTasks", "DescribeClusters"}[(i+j)%4]
				body := map[string]string{"UpdateService": fmt.Sprintf(`{"cluster": "shop", "service": "api", "taskDefinition": "api:%d"}`, j%2+1),
					"DescribeServices": `{"cluster": "shop", "services": ["api", "other"]}`, "ListTasks": `{"cluster": "shop"}`, "DescribeClusters": `{"clusters": ["shop"]}`}[call]
				q, _ := http.NewRequest("POST", a.URL, strings.NewReader(body))
				q.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113."+call)
				q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0")
				r, err := http.DefaultClient.Do(q)
				if err != nil {
					t.Error(err)
					return
				}
				if r.Body.Close(); r.StatusCode != 200 {
					t.Errorf("%s: %s", call, r.Status)
				}
				if i == 0 {
					a.later(3 * time.Second)
				}
			}
		})
	}
	all.Wait()
	a.later(time.Minute)
	a.wantPython("not refused 2 2", ecsSetup+`print(wait("services_stable", cluster="shop", services=["api", "other"]), look()["runningCount"], len(ecs.list_tasks(cluster="shop", serviceName="api")["taskArns"]))`)
}

// With EC2 there must be an instance.
func TestECSNeedsInstances(t *testing.T) {
	a := start(t)
	a.wantPython("True 0", ecsSetup+`
ecs.create_cluster(clusterName="shop"); image("1")
ecs.register_task_definition(family="api", containerDefinitions=[{"name": "app", "image": registry + "api:1", "memory": 64}])
ecs.create_service(cluster="shop", serviceName="api", taskDefinition="api", desiredCount=1)
print("was unable to place a task because no container instance met all of its requirements" in look()["events"][0]["message"], len(look()["deployments"][0]) and look()["pendingCount"])`)
}
