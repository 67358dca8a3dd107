package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/mod/sumdb/note"

	"github.com/astern-dev/astern"
)

// The files of a log, in its folder.
const (
	logFile        = "log.jsonl"
	keyFile        = "key"     // in the form of C2SP's signed note
	publicFile     = "key.pub" // the same
	checkpointFile = "checkpoint"
	lockFile       = "lock"
)

// originStart begins the name of a log's key, and the first line of its checkpoints.
const originStart = "astern-audit/"

// doing begins every error of writing.
const doing = "writing the audit log"

// signer reads the log's key, and makes one where there is neither key nor log. The caller holds the lock.
func (l *Log) signer() (note.Signer, error) {
	name := filepath.Join(l.folder, keyFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		for _, other := range []string{logFile, checkpointFile} {
			if info, err := os.Stat(filepath.Join(l.folder, other)); err == nil && info.Size() > 0 {
				return nil, astern.Errorf(astern.Refused, "%s: there is a log, and its key %s is gone", doing, name).
					WithHint("restore the key; or verify what is there, move the folder %s away, and a new log begins", l.folder)
			}
		}
		if b, err = l.newKey(); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, failed(err)
	}
	if info, err := os.Stat(name); err == nil && info.Mode().Perm()&^l.mode() != 0 {
		return nil, astern.Errorf(astern.Refused, "%s: its key %s is open to people to whom the state is not", doing, name).
			WithHint("chmod %o %s; who has read it can sign in its name", l.mode(), name)
	}
	key, err := note.NewSigner(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, astern.Errorf(astern.Refused, "%s: %s is no key", doing, name).WithHint("restore it")
	}
	return key, nil
}

// mode is that of the log's files: they are open to whom the state is, at first to their owner alone. Who may write the
// state has to be able to record what he does.
func (l *Log) mode() os.FileMode {
	const owner = 0o600
	if info, err := os.Stat(filepath.Join(filepath.Dir(l.folder), "state.db")); err == nil {
		return owner | info.Mode().Perm()&0o066
	}
	return owner
}

// newKey makes a key under a name that no other log has. The public half is written first, so that with the key there is
// always the other.
func (l *Log) newKey() ([]byte, error) {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails since Go 1.24
	private, public, err := note.GenerateKey(rand.Reader, originStart+hex.EncodeToString(id[:]))
	if err != nil {
		return nil, failed(err)
	}
	if err := l.replace(publicFile, []byte(public+"\n")); err != nil {
		return nil, err
	}
	return []byte(private), l.replace(keyFile, []byte(private+"\n"))
}

// PublicKey returns the public key of the log in the state folder.
func PublicKey(state string) (note.Verifier, error) {
	name := filepath.Join(state, Folder, publicFile)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, &astern.Error{Code: codeOf(err), Doing: "reading the key of the audit log", Cause: err}
	}
	return ParseKey(b, "")
}

// ParseKey reads a public key: in the form of C2SP's signed note, as it lies beside a log, or in PEM, then for the origin.
func ParseKey(b []byte, origin string) (note.Verifier, error) {
	text := strings.TrimSpace(string(b))
	if block, _ := pem.Decode(b); block != nil {
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		key, ok := public.(ed25519.PublicKey)
		if err != nil || !ok {
			return nil, astern.Errorf(astern.Invalid, "reading the key of the audit log: it is no ed25519 public key")
		}
		if text, err = note.NewEd25519VerifierKey(origin, key); err != nil {
			return nil, astern.Errorf(astern.Invalid, "reading the key of the audit log: %w", err)
		}
	}
	key, err := note.NewVerifier(text)
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "reading the key of the audit log: it is no public key: %w", err).
			WithHint("it is the file %s/%s of a state folder, or the key.pem of an export", Folder, publicFile)
	}
	return key, nil
}

// PEM returns a public key, as it lies beside a log, in the form that openssl reads.
func PEM(state string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(state, Folder, publicFile))
	if err != nil {
		return nil, &astern.Error{Code: codeOf(err), Doing: "reading the key of the audit log", Cause: err}
	}
	parts := strings.SplitN(strings.TrimSpace(string(b)), "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return nil, astern.Errorf(astern.Invalid, "reading the key of the audit log: it is no public key")
	}
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(raw[1:])) // behind the byte of the algorithm
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func codeOf(err error) astern.Code {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return astern.NotFound
	case errors.Is(err, fs.ErrPermission):
		return astern.Denied
	}
	return astern.Internal
}

// failed words an error of the file system: nothing is done without its record.
func failed(err error) error {
	e := &astern.Error{Code: astern.Internal, Doing: doing, Cause: err, Hint: "what can't be recorded is not done; mend the cause and try again"}
	switch {
	case errors.Is(err, context.Canceled):
		e.Code, e.Hint = astern.Interrupted, "nothing was written"
	case errors.Is(err, context.DeadlineExceeded):
		e.Code, e.Hint = astern.Unavailable, "nothing was written; try again"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		e.Hint = "the disk that holds the state folder is full or at its quota: free space there, then run the command again; what can't be recorded is not done"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Code, e.Hint = astern.Denied, "the current user needs to be able to read and write the state folder and the files in it; what can't be recorded is not done"
	}
	return e
}
