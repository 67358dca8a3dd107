package main

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/astern-dev/astern/internal/awsapi/awstest"
)

// account runs an emulated account until the script ends. Each function has the versions 1 and 2, described as v1 and v2, a secret
// among its variables, and the alias live on the second.
func account(ts *testscript.TestScript, neg bool, functions []string) {
	if neg {
		ts.Fatalf("account can't be negated")
	}
	_, stop, url := begin(ts)
	ts.Defer(stop)
	for _, pair := range append(awstest.Environment(ts.MkAbs(".")), "AWS_ENDPOINT_URL="+url) {
		if key, value, _ := strings.Cut(pair, "="); key != "AWS_SECRET_ACCESS_KEY" { // that is a canary already
			ts.Setenv(key, value)
		}
	}
	for _, name := range functions {
		ts.Check(deployed(ts, name))
	}
}

func begin(ts *testscript.TestScript) (*awstest.Account, func(), string) {
	if !awstest.Here() {
		if os.Getenv("CI") == "true" {
			ts.Fatalf("moto_server is not on PATH")
		}
		ts.Fatalf("moto_server is not on PATH: install moto 5.2 (pip install 'moto[server]')")
	}
	folder, err := os.MkdirTemp(ts.MkAbs("."), "moto-")
	ts.Check(err)
	a, stop, err := awstest.Begin(folder)
	ts.Check(err)
	return a, stop, a.URL
}

// clientOptions are those of the SDK's clients for the script's account.
func clientOptions(ts *testscript.TestScript) aws.Config {
	return aws.Config{Region: "eu-central-1", BaseEndpoint: aws.String(ts.Getenv("AWS_ENDPOINT_URL")),
		Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "test", "")}
}

// deployed makes a function.
func deployed(ts *testscript.TestScript, name string) error {
	ctx, c := context.Background(), lambda.NewFromConfig(clientOptions(ts))
	role, err := iam.NewFromConfig(clientOptions(ts)).CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String("{}")})
	if err != nil {
		return err
	}
	for i, version := range []string{"v1", "v2"} {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f, err := w.Create("main.py")
		if err != nil {
			return err
		}
		fmt.Fprintf(f, "def handler(event, context):\n    return %q\n", version)
		if err := w.Close(); err != nil {
			return err
		}
		if i == 0 {
			_, err = c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: &name, Role: role.Role.Arn, Runtime: types.RuntimePython313,
				Handler: aws.String("main.handler"), Code: &types.FunctionCode{ZipFile: b.Bytes()},
				Environment: &types.Environment{Variables: map[string]string{"DB_PASSWORD": variable}}})
		} else {
			_, err = c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: b.Bytes()})
		}
		if err != nil {
			return err
		}
		if _, err = c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &name, Description: &version}); err != nil {
			return err
		}
	}
	_, err = c.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &name, Name: aws.String("live"), FunctionVersion: aws.String("2")})
	return err
}

// alias demands what the alias live of a function leads to.
func alias(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("alias FUNCTION VERSION")
	}
	out, err := lambda.NewFromConfig(clientOptions(ts)).GetAlias(context.Background(), &lambda.GetAliasInput{FunctionName: &args[0], Name: aws.String("live")})
	ts.Check(err)
	if got := aws.ToString(out.FunctionVersion); got != args[1] || out.RoutingConfig != nil && len(out.RoutingConfig.AdditionalVersionWeights) > 0 {
		ts.Fatalf("the alias leads to %s with the shares %+v, want %s", got, out.RoutingConfig, args[1])
	}
}
