package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/proof"
)

// TestDamagedState damages a state folder at random and opens it in both ways. Whoever opens it must get a clear error, and
// find no file changed, or read what was there.
func TestDamagedState(t *testing.T) {
	t.Setenv("TMPDIR", QuickFolder())
	first, count := proof.Seeds(t, 15)
	clean, unmerged, foreign := damagedOriginals(t)
	figures := map[string]float64{}
	for seed := first; seed < first+count; seed++ {
		random := rand.New(rand.NewPCG(seed, 4))
		original := clean
		if random.IntN(2) == 0 {
			original = unmerged
		}
		for name, damage := range damages {
			t.Run(fmt.Sprint(name, " ", seed), func(t *testing.T) {
				files := maps.Clone(original.files)
				damage(random, files, foreign.files)
				for how, open := range map[string]func(context.Context, string) (*Store, error){"for reading": OpenReadOnly, "for writing": Open} {
					openDamaged(t, how, open, files, original.has, figures)
				}
			})
		}
	}
	proof.Figures(t, figures)
}

// damages are the ways in which files break. They change the map and the slices in it only by putting new ones.
var damages = map[string]func(random *rand.Rand, files, foreign map[string][]byte){
	"cut off": func(random *rand.Rand, files, _ map[string][]byte) {
		name := anyOf(random, files)
		files[name] = files[name][:random.IntN(len(files[name]))]
	},
	"garbage pages": func(random *rand.Rand, files, _ map[string][]byte) {
		name := anyOf(random, files)
		b := bytes.Clone(files[name])
		for range 1 + random.IntN(3) {
			from := random.IntN(len(b)) / 4096 * 4096
			for i := from; i < min(from+4096, len(b)); i++ {
				b[i] = byte(random.Uint32())
			}
		}
		files[name] = b
	},
	"header zeroed": func(random *rand.Rand, files, _ map[string][]byte) {
		name := anyOf(random, files)
		files[name] = append(make([]byte, 100), files[name][100:]...)
	},
	"log of another store": func(_ *rand.Rand, files, foreign map[string][]byte) {
		files[fileName+"-wal"] = foreign[fileName+"-wal"]
	},
	"log missing": func(_ *rand.Rand, files, _ map[string][]byte) { delete(files, fileName+"-wal") },
	"database missing": func(_ *rand.Rand, files, foreign map[string][]byte) {
		delete(files, fileName)
		files[fileName+"-wal"] = foreign[fileName+"-wal"]
	},
	"newer": func(_ *rand.Rand, files, _ map[string][]byte) {
		files[fileName] = bytes.Clone(files[fileName])
		files[fileName][63] = 99 // the last byte of the schema's number
		delete(files, fileName+"-wal")
	},
}

func anyOf(random *rand.Rand, files map[string][]byte) string {
	if random.IntN(2) == 0 && len(files[fileName+"-wal"]) > 0 {
		return fileName + "-wal"
	}
	return fileName
}

// original is a state folder before it is damaged.
type original struct {
	files map[string][]byte
	has   model
}

func damagedOriginals(t *testing.T) (clean, unmerged, foreign original) {
	for i, o := range []*original{&clean, &unmerged, &foreign} {
		folder, ctx := t.TempDir(), t.Context()
		s, err := Open(ctx, folder)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 30 + 10*i {
			hash := fmt.Sprintf("plan-%03d-%d", n, i)
			err2 := s.PutPlan(ctx, hash, bytes.Repeat([]byte(hash), 100), at)
			_, _, err3 := s.CreateExecution(ctx, astern.Execution{PlanHash: hash, CreatedAt: at, Addresses: []string{hash}}, 0)
			fence, err4 := s.Take(ctx, idOf(int64(n+1)), astern.Runner{Host: "h", PID: 1}, func(astern.Runner) bool { return false }, 0, at)
			err5 := s.Append(ctx, idOf(int64(n+1)), fence, astern.Record{At: at, Kind: astern.RecordRound, Text: strings.Repeat(hash, 200)})
			if err := errors.Join(err2, err3, err4, err5); err != nil {
				t.Fatal(err)
			}
			if n == 10 { // the rest is in the log alone
				if _, err := s.db.Exec(`PRAGMA wal_checkpoint(truncate)`); err != nil {
					t.Fatal(err)
				}
			}
		}
		if o.has, err = read(ctx, s.db); err != nil {
			t.Fatal(err)
		}
		if i == 0 && s.Close() != nil {
			t.Fatal("close")
		}
		o.files = filesOf(t, folder)
		s.Close()
	}
	return clean, unmerged, foreign
}

// filesOf reads the files of a folder but the index of the log.
func filesOf(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	names, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, n := range names {
		if files[n.Name()], err = os.ReadFile(filepath.Join(folder, n.Name())); err != nil {
			t.Fatal(err)
		}
	}
	delete(files, fileName+"-shm")
	return files
}

func openDamaged(t *testing.T, how string, open func(context.Context, string) (*Store, error), files map[string][]byte, had model, figures map[string]float64) {
	folder := t.TempDir()
	put(t, folder, files)
	s, err := open(t.Context(), folder)
	if err != nil {
		figures["refused"]++
		if code := astern.CodeOf(err); astern.HintOf(err) == "" || code != astern.Invalid && code != astern.Internal && code != astern.Refused ||
			!strings.Contains(err.Error(), folder) {
			t.Errorf("opened %s: unclear: %v (%s; %s)", how, err, code, astern.HintOf(err))
		}
		if !maps.EqualFunc(files, filesOf(t, folder), bytes.Equal) {
			t.Errorf("opened %s: refused, and files changed (%v)", how, err)
		}
		return
	}
	defer s.Close()
	got, err := read(t.Context(), s.db)
	if err != nil || got["integrity"] != "" {
		figures["found_when_read"]++
		return
	}
	figures["read"]++
	for key, value := range got { // what is read was written; the end may be missing where a log is cut off
		if key == "fence" || strings.HasPrefix(key, "execution ") {
			continue
		}
		if had[key] != value {
			t.Errorf("opened %s: %s is %.60q, it was %.60q", how, key, value, had[key])
		}
	}
}
