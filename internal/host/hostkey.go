package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/astern-dev/astern"
)

// hostKeys verifies the keys that one host shows, against one known_hosts file.
type hostKeys struct {
	name, address, file string
	algorithms          []string
	known               ssh.HostKeyCallback // nil when the file does not exist
	refusal             *astern.Error       // why the last key was refused
}

// readHostKeys reads the known_hosts file. A missing one knows no host.
func readHostKeys(name, address, file string) (*hostKeys, error) {
	k := &hostKeys{name: name, address: address, file: file}
	db, err := knownhosts.NewDB(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k, nil
	case err != nil:
		return nil, astern.Errorf(astern.Invalid, "reading the known host keys for %s: %w", name, err)
	}
	// A server offers its key of the first type that both sides like; without this, one that has keys of several types
	// would show a key that the file does not have, and be refused although it is known.
	k.known, k.algorithms = db.HostKeyCallback(), db.HostKeyAlgorithms(address)
	return k, nil
}

// verify is the ssh.HostKeyCallback.
func (k *hostKeys) verify(hostname string, remote net.Addr, key ssh.PublicKey) error {
	shown := fmt.Sprintf("%s %s", key.Type(), ssh.FingerprintSHA256(key))
	var err error
	if k.known != nil {
		if err = k.known(hostname, remote, key); err == nil {
			return nil
		}
	}
	scanHost, port, _ := net.SplitHostPort(k.address) // made by net.JoinHostPort
	switch {
	case knownhosts.IsHostKeyChanged(err):
		k.refusal = astern.Errorf(astern.Denied, "connecting to %s (%s): its host key has changed: it shows %s, which %s does not have for it",
			k.name, k.address, shown, k.file).
			WithHint("somebody may be in between: ask whoever runs %s for its fingerprint. If it is right: ssh-keygen -R %s -f %s, then ssh-keyscan -p %s %s >> %s",
				k.name, Quote(knownhosts.Normalize(k.address)), Quote(k.file), port, Quote(scanHost), Quote(k.file))
	case err == nil, knownhosts.IsHostUnknown(err):
		k.refusal = astern.Errorf(astern.Denied, "connecting to %s (%s): its host key is not known: it shows %s, and %s has no key for it",
			k.name, k.address, shown, k.file).
			WithHint("ask whoever runs %s for its fingerprint. If it is the same: ssh-keyscan -p %s %s >> %s",
				k.name, port, Quote(scanHost), Quote(k.file))
	default:
		k.refusal = astern.Errorf(astern.Denied, "connecting to %s (%s): its host key %s is refused: %w", k.name, k.address, shown, err)
	}
	return k.refusal
}

// home returns the user's home folder, "/" where there is none.
func home() string {
	if h, err := os.UserHomeDir(); err == nil {
		return h
	}
	return "/"
}
