package host

import (
	"errors"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/astern-dev/astern"
)

// login collects the keys that a host may be asked with: the key file and the agent as declared; without a declaration
// the agent, where there is one, and the key files that ssh looks for. The caller closes what is returned.
func (m *sshMachine) login() (auth []ssh.AuthMethod, closeAgent func(), err error) {
	closeAgent = func() {}
	var signers []ssh.Signer
	if m.ssh.KeyFile != "" {
		s, err := m.keyFile(locate(m.ssh.KeyFile, m.folder, home()))
		if err != nil {
			return nil, closeAgent, err
		}
		signers = append(signers, s)
	} else if !m.ssh.Agent {
		signers = m.usualKeys()
	}
	if len(signers) > 0 {
		auth = append(auth, ssh.PublicKeys(signers...))
	}
	socket := os.Getenv("SSH_AUTH_SOCK")
	if m.ssh.Agent && socket == "" {
		return nil, closeAgent, astern.Errorf(astern.Denied, "connecting to %s: the SSH agent is asked for, but SSH_AUTH_SOCK is not set", m.name).
			WithHint("start one (eval $(ssh-agent); ssh-add), or declare a key_file")
	}
	if socket != "" && (m.ssh.Agent || m.ssh.KeyFile == "") {
		conn, err := net.Dial("unix", socket)
		switch {
		case err == nil:
			// One method holds all keys of one kind: the library tries a method name once only.
			client := agent.NewClient(conn)
			closeAgent = func() { conn.Close() } // nothing was written that could be lost
			own := signers
			auth = []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
				more, err := client.Signers()
				return append(own[:len(own):len(own)], more...), err
			})}
		case m.ssh.Agent:
			return nil, closeAgent, astern.Errorf(astern.Denied, "connecting to %s: the SSH agent does not answer: %w", m.name, err)
		}
	}
	if len(auth) == 0 {
		return nil, closeAgent, astern.Errorf(astern.Denied, "connecting to %s: there is no key to log in with", m.name).
			WithHint("declare key_file or agent: true in the host's ssh")
	}
	return auth, closeAgent, nil
}

func (m *sshMachine) keyFile(path string) (ssh.Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, astern.Errorf(astern.Denied, "connecting to %s: reading its key file: %w", m.name, err)
	}
	signer, err := ssh.ParsePrivateKey(b)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		if m.ssh.Passphrase == nil {
			return nil, astern.Errorf(astern.Denied, "connecting to %s: the key file %s has a passphrase", m.name, path).
				WithHint("declare passphrase: {env: NAME} in the host's ssh, or use agent: true")
		}
		value, err := m.secrets(*m.ssh.Passphrase, m.folder)
		if err != nil {
			return nil, &astern.Error{Code: astern.CodeOf(err), Doing: "connecting to " + m.name + ": the passphrase of its key file", Cause: err}
		}
		if signer, err = ssh.ParsePrivateKeyWithPassphrase(b, []byte(value.Reveal())); err != nil {
			return nil, astern.Errorf(astern.Denied, "connecting to %s: the passphrase does not open the key file %s", m.name, path)
		}
		return signer, nil
	}
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "connecting to %s: the key file %s is no private key that astern reads: %w", m.name, path, err)
	}
	return signer, nil
}

// usualKeys returns the keys of the usual files that can be read without a passphrase.
func (m *sshMachine) usualKeys() []ssh.Signer {
	var out []ssh.Signer
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		b, err := os.ReadFile(filepath.Join(home(), ".ssh", name))
		if err != nil {
			continue
		}
		if s, err := ssh.ParsePrivateKey(b); err == nil {
			out = append(out, s)
		}
	}
	return out
}
