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

// Exit codes of the scripts; every other one but 0 is a fault.
const (
	exitNoLock   = 80 // neither flock nor perl
	exitFence    = 81 // a newer fence was here
	exitChanged  = 82 // the world is not as expected
	exitBusy     = 83 // the lock of the root is held
	exitMissing  = 84 // the folder does not exist
	exitNotALink = 85 // something else is where the link should be
	exitNoWrite  = 86 // nothing could be written; nothing was done
	exitHalf     = 87 // the last part failed; nothing is left of it
	exitInFlight = 88 // another command of the instance is running
	exitClaimed  = 89 // an execution that has not ended is there
	exitOutside  = 90 // a path leads out of the root
	exitNotOurs  = 91 // the lock file belongs to another login
)

// script returns the command that runs the script of that name with the arguments.
func script(name string, args ...string) host.Command {
	return host.Command{Argv: append([]string{"sh", "-c", scriptText(name), "astern"}, args...)}
}

func scriptText(name string) string {
	var text strings.Builder
	for _, part := range []string{"lib", name} {
		b, err := scriptFiles.ReadFile("scripts/" + part + ".sh")
		if err != nil {
			panic(err) // the scripts are part of the program
		}
		text.Write(b)
	}
	return text.String()
}

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
	if text := oneLine(r.LastLines(5)); text != "" {
		return text
	}
	return fmt.Sprintf("exit code %d", r.ExitCode)
}
