package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/astern-dev/astern"
)

// person returns the terminal at which somebody can answer.
func (s *session) person() (*os.File, bool) {
	f, ok := s.stdin.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// canAsk refuses at once where nobody could answer a question later.
func (s *session) canAsk() error {
	if _, ok := s.person(); ok {
		return nil
	}
	return astern.Errorf(astern.Invalid, "there is no terminal to ask at, and no --yes: nothing was changed").
		WithHint("--yes answers, --dry-run only shows the plan")
}

// askFor asks the person to type a word. Anything else ends the command with nothing changed.
func (s *session) askFor(ctx context.Context, word, why string) error {
	f, ok := s.person()
	if !ok {
		return s.canAsk()
	}
	if _, err := fmt.Fprintf(s.stderr, "type %s %s: ", word, why); err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	typed, err := readLine(ctx, f)
	if err != nil {
		return err
	}
	if typed != word {
		return astern.Errorf(astern.Invalid, "%q is not %s: nothing was changed", typed, word)
	}
	return nil
}

// readLine reads what a person types, and stops when ctx ends: it reads only when there is something.
func readLine(ctx context.Context, f *os.File) (string, error) {
	var line []byte
	for {
		if ctx.Err() != nil {
			return "", astern.Errorf(astern.Interrupted, "interrupted: nothing was changed")
		}
		ready, err := readable(int(f.Fd()))
		if err != nil {
			return "", astern.Errorf(astern.Internal, "reading the answer: %w", err)
		}
		if !ready {
			continue
		}
		var b [1]byte
		if n, err := f.Read(b[:]); n == 0 || err != nil {
			return "", astern.Errorf(astern.Invalid, "there was no answer: nothing was changed")
		}
		switch {
		case b[0] == '\n', b[0] == '\r':
			return strings.TrimSpace(string(line)), nil
		case len(line) < 1000:
			line = append(line, b[0])
		}
	}
}

// readable waits a moment for something to read.
func readable(fd int) (bool, error) {
	var set unix.FdSet
	set.Set(fd)
	wait := unix.NsecToTimeval((100 * time.Millisecond).Nanoseconds())
	n, err := unix.Select(fd+1, &set, nil, nil, &wait)
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, err
}
