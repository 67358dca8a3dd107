package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/astern-dev/astern/internal/awsapi/awstest"
	"github.com/astern-dev/astern/internal/lab"
)

// services runs a lab until the script ends, whose clock goes fifty times as fast as ours, with these services of ECS in the
// cluster main. Each ran its task definition 1, of the image v1, and runs 2, of v2. Those whose name begins with "frail-" ran
// 1 for a moment only: its tasks don't start, and their circuit breaker takes a deployment back.
func services(ts *testscript.TestScript, neg bool, names []string) {
	if neg {
		ts.Fatalf("services can't be negated")
	}
	l := laboratory(ts)
	_, err := ecs.NewFromConfig(clientOptions(ts)).CreateCluster(context.Background(), &ecs.CreateClusterInput{ClusterName: aws.String("main")})
	ts.Check(err)
	for _, name := range names {
		ts.Check(served(ts, l, name, nil))
	}
	hurry(ts, l)
}

// laboratory runs a lab until the script ends, which the script's programs take for AWS.
func laboratory(ts *testscript.TestScript) *lab.Lab {
	if _, err := exec.LookPath("moto_server"); err != nil && os.Getenv("CI") != "true" {
		ts.Fatalf("moto_server is not on PATH: install moto 5.2 (pip install 'moto[server]')")
	}
	moto, err := lab.StartMoto(context.Background()) // init looks for components of every kind
	ts.Check(err)
	ts.Defer(func() { moto.Stop() })
	l, err := lab.New(moto.URL, 1, nil)
	ts.Check(err)
	server := httptest.NewServer(l)
	labsMu.Lock()
	labs[server.URL] = l
	labsMu.Unlock()
	ts.Defer(func() {
		server.Close()
		l.Close()
	})
	for _, pair := range append(awstest.Environment(ts.MkAbs(".")), "AWS_ENDPOINT_URL="+server.URL) {
		if key, value, _ := strings.Cut(pair, "="); key != "AWS_SECRET_ACCESS_KEY" { // that is a canary already
			ts.Setenv(key, value)
		}
	}
	return l
}

// hurry has the lab's clock go fifty times as fast as ours until the script ends.
func hurry(ts *testscript.TestScript, l *lab.Lab) {
	ctx, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		every := time.NewTicker(100 * time.Millisecond)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				_, _ = l.Step(ctx, 5*time.Second)
			}
		}
	})
	ts.Defer(func() {
		stop()
		wait.Wait()
	})
}

// served makes a service, whose tasks have a role where one is given.
func served(ts *testscript.TestScript, l *lab.Lab, name string, role *string) error {
	ctx, c, registry := context.Background(), ecs.NewFromConfig(clientOptions(ts)), ecr.NewFromConfig(clientOptions(ts))
	if _, err := registry.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name}); err != nil {
		return err
	}
	for i, tag := range []string{"v1", "v2"} {
		how := map[string]string{"n": tag}
		if i == 0 && strings.HasPrefix(name, "frail-") {
			how["LAB_EXIT"] = "3"
		}
		manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "annotations": how})
		if err != nil {
			return err
		}
		if _, err := registry.PutImage(ctx, &ecr.PutImageInput{RepositoryName: &name, ImageTag: &tag, ImageManifest: aws.String(string(manifest))}); err != nil {
			return err
		}
		_, err = c.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{Family: &name, ExecutionRoleArn: role, Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc,
			RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate}, ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("app"),
				Image:       aws.String(lab.Account + ".dkr.ecr.eu-central-1.amazonaws.com/" + name + ":" + tag),
				Environment: []types.KeyValuePair{{Name: aws.String("DB_PASSWORD"), Value: aws.String(variable)}}}}})
		if err != nil {
			return err
		}
	}
	_, err := c.CreateService(ctx, &ecs.CreateServiceInput{Cluster: aws.String("main"), ServiceName: &name, TaskDefinition: aws.String(name + ":1"), DesiredCount: aws.Int32(2),
		LaunchType: types.LaunchTypeFargate, NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}},
		DeploymentConfiguration: &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true}}})
	if err != nil {
		return err
	}
	if _, err := l.Step(ctx, time.Minute); err != nil {
		return err
	}
	if _, err := c.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("main"), Service: &name, TaskDefinition: aws.String(name + ":2")}); err != nil {
		return err
	}
	_, err = l.Step(ctx, time.Minute)
	return err
}

// serves demands that a service runs one task definition, with two tasks, and that nothing is left beside it.
func serves(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("serves SERVICE TASK-DEFINITION")
	}
	out, err := ecs.NewFromConfig(clientOptions(ts)).DescribeServices(context.Background(), &ecs.DescribeServicesInput{Cluster: aws.String("main"), Services: []string{args[0], args[0] + "-astern"}})
	ts.Check(err)
	var got []string
	for _, s := range out.Services {
		if aws.ToString(s.Status) != "INACTIVE" {
			for _, d := range s.Deployments {
				definition := aws.ToString(d.TaskDefinition)
				got = append(got, fmt.Sprintf("%s %d", definition[strings.LastIndex(definition, "/")+1:], d.RunningCount))
			}
		}
	}
	if want := args[1] + " 2"; strings.Join(got, ", ") != want {
		ts.Fatalf("it serves %v, want %s", got, want)
	}
}
