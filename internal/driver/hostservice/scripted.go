package hostservice

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// scripted reads a machine by the fixed scripts.
type scripted struct{ host.Machine }

// Limits of one run of a script that reads many folders.
const (
	batch    = 50
	keepHash = 8 << 20
	keepList = 64 << 20
)

// batchTimeout bounds a run for n folders, each of which may take timeout: not all of them are slow.
func batchTimeout(timeout time.Duration, n int) time.Duration {
	return timeout + time.Duration(n-1)*timeout/10
}

// look reads a release root.
func (r scripted) look(ctx context.Context, l layout, names []string, history int) (sight, error) {
	args := append([]string{l.root, l.releases, strconv.Itoa(history)}, linkPaths(l, names)...)
	all, err := ask(ctx, r, "looking at "+l.root, readTimeout, script("look", args...))
	if err != nil {
		return sight{}, err
	}
	return seen(l, all)
}

// hash hashes the folders, many with one run.
func (r scripted) hash(ctx context.Context, folders []string, timeout time.Duration) []hashed {
	out := make([]hashed, len(folders))
	for from := 0; from < len(folders); from += batch {
		to := min(from+batch, len(folders))
		if err := r.hashBatch(ctx, folders[from:to], timeout, out[from:to]); err != nil {
			for i := from; i < len(out); i++ { // the machine can't be asked: the others need not be tried
				out[i] = hashed{exists: true, err: err}
			}
			break
		}
	}
	return out
}

// hashBatch hashes folders with one run, and each by itself when the answer to all is not complete. The error says that
// the machine could not be asked at all.
func (r scripted) hashBatch(ctx context.Context, folders []string, timeout time.Duration, out []hashed) error {
	c := script("hash", folders...)
	c.Timeout, c.Keep = batchTimeout(timeout, len(folders)), keepHash
	answer, err := r.Run(ctx, c)
	if err != nil && (ctx.Err() != nil || !errors.Is(err, host.ErrMayHaveRun)) {
		return err
	}
	var all []fields
	if err == nil {
		all, err = records(answer.Stdout)
		switch {
		case answer.ExitCode != 0:
			err = hashTrouble(folders[0], orCode(answer))
		case err != nil:
			err = hashTrouble(folders[0], err.Error())
		}
	}
	parts := byFolder(all)
	for i, folder := range folders {
		part, ok := parts[folder]
		switch {
		case err == nil && ok:
			out[i] = hashedOf(folder, part)
		case len(folders) > 1:
			if err := r.hashBatch(ctx, folders[i:i+1], timeout, out[i:i+1]); err != nil {
				return err
			}
		case err != nil:
			out[i] = hashed{exists: true, err: err}
		default:
			out[i] = hashed{exists: true, err: hashTrouble(folder, "the host gave no hash")}
		}
	}
	return nil
}

// byFolder splits the records of hash.sh; a folder without an end is left out.
func byFolder(all []fields) map[string][]fields {
	out := map[string][]fields{}
	at, from := "", 0
	for i, f := range all {
		switch f[0] {
		case "at":
			at, from = f[1], i+1
		case "end":
			out[at] = all[from : i+1]
		}
	}
	return out
}

// hashedOf reads the records of one folder.
func hashedOf(folder string, all []fields) hashed {
	none := func(err error) hashed { return hashed{exists: true, err: err} }
	end := all[len(all)-1]
	switch trouble := oneLine(end[2]); {
	case end[1] == strconv.Itoa(host.ExitMissing):
		return hashed{}
	case end[1] != "0" && trouble == "":
		return none(hashTrouble(folder, "exit code "+end[1]))
	case trouble != "":
		return none(hashTrouble(folder, trouble))
	}
	real, hash := folder, ""
	for _, f := range all {
		switch f[0] {
		case "oddname":
			return none(oddName(f[1]))
		case "special":
			return none(noPlainFile(f[1]))
		case "folder":
			real = f[1]
		case "link":
			if leadsOut(real, f[1], f[2], f[3]) {
				return none(linkOut(f[1]))
			}
		case "hash":
			hash = f[1]
		}
	}
	if len(hash) != 64 {
		return none(hashTrouble(folder, "the host gave no hash"))
	}
	return hashed{hash: "sha256:" + hash, exists: true}
}

// list lists the folders, many with one run. Where that is not possible the listings are empty.
func (r scripted) list(ctx context.Context, folders []string, _ map[string]kept, timeout time.Duration) []listing {
	out := make([]listing, len(folders))
	for from := 0; from < len(folders); from += batch {
		to := min(from+batch, len(folders))
		if !r.listBatch(ctx, folders[from:to], timeout, out[from:to]) {
			break
		}
	}
	return out
}

// listBatch lists folders with one run, and halves of them by themselves when one of them can't be listed. It reports
// whether the machine can list at all.
func (r scripted) listBatch(ctx context.Context, folders []string, timeout time.Duration, out []listing) bool {
	c := script("list", folders...)
	c.Timeout, c.Keep = timeout, keepList
	answer, err := r.Run(ctx, c)
	if err != nil || strings.Contains(answer.Stderr, "-printf") {
		return false
	}
	if answer.ExitCode != 0 || answer.Truncated || answer.Stderr != "" {
		half := len(folders) / 2
		return half == 0 || r.listBatch(ctx, folders[:half], timeout, out[:half]) && r.listBatch(ctx, folders[half:], timeout, out[half:])
	}
	all, err := records(answer.Stdout)
	if err != nil || len(all) == 0 {
		return false
	}
	began, err := strconv.ParseInt(all[0][1], 10, 64)
	if err != nil {
		return false
	}
	parts := map[string][]entry{}
	for _, f := range all[1:] {
		e, ok := listed(f)
		if !ok {
			return false
		}
		parts[f[0]] = append(parts[f[0]], e)
	}
	for i, folder := range folders {
		if entries := parts[folder]; len(entries) > 0 {
			out[i] = listingOf(entries, time.Unix(began, 0))
		}
	}
	return true
}

// listed reads one record of list.sh.
func listed(f fields) (entry, bool) {
	e := entry{path: f[1], kind: f[2]}
	words := strings.Fields(f[3])
	if len(words) != 5 {
		return e, false
	}
	var errs [5]error
	e.mode, errs[0] = strconv.ParseUint(words[0], 8, 64)
	e.size, errs[1] = strconv.ParseUint(words[1], 10, 64)
	e.modified, errs[2] = fraction(words[2])
	e.meta, errs[3] = fraction(words[3])
	e.inode, errs[4] = strconv.ParseUint(words[4], 10, 64)
	return e, errors.Join(errs[:]...) == nil
}

// fraction reads seconds with a fraction, exact to the nanosecond.
func fraction(text string) (time.Time, error) {
	whole, part, _ := strings.Cut(text, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	nsec, err := strconv.ParseInt((part + "000000000")[:9], 10, 64)
	if err != nil || strings.HasPrefix(whole, "-") && nsec > 0 {
		return time.Time{}, astern.Errorf(astern.Invalid, "%q is no time of a file", text)
	}
	return time.Unix(sec, nsec), nil
}
