package audit

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// checkpoint says how long a log was and what its last line hashed to.
type checkpoint struct {
	size int64
	head string // SHA-256 in hexadecimal
}

// text returns the body of the signed note: origin, size, and hash in base64, as C2SP's tlog-checkpoint has them.
func (c checkpoint) text(origin string) string {
	raw, _ := hex.DecodeString(c.head) // it comes from hashOf or from parseCheckpoint
	return fmt.Sprintf("%s\n%d\n%s\n", origin, c.size, base64.StdEncoding.EncodeToString(raw))
}

// sign returns the checkpoint as a signed note.
func (c checkpoint) sign(key note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.text(key.Name())}, key)
}

// parseCheckpoint reads a signed note; the error says what is wrong with it.
func parseCheckpoint(b []byte, key note.Verifier) (checkpoint, error) {
	lines := strings.SplitN(string(b), "\n", 2)
	if lines[0] != key.Name() {
		return checkpoint{}, fmt.Errorf("it is one of log %q, and not of %s", lines[0], key.Name())
	}
	n, err := note.Open(b, note.VerifierList(key))
	if err != nil {
		return checkpoint{}, fmt.Errorf("it is not signed by the key of %s", key.Name())
	}
	lines = strings.Split(n.Text, "\n")
	if len(lines) != 4 {
		return checkpoint{}, fmt.Errorf("it has %d lines, and not three", len(lines)-1)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	raw, err2 := base64.StdEncoding.Strict().DecodeString(lines[2])
	c := checkpoint{size, hex.EncodeToString(raw)}
	if err != nil || err2 != nil || size < 1 || len(raw) != 32 || c.text(key.Name()) != n.Text {
		return checkpoint{}, fmt.Errorf("it is no checkpoint")
	}
	return c, nil
}
