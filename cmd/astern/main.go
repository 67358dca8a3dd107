// Command astern brings systems back. It only wires: the command line is internal/cli, the state a SQLite file.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/astern-dev/astern/internal/cli"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

func main() { os.Exit(run()) }

// run runs the command line. The first signal asks it to stop, a second one ends it at once.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	// A reader that went away must not kill us in the middle of a rollback: writing to it fails instead.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return cli.Program{Open: open}.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
}

// open opens the state folder, for reading only without changing anything in it.
func open(ctx context.Context, folder string, readOnly bool) (cli.Store, error) {
	if readOnly {
		return sqlite.OpenReadOnly(ctx, folder)
	}
	return sqlite.Open(ctx, folder)
}
