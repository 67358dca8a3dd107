package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/astern-dev/astern"
)

// maxFindings bounds a report; the first finding is where the log begins to be another one.
const maxFindings = 20

// Finding is one way in which a log is not what was written.
type Finding struct {
	Record   int64  `json:"record,omitempty"` // which record it is about, 0 when about none
	Line     int64  `json:"line,omitempty"`   // of the log
	What     string `json:"what"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
}

// Report is what verifying a log showed.
type Report struct {
	Log      string     `json:"log"` // its origin
	Records  int64      `json:"records"`
	Head     string     `json:"head,omitempty"` // hash of the last line
	From     *time.Time `json:"from,omitempty"`
	To       *time.Time `json:"to,omitempty"`
	Findings []Finding  `json:"findings"`
	More     int        `json:"more,omitempty"` // findings left out
	// Signed is how many records the log's own checkpoint covers, Copied how many the second place does.
	Signed int64 `json:"signed"`
	Copied int64 `json:"copied"`
	// Torn is how many bytes of a record that was never acknowledged lie at the end.
	Torn int64 `json:"torn,omitempty"`
	// Unproven says what could not be told.
	Unproven []string `json:"unproven,omitempty"`
}

// Sources are what a log is verified with.
type Sources struct {
	Log        io.Reader
	Key        note.Verifier
	Checkpoint []byte    // the log's own; nil when there is none
	Copied     io.Reader // the checkpoints of the second place, or one of them; nil when there are none
}

func (r *Report) find(f Finding) {
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, f)
}

// Verify reads a whole log and tells every change, cut, reorder and replay of it, each with its place. The error is that
// of reading. Whoever reads a log that is in use opens the checkpoints first: the log is never behind them.
func Verify(s Sources, each func(Record)) (Report, error) {
	r := Report{Log: s.Key.Name(), Findings: []Finding{}}
	var own checkpoint
	marks := map[int64]string{} // by size: the head that a checkpoint names
	if s.Checkpoint != nil {
		c, err := parseCheckpoint(s.Checkpoint, s.Key)
		if err != nil {
			r.find(Finding{What: "the log's own checkpoint does not count: " + err.Error()})
		} else {
			own, r.Signed, marks[c.size] = c, c.size, c.head
		}
	}
	if s.Copied != nil {
		if err := r.readCopied(s, marks); err != nil {
			return r, err
		}
	}
	if err := r.readLog(s, marks, own, each); err != nil {
		return r, err
	}
	if s.Checkpoint == nil && r.Records > 0 {
		r.find(Finding{Record: r.Records, What: "the log has records and no checkpoint of its own"})
	}
	for _, end := range []struct {
		size int64
		what string
	}{{r.Signed, "its own checkpoint"}, {r.Copied, "the second place"}} {
		if end.size > r.Records {
			r.find(Finding{Record: r.Records + 1, Line: r.Records + 1, What: "the log was cut: " + end.what + " has seen more",
				Expected: fmt.Sprintf("%d records", end.size), Found: fmt.Sprintf("%d", r.Records)})
		}
	}
	return r, nil
}

// readCopied reads the checkpoints of the second place: lines of them, or one as it was signed.
func (r *Report) readCopied(s Sources, marks map[int64]string) error {
	in := bufio.NewReader(s.Copied)
	if first, err := in.Peek(1); err == nil && first[0] != '{' {
		b, err := io.ReadAll(io.LimitReader(in, maxLine))
		if err != nil {
			return reading(err)
		}
		r.mark(b, 0, s.Key, marks)
		return nil
	}
	for n := int64(1); ; n++ {
		line, whole, err := readLine(in)
		if err != nil {
			return reading(err)
		}
		if len(line) == 0 && !whole {
			return nil
		}
		var one copied
		if err := json.Unmarshal(line, &one); err != nil {
			// A crash leaves a line without its end; so does nobody who wants to be believed.
			if !whole || !bytes.HasSuffix(line, []byte("}")) {
				continue
			}
			r.find(Finding{What: fmt.Sprintf("line %d of the second place is no checkpoint", n)})
			continue
		}
		r.mark([]byte(one.Checkpoint), n, s.Key, marks)
	}
}

// mark takes one checkpoint of the second place.
func (r *Report) mark(signed []byte, line int64, key note.Verifier, marks map[int64]string) {
	where := "the checkpoint of the second place"
	if line > 0 {
		where += fmt.Sprintf(" (its line %d)", line)
	}
	c, err := parseCheckpoint(signed, key)
	if err != nil {
		r.find(Finding{What: where + " does not count: " + err.Error()})
		return
	}
	if c.size < r.Copied {
		r.find(Finding{Record: c.size, What: where + " is older than the one before: the log was cut and went on",
			Expected: fmt.Sprintf("more than %d records", r.Copied), Found: fmt.Sprintf("%d", c.size)})
	}
	if head, ok := marks[c.size]; ok && head != c.head {
		r.find(Finding{Record: c.size, What: where + " and another one of the same size name two logs",
			Expected: head, Found: c.head})
	}
	marks[c.size] = c.head
	r.Copied = max(r.Copied, c.size)
}

// readLog reads every line.
func (r *Report) readLog(s Sources, marks map[int64]string, own checkpoint, each func(Record)) error {
	in := bufio.NewReaderSize(s.Log, 64<<10)
	before, want, n := hashOf([]byte(s.Key.Name())), int64(1), int64(0)
	sound := true // the line before
	for {
		line, whole, err := readLine(in)
		if err != nil {
			return reading(err)
		}
		if len(line) == 0 && !whole {
			return nil
		}
		n++
		rec, wrong := parse(line, s.Key)
		_, more := in.Peek(1)
		if (!whole || wrong != nil) && errors.Is(more, io.EOF) && want > max(own.size, r.Copied) {
			r.Torn = int64(len(line)) // nobody was told that it was written
			return nil
		}
		if wrong == nil && !whole {
			wrong = errors.New("its line break is gone")
		}
		switch {
		case wrong != nil && rec.Log != "" && originStart+rec.Log != s.Key.Name():
			r.find(Finding{Record: want, Line: n, What: "the line is of another log", Expected: s.Key.Name(), Found: originStart + rec.Log})
		case wrong != nil:
			r.find(Finding{Record: want, Line: n, What: "the line was changed: " + wrong.Error()})
		case rec.Seq < want:
			r.find(Finding{Record: rec.Seq, Line: n, What: "the record stands where it does not belong: it is repeated or moved",
				Expected: fmt.Sprintf("record %d", want), Found: fmt.Sprintf("record %d", rec.Seq)})
		case rec.Seq > want:
			r.find(Finding{Record: want, Line: n, What: "the record is missing here: it was removed or moved",
				Expected: fmt.Sprintf("record %d", want), Found: fmt.Sprintf("record %d", rec.Seq)})
		case sound && rec.Prev != before:
			r.find(Finding{Record: want, Line: n, What: "the record does not follow on the one before", Expected: before, Found: rec.Prev})
		}
		repeated := wrong == nil && rec.Seq < want
		sound = wrong == nil && rec.Seq == want
		if before = hashOf(line); wrong == nil && !repeated {
			want = rec.Seq
			if marks[want] != "" && marks[want] != before {
				r.find(Finding{Record: want, Line: n, What: "the record is another one than a checkpoint has seen", Expected: marks[want], Found: before})
			}
			if each != nil {
				each(rec)
			}
			at := rec.At
			if r.To = &at; r.From == nil {
				r.From = &at
			}
		}
		if !repeated {
			r.Records, r.Head = want, before
			want++
		}
	}
}

// readLine returns the next line without its break, and whether it has one; a line that is too long for a record comes in
// pieces, none of which is one.
func readLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	for len(line) <= maxLine {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], true, nil
		case errors.Is(err, io.EOF):
			return line, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
	return line, true, nil
}

func reading(err error) error {
	return &astern.Error{Code: codeOf(err), Doing: "reading the audit log", Cause: err}
}

// Elsewhere are the parts of a log that do not lie in the state folder; "" takes those of the state folder and the copy.
type Elsewhere struct {
	Log, Key, Checkpoints string // files
}

// VerifyFolder verifies the log of a state folder, or another one's by its files.
func VerifyFolder(state string, c Copy, other Elsewhere, each func(Record)) (Report, error) {
	folder := filepath.Join(state, Folder)
	if other.Log != "" {
		folder = filepath.Dir(other.Log)
	} else {
		other.Log = filepath.Join(folder, logFile)
	}
	if other.Key == "" {
		other.Key = filepath.Join(folder, publicFile)
	}
	b, err := os.ReadFile(other.Key)
	if err != nil {
		return Report{}, &astern.Error{Code: codeOf(err), Doing: "reading the key of the audit log", Cause: err,
			Hint: "--key names the public key; a state folder has a log after its first change"}
	}
	origin, err := originOf(other.Log)
	if err != nil {
		return Report{}, reading(err)
	}
	s := Sources{}
	if s.Key, err = ParseKey(b, origin); err != nil {
		return Report{}, err
	}
	var unproven []string
	name := other.Checkpoints
	if name == "" {
		name = c.File(s.Key)
	}
	if name != "" {
		f, err := os.Open(name)
		switch {
		case err == nil:
			defer f.Close() // opened for reading only
			s.Copied = f
		case other.Checkpoints != "":
			return Report{}, reading(err)
		default:
			unproven = append(unproven, "whether its end was cut: the second place can't be read: "+err.Error())
		}
	} else {
		unproven = append(unproven, "whether somebody who has its key wrote it anew: no second place was asked")
	}
	// The checkpoint's file is replaced by the next Append, the log only grows: the older checkpoint fits the newer log.
	s.Checkpoint, err = os.ReadFile(filepath.Join(folder, checkpointFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Report{}, reading(err)
	}
	f, err := os.Open(other.Log)
	if errors.Is(err, fs.ErrNotExist) && (s.Checkpoint != nil || s.Copied != nil) {
		s.Log = bytes.NewReader(nil) // a log that is gone is one that was cut
	} else if err != nil {
		return Report{}, reading(err)
	} else {
		defer f.Close() // opened for reading only
		s.Log = f
	}
	r, err := Verify(s, each)
	if s.Copied != nil && r.Copied < r.Records {
		unproven = append(unproven, fmt.Sprintf("records %d to %d: the second place has not seen them", r.Copied+1, r.Records))
	}
	r.Unproven = unproven
	return r, err
}

// originOf returns the origin that the first line of a log names, "" when there is none.
func originOf(name string) (string, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close() // opened for reading only
	line, _, err := readLine(bufio.NewReader(f))
	var r Record
	if err != nil || json.Unmarshal(line, &r) != nil {
		return "", err
	}
	return originStart + r.Log, nil
}

// Read calls each with every record of the state folder's log in order, without judging them. There are none before the
// first change. Lines that are no records are left out.
func Read(state string, each func(line []byte, r Record) error) error {
	f, err := os.Open(filepath.Join(state, Folder, logFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return reading(err)
	}
	defer f.Close() // opened for reading only
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		line, whole, err := readLine(in)
		if err != nil {
			return reading(err)
		}
		if !whole {
			return nil // the end, or what was never acknowledged
		}
		var r Record
		if json.Unmarshal(line, &r) != nil {
			continue
		}
		if err := each(line, r); err != nil {
			return err
		}
	}
}
