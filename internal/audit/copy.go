package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sys/unix"
)

// copyWait bounds a command that takes a checkpoint.
const copyWait = 10 * time.Second

// Copy is the second place of checkpoints: a folder, best on another machine's disk, or a command that is given each one on
// its standard input. With neither there is none.
type Copy struct {
	Folder  string
	Command []string
	Dir     string // where the command runs
}

// copied is one line of the file in the second place, which is only added to.
type copied struct {
	Checkpoint string `json:"checkpoint"`
}

// seen is what the second place knows.
type seen struct {
	checkpoint checkpoint // size 0 when it knows nothing
	err        error      // why that can't be told
}

// File returns the file of the log's checkpoints in the second place, "" when that is no folder.
func (c Copy) File(key note.Verifier) string {
	if c.Folder == "" {
		return ""
	}
	return filepath.Join(c.Folder, strings.ReplaceAll(key.Name(), "/", "-")+".checkpoints")
}

// last reads the newest checkpoint of the second place. A last line that is torn does not count.
func (c Copy) last(key note.Verifier) seen {
	name := c.File(key)
	if name == "" {
		return seen{}
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return seen{}
	}
	if err != nil {
		return seen{err: err}
	}
	defer f.Close() // opened for reading only
	info, err := f.Stat()
	if err != nil {
		return seen{err: err}
	}
	for end, tries := info.Size(), 0; end > 0 && tries < 2; tries++ {
		line, start, err := lastLine(f, end)
		if err != nil {
			return seen{err: err}
		}
		if whole, complete := bytes.CutSuffix(line, []byte("\n")); complete {
			one, err := parseCopied(whole, key)
			if err == nil {
				return seen{checkpoint: one}
			}
			if tries > 0 {
				return seen{err: fmt.Errorf("the last checkpoint in %s does not count: %w", name, err)}
			}
		}
		end = start
	}
	return seen{}
}

func parseCopied(line []byte, key note.Verifier) (checkpoint, error) {
	var one copied
	if err := json.Unmarshal(line, &one); err != nil {
		return checkpoint{}, errors.New("it is no line of checkpoints")
	}
	return parseCheckpoint([]byte(one.Checkpoint), key)
}

// add brings a checkpoint to the second place.
func (c Copy) add(ctx context.Context, key note.Verifier, signed []byte) error {
	if len(c.Command) > 0 {
		return c.run(ctx, signed)
	}
	name := c.File(key)
	if name == "" {
		return nil
	}
	line, err := json.Marshal(copied{string(signed)})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > 0 { // what a crash left torn gets a line of its own
		end := make([]byte, 1)
		if _, err = f.ReadAt(end, info.Size()-1); err == nil && end[0] != '\n' {
			line = append([]byte("\n"), line...)
		}
	}
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil && info.Size() == 0 {
		err = syncFolder(c.Folder)
	}
	return err
}

// run gives a checkpoint to the command. Of astern's environment it has what is needed to run programs, and no more.
func (c Copy) run(ctx context.Context, signed []byte) error {
	ctx, cancel := context.WithTimeout(ctx, copyWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Dir, cmd.Stdin, cmd.WaitDelay = c.Dir, bytes.NewReader(signed), time.Second
	for _, name := range []string{"PATH", "HOME", "LANG", "SSH_AUTH_SOCK"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("%s: %w", c.Command[0], err)
	}
	return nil
}
