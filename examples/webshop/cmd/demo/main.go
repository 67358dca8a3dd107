// Command demo tells stories of a small web shop in which something goes wrong and astern brings it back, with real processes
// and no cloud. Exit codes: 0 all stories ended well, 1 one did not, 2 wrong usage, 130 interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o demo.Options
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.Astern, "astern", "bin/astern", "the astern program")
	fs.StringVar(&o.Work, "work", "", "folder to work in (default: a new temporary one)")
	fs.StringVar(&o.Source, "source", "", "astern's source code (default: looked for from here upwards)")
	fs.StringVar(&o.Reports, "reports", "", "folder for the reports of incidents (default: build/demo in astern's source code)")
	fs.BoolVar(&o.Keep, "keep", false, "leave the work folder")
	asJSON := fs.Bool("json", false, "print one JSON document instead; the timeline goes to stderr")
	switch err := fs.Parse(args); {
	case err == flag.ErrHelp:
		return 0
	case err != nil:
		return 2
	case fs.NArg() > 0:
		fmt.Fprintf(stderr, "demo: unexpected argument %q\n", fs.Arg(0))
		return 2
	}
	o.Timeline = stdout
	if *asJSON {
		o.Timeline = stderr
	}
	report, err := demo.Run(ctx, o)
	if len(report.Stories) > 0 {
		write := report.WriteTable
		if *asJSON {
			write = report.WriteJSON
		}
		if e := write(stdout); e != nil && err == nil {
			err = e
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		if hint := astern.HintOf(err); hint != "" {
			fmt.Fprintln(stderr, hint)
		}
		return astern.ExitCode(err)
	}
	if !report.OK() {
		return 1
	}
	return 0
}
