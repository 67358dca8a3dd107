// Command account makes the system of examples/rastup in the lab that AWS_ENDPOINT_URL names, and writes the astern.yaml for it into
// a folder. With -bad the bad release goes out as well.
//
//	astern lab up && . .astern-lab/env
//	go run ./examples/rastup/cmd/account
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/examples/rastup"
	"github.com/astern-dev/astern/examples/rastup/account"
	"github.com/astern-dev/astern/internal/proc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	folder := flag.String("dir", "rastup-lab", "folder for the astern.yaml")
	source := flag.String("source", ".", "folder of astern's source code")
	bad := flag.Bool("bad", false, "the bad release goes out, too")
	flag.Parse()
	if err := run(ctx, *folder, *source, *bad); err != nil {
		fmt.Fprintln(os.Stderr, "account:", err)
		if hint := astern.HintOf(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
		}
		os.Exit(astern.ExitCode(err))
	}
}

func run(ctx context.Context, folder, source string, bad bool) error {
	a, err := account.Make(ctx, os.Getenv("AWS_ENDPOINT_URL"), source)
	if err == nil && bad {
		err = a.Release(ctx)
	}
	if err != nil {
		return err
	}
	declared := rastup.Lab{URL: a.URL, Distribution: a.Distribution, Login: proc.Self().User}
	text, err := declared.Declaration()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(folder, rastup.AuditCopy), 0o755); err != nil {
		return astern.Errorf(astern.Internal, "making the folders: %w", err)
	}
	file := filepath.Join(folder, "astern.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return astern.Errorf(astern.Internal, "writing astern.yaml: %w", err)
	}
	fmt.Printf(`the account in %s holds, in %s:
  service    %s in %s and rastup-staging: %s:1 (%s), %s:2 (%s) runs
  function   %s: version 1 (%s), 2 (%s), archives in s3://rastup-artifacts
  front end  s3://%s behind %s/
  flags      %s/%s/%s
  secret     %s
  parameter  %s

next  cd %s && astern init && astern check
`, a.URL, rastup.Region, account.Service, account.Cluster, account.Service, account.Older, account.Service, account.Good,
		account.Function, account.Older, account.Good, account.Bucket, declared.Edge(), account.Application, account.Environment, account.Profile,
		account.Secret, account.Parameter, folder)
	if bad {
		fmt.Printf("%s is out: the function fails, the page is empty, and the flag %s is on\n", account.Bad, account.Flag)
	}
	return nil
}
