package host

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/astern-dev/astern"
)

//go:embed scripts/claim.sh scripts/release.sh
var claimScripts embed.FS

// claimTimeout bounds one claim, or its release, on a machine.
const claimTimeout = 30 * time.Second

// Lock is a lock file that remembers who acts in its place: .astern.lock in a folder, or FILE.astern/lock beside a file.
type Lock struct {
	Machine Machine
	// Host names the machine, for a person.
	Host   string
	Folder string
	// File is that of the folder which is claimed; "" where the folder is.
	File string
}

// Claim writes into the lock file that the execution acts there: see astern.Claimer. There is what the file said when the
// facts were read, the zero Claim where it said nothing.
func (l Lock) Claim(ctx context.Context, mine, there astern.Claim, over []string) error {
	line, err := claimLine(mine)
	if err != nil {
		return err
	}
	return l.run(ctx, "claim", append([]string{l.Folder, l.File, strconv.FormatInt(mine.Fence, 10), line, mine.Owner,
		fmt.Sprintf("%d %s", there.Fence, there.Owner)}, over...)...)
}

// Release writes into the lock file that the execution has ended, where the claim is still its own.
func (l Lock) Release(ctx context.Context, mine astern.Claim) error {
	mine.Open = false
	line, err := claimLine(mine)
	if err != nil {
		return err
	}
	return l.run(ctx, "release", l.Folder, l.File, strconv.FormatInt(mine.Fence, 10), line, mine.Owner)
}

// OnePlace claims components that have no members, each of which is one place with the lock file that it returns: an astern.Claimer.
type OnePlace func(c astern.Component) (Lock, error)

// Claim claims the place, which is that of the empty name.
func (lock OnePlace) Claim(ctx context.Context, c astern.Component, mine astern.Claim, seen map[string]astern.Claim, over []string) error {
	l, err := lock(c)
	if err != nil {
		return err
	}
	return l.Claim(ctx, mine, seen[""], over)
}

// Release writes into the lock file that the execution has ended.
func (lock OnePlace) Release(ctx context.Context, c astern.Component, mine astern.Claim, _ []string) error {
	l, err := lock(c)
	if err != nil {
		return err
	}
	return l.Release(ctx, mine)
}

// CallLine is what a step writes into the lock file of its place where no claim of its execution stands, at that time.
func CallLine(call astern.Call, now time.Time) (string, error) {
	return claimLine(astern.Claim{Fence: call.Fence, Execution: call.Execution, Address: call.Address, At: now.UTC().Truncate(time.Second),
		Owner: call.Owner, Open: call.Owner != ""})
}

// place is what is claimed, for a person.
func (l Lock) place() string {
	if l.File == "" {
		return l.Folder
	}
	return strings.TrimSuffix(l.Folder, "/") + "/" + l.File
}

// path is that of the lock file.
func (l Lock) path() string {
	if l.File == "" {
		return l.place() + "/.astern.lock"
	}
	return l.place() + ".astern/lock"
}

// run runs a script that claims or releases, and words its refusal.
func (l Lock) run(ctx context.Context, name string, args ...string) error {
	doing := fmt.Sprintf("claiming %s on %s", l.place(), l.Host)
	c := Script(claimScripts, name, args...)
	c.Timeout = claimTimeout
	r, err := l.Machine.Run(ctx, c)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	who := lastLine(r)
	switch r.ExitCode {
	case 0:
		return nil
	case exitClaimed:
		return astern.Errorf(astern.Conflict, "%s: it is held by %s, of another state folder, which has not ended", doing, Holder(who)).
			WithHint("see how it goes where it was started; if it will not go on: the same command with --take-over, and it can't act here any more")
	case ExitFence:
		refused := astern.Errorf(astern.Conflict, "%s: another execution was there since: %s", doing, Holder(who))
		if !json.Valid([]byte(who)) {
			return refused.WithHint("no astern wrote that: look at %s on %s, and take it away if nobody acts there", l.path(), l.Host)
		}
		return refused.WithHint("make a new plan")
	case ExitBusy:
		return astern.Errorf(astern.Unavailable, "%s: its lock is held, and it says: %s", doing, Holder(who))
	case ExitNoLock:
		return astern.Errorf(astern.Invalid, "%s: %s", doing, who).WithHint("install util-linux on %s", l.Host)
	case ExitOutside:
		return astern.Errorf(astern.Refused, "%s: %s", doing, who).WithHint("remove the link: astern writes nowhere but below %s", l.Folder)
	case ExitNotOurs:
		return NotOurs(doing, who, l.place(), l.File == "", l.Host)
	case ExitNoWrite, 2: // 2 is a shell that could not open a file
		return astern.Errorf(astern.Denied, "%s: nothing could be written: %s", doing, orCode(who, r)).
			WithHint("is the disk of %s full, and may the login write below %s?", l.Host, l.Folder)
	}
	return astern.Errorf(astern.Internal, "%s: %s", doing, orCode(who, r))
}

func orCode(who string, r Result) string {
	if who != "" {
		return who
	}
	return fmt.Sprintf("exit code %d", r.ExitCode)
}

// lastLine is what a script said last, fit for an error.
func lastLine(r Result) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(r.LastLines(1)), "?"))
	if len(text) > 600 { // a lock file has room for 511
		text = strings.ToValidUTF8(text[:600], "") + "…"
	}
	return text
}

// NotOurs words ExitNotOurs: who is the last line that the script said. Inside is true of a folder which the lock file is in.
func NotOurs(doing, who, place string, inside bool, name string) error {
	kept := place + ".astern*"
	if inside {
		kept = place + "/.astern*"
	}
	return astern.Errorf(astern.Denied, "%s: nothing could be written: %s", doing, who).
		WithHint("use one login for %s on %s, or let its owner open what astern keeps there to a group of both: chmod -R g+rwX %s", place, name, kept)
}

// Holder words the content of a lock file.
func Holder(content string) string {
	var there astern.Claim
	if json.Unmarshal([]byte(content), &there) != nil {
		return content
	}
	by := ""
	if there.By != "" {
		by = " by " + there.By
	}
	return fmt.Sprintf("%s of %s with fence %d at %s%s", there.Execution, there.Address, there.Fence, there.At.Format(time.RFC3339), by)
}

// claimLine is the claim as one line of the lock file, which has room for 511 bytes.
func claimLine(c astern.Claim) (string, error) {
	c.By = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, c.By)
	c.By = c.By[:min(len(c.By), 100)]
	line, err := json.Marshal(c)
	if err != nil {
		return "", astern.Errorf(astern.Internal, "encoding the claim: %w", err)
	}
	return string(line), nil
}
