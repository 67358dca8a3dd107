package hostservice

import (
	"context"
	"embed"
	"fmt"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

//go:embed scripts/*.sh
var scriptFiles embed.FS

// Exit codes of this driver's scripts, beside those that all share.
const (
	exitNotALink = 85 // something else is where the link should be
	exitInFlight = 88 // another command of the instance is running
)

// script returns the command that runs the script of that name with the arguments.
func script(name string, args ...string) host.Command { return host.Script(scriptFiles, name, args...) }

// fields is one record of a script's output.
type fields [4]string

// records splits a script's output.
func records(out string) ([]fields, error) {
	parts := strings.Split(out, "\x00")
	if len(parts)%4 != 1 {
		return nil, fmt.Errorf("the answer was cut off")
	}
	var all []fields
	for i := 0; i+4 <= len(parts); i += 4 {
		all = append(all, fields(parts[i:i+4]))
	}
	return all, nil
}

// ask runs a script that only reads, and returns its records.
func ask(ctx context.Context, m host.Machine, doing string, timeout time.Duration, c host.Command) ([]fields, error) {
	c.Timeout, c.Keep = timeout, 8<<20
	r, err := m.Run(ctx, c)
	if err != nil {
		return nil, err
	}
	if r.ExitCode != 0 {
		return nil, astern.Errorf(astern.Internal, "%s: %s", doing, orCode(r))
	}
	if r.Truncated {
		return nil, astern.Errorf(astern.Internal, "%s: the host answered more than %d MB", doing, c.Keep>>20)
	}
	all, err := records(r.Stdout)
	if err != nil {
		return nil, astern.Errorf(astern.Internal, "%s: %w", doing, err)
	}
	return all, nil
}

// orCode returns what a command printed last, or its exit code when it printed nothing.
func orCode(r host.Result) string {
	if text := said(r.LastLines(5)); text != "" {
		return text
	}
	return fmt.Sprintf("exit code %d", r.ExitCode)
}
