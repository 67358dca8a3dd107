// Package audit keeps the log of who did what to which plan and execution: JSON lines that are only ever added, each
// chained to the one before by its hash and signed, with a signed checkpoint of the head, which is copied to a second
// place. A chain alone lets whoever may write the file write all of it anew; a signature stops those without the key, and
// the second place shows what was cut or replaced by those who have it.
//
// A record is on the disk before Append returns, and whoever appends asks first and acts afterwards: what can't be written
// is not done. The forms are RFC 8785 (canonical JSON), ed25519 (RFC 8032), C2SP's signed note and the three lines of its
// tlog-checkpoint (c2sp.org/signed-note, c2sp.org/tlog-checkpoint; the third is the head of a chain here, not the root of a
// tree), DSSE and in-toto's Statement v1 for evidence.
//
// Reading order: audit.go (a record), key.go, log.go (Append), checkpoint.go, copy.go, verify.go, evidence.go.
package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/canonical"
)

// What is what a record tells.
type What string

// The records. They stand before what they tell of; Failed follows when it then was not done.
const (
	Planned  What = "plan"        // a plan was made and kept
	Approved What = "approve"     // a person approved a plan
	Rejected What = "reject"      // a person rejected a plan
	Refused  What = "refuse"      // something asked for was refused: Text says why
	Started  What = "start"       // a plan became an execution
	Taken    What = "take"        // a process carries the execution out
	Ended    What = "end"         // it ended: Outcome, and Journal
	Ledger   What = "ledger"      // an event of the ledger: Event
	Latched  What = "latch"       // a revision may not be deployed again
	Released What = "release"     // its latch was released
	Said     What = "say"         // a person's word to an execution: Event says which
	Incident What = "incident"    // what a person or the watch did with an incident: Event
	Overrode What = "break-glass" // a plan goes over the policy's head: Text says over what
	Reviewed What = "review"      // somebody else has looked at that
	Failed   What = "not done"    // what record Of tells was not done: Text says why
)

// Record is one line of the log. Seq, Log, Prev, Dropped and Sig are set by Append.
type Record struct {
	Log       string         `json:"log"` // the log's id
	Seq       int64          `json:"seq"` // from 1, without gaps
	At        time.Time      `json:"at"`
	By        string         `json:"by"`             // who
	Host      string         `json:"host,omitempty"` // on which machine
	What      What           `json:"what"`
	Event     string         `json:"event,omitempty"` // of ledger events and persons' words: which
	Plan      string         `json:"plan,omitempty"`  // its hash
	Verb      astern.Verb    `json:"verb,omitempty"`  // what the plan is for
	Execution string         `json:"execution,omitempty"`
	Incident  string         `json:"incident,omitempty"`
	Addresses []string       `json:"addresses,omitempty"` // the first ones; the plan has all
	More      int            `json:"more,omitempty"`      // how many addresses are left out
	Revision  string         `json:"revision,omitempty"`
	Step      string         `json:"step,omitempty"`
	Fence     int64          `json:"fence,omitempty"`
	Outcome   astern.Outcome `json:"outcome,omitempty"`
	Reason    string         `json:"reason,omitempty"`
	Text      string         `json:"text,omitempty"`
	Journal   *Journal       `json:"journal,omitempty"` // of an execution that ended
	Of        int64          `json:"of,omitempty"`      // the record that a Failed one is about
	// Dropped is how many bytes of a record that was never acknowledged lay behind the one before.
	Dropped int64  `json:"dropped,omitempty"`
	Prev    string `json:"prev"`          // SHA-256 of the line before; of the first one, of the log's origin
	Sig     string `json:"sig,omitempty"` // ed25519 of the record without it, in base64
}

// Journal is what an execution's journal was when it ended.
type Journal struct {
	Records int64  `json:"records"`
	Hash    string `json:"hash"`
}

// Bounds of what one record holds.
const (
	maxAddresses = 20
	maxText      = 4_000   // bytes
	maxLine      = 1 << 20 // bytes; what is longer is no record
)

// recordContext keeps a record's signature from being one of anything else.
const recordContext = "astern-audit-record@v1\n"

// Chain makes the hash of a journal record by record: each is chained to the one before.
type Chain struct {
	records int64
	head    [sha256.Size]byte
}

// NewChain returns the chain of an empty journal.
func NewChain() *Chain { return &Chain{head: sha256.Sum256(nil)} }

// Add chains the next record.
func (c *Chain) Add(r astern.Record) error {
	r.At, r.Asked = r.At.UTC(), r.Asked.UTC()
	b, err := canonical.JSON(r)
	if err != nil {
		return fmt.Errorf("hashing record %d of the journal: %w", r.Seq, err)
	}
	c.records, c.head = c.records+1, sha256.Sum256(append(c.head[:], b...))
	return nil
}

// Journal returns what the journal is up to here.
func (c *Chain) Journal() Journal { return Journal{c.records, hex.EncodeToString(c.head[:])} }

// bounded cuts what is too long for a record and makes its texts valid UTF-8.
func bounded(r Record) Record {
	if n := len(r.Addresses) - maxAddresses; n > 0 {
		r.Addresses, r.More = r.Addresses[:maxAddresses:maxAddresses], n
	}
	for _, s := range []*string{&r.Text, &r.Reason, &r.By, &r.Host, &r.Revision, &r.Step, &r.Execution, &r.Incident, &r.Event} {
		*s = string(bytes.ToValidUTF8([]byte(*s), []byte("\uFFFD")))
		if len(*s) > maxText {
			cut := maxText
			for !utf8.RuneStart((*s)[cut]) {
				cut--
			}
			*s = (*s)[:cut] + " …"
		}
	}
	r.At = r.At.UTC().Truncate(time.Millisecond)
	return r
}

// sign returns the record's line with its signature.
func sign(r Record, key note.Signer) ([]byte, error) {
	r.Sig = ""
	b, err := canonical.JSON(r)
	if err != nil {
		return nil, err
	}
	sig, err := key.Sign(append([]byte(recordContext), b...))
	if err != nil {
		return nil, err
	}
	r.Sig = base64.StdEncoding.EncodeToString(sig)
	return canonical.JSON(r)
}

// parse reads a line strictly: it must be exactly what sign writes, and signed by the key.
func parse(line []byte, key note.Verifier) (Record, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var r Record
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("it is no record: %w", err)
	}
	again, err := canonical.JSON(r)
	if err != nil || !bytes.Equal(again, line) {
		return r, fmt.Errorf("it is not in the form in which records are written")
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(r.Sig)
	if err != nil || r.Sig == "" {
		return r, fmt.Errorf("it is not signed")
	}
	bare := r
	bare.Sig = ""
	if again, err = canonical.JSON(bare); err != nil {
		return r, err
	}
	if !key.Verify(append([]byte(recordContext), again...), sig) {
		return r, fmt.Errorf("its signature is not one of these bytes by %s", key.Name())
	}
	return r, nil
}

func hashOf(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
