package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/bench/nobody"
	"github.com/astern-dev/astern/bench/tree"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// shape is what a world is like.
type shape struct {
	name      string
	instances int
	far       int    // how many of the instances, from the last, are reached over SSH
	link      string // of the component
	restart   bool   // one command restarts, instead of stop and start
	drain     bool
	systemd   bool
	pair      bool // there is a second component, and a rule on which revisions work together
}

var shapes = []shape{
	{name: "one", instances: 1, link: "current"},
	{name: "two", instances: 2, link: "links/{instance}", restart: true, drain: true},
	{name: "far", instances: 1, far: 1, link: "current"},
	{name: "mixed", instances: 2, far: 1, link: "links/{instance}", drain: true},
	{name: "systemd", instances: 1, link: "current", systemd: true},
	{name: "pair", instances: 1, link: "current", restart: true, pair: true},
}

// The revisions of each world. Those before the last are targets; the unwatched one was deployed and recorded by hand, and
// never watched.
const (
	unwatched = "v0.9.0"
	current   = "v1.2.0"
)

var proven = []string{"v1.0.0", "v1.1.0"}

// world is one real small system.
type world struct {
	shape
	slot              int
	folder            string // of everything
	root, home, depot string // release root; folder of astern.yaml; release root of the second component
	ports             []string
	server            *server
	disks             bool
	other             string    // the target under whose name something else was recorded last
	spoilt            error     // why the world can't be put back
	root0, home0      tree.Tree // as it is put back
	depot0            tree.Tree
}

func (w *world) targets() []string { return append([]string{unwatched}, proven...) }

// open opens astern on the world.
func (w *world) open(ctx context.Context) (*app.App, func(), error) {
	store, err := sqlite.Open(ctx, filepath.Join(w.home, ".astern"))
	if err != nil {
		return nil, nil, err
	}
	a, err := app.Open(filepath.Join(w.home, "astern.yaml"), store)
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	return a, func() { a.Close(); store.Close() }, nil // what matters was written when it was acknowledged
}

// worldTries is how often a world is made anew: another program may take a port that was free a moment before.
const worldTries = 3

// build makes a world: releases, commands, and three deployments by astern itself.
func build(ctx context.Context, folder string, slot int, s shape, srv *server) (w *world, err error) {
	for range worldTries {
		if w, err = buildOnce(ctx, folder, slot, s, srv); err == nil {
			return w, nil
		}
		if srv != nil { // while a trial had it stopped, another may have taken its port
			if e := srv.move(); e != nil {
				return nil, e
			}
		}
	}
	return nil, err
}

func buildOnce(ctx context.Context, folder string, slot int, s shape, srv *server) (*world, error) {
	w := &world{shape: s, slot: slot, folder: folder, root: filepath.Join(folder, fmt.Sprintf("slot-%d/root", slot)),
		home: filepath.Join(folder, fmt.Sprintf("work/world-%d", slot)), depot: filepath.Join(folder, fmt.Sprintf("slot-%d/depot", slot)), server: srv}
	_, err := os.Stat(filepath.Join(folder, "work", nobody.HasDisks))
	w.disks = err == nil
	sweep(w.root)
	for _, p := range []string{w.root, w.home, w.depot} {
		if err := tree.RemoveAll(p); err != nil {
			return nil, err
		}
	}
	for range s.instances {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		w.ports = append(w.ports, address)
	}
	if err := w.write(); err != nil {
		return nil, err
	}
	if err := w.deploy(ctx); err != nil {
		said := []byte{}
		if srv != nil {
			said, _ = os.ReadFile(srv.file("log")) // none says nothing
		}
		return nil, fmt.Errorf("making a world (%s): %w\n%s", s.name, err, said)
	}
	if w.root0, err = tree.Keep(w.root, "run"); err == nil {
		if w.home0, err = tree.Keep(w.home); err == nil && w.pair {
			w.depot0, err = tree.Keep(w.depot)
		}
	}
	return w, err
}

// deploy has astern deploy each revision, and then look at all of them when they are old enough for a proof to be kept.
func (w *world) deploy(ctx context.Context) error {
	a, done, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, rev := range append(append([]string{}, proven...), current) {
		p, err := a.Plan(ctx, app.Ask{Verb: astern.VerbDeploy, Environment: "test", Components: []string{"shop"}, Revision: rev, Percent: 100,
			WatchSeconds: 1, Way: "cli"})
		if err != nil {
			return err
		}
		if err := carryOut(ctx, a, p.Doc); err != nil {
			return err
		}
		if rev == proven[0] {
			if _, _, err := a.RecordDeploy(ctx, app.Record{Environment: "test", Component: "shop", Revision: unwatched}); err != nil {
				return err
			}
		}
	}
	select {
	case <-time.After(2100 * time.Millisecond): // younger changes are never taken for proven
	case <-ctx.Done():
		return ctx.Err()
	}
	e, err := a.Environment("test")
	if err != nil {
		return err
	}
	_, err = a.Check(ctx, e)
	return err
}

func carryOut(ctx context.Context, a *app.App, doc []byte) error {
	_, hash, err := planfile.Decode(doc)
	if err != nil {
		return err
	}
	e, _, err := a.Apply(ctx, doc, app.Vouch{Trust: hash})
	if err != nil {
		return err
	}
	_, _, err = a.Run(ctx, e.ID, nil)
	return err
}

// ctl is the user's own tool. It runs in the root.
const ctl = `#!/bin/sh
# start|stop|restart|status|drain|undrain INSTANCE ADDRESS
verb=${0##*/} i=$1
pid=run/$i.pid
link=current
[ -L "links/$i" ] && link=links/$i
alive() { [ -s "$pid" ] && p=$(cat "$pid") && [ -r "/proc/$p/stat" ] && { ! grep -qs '^State:.Z' "/proc/$p/status" || ! grep -qs '^Threads:.1$' "/proc/$p/status"; }; }
start() {
	root=$(pwd)
	cd "$link/" || exit 1
	setsid ./run "$root" "$1" </dev/null >>"$root/run/$i.log" 2>&1 &
	echo $! >"$root/run/$i.pid"
	cd "$root"
}
stop() {
	alive || return 0
	kill "$p"
	while alive; do sleep 0.02; done
}
case $verb in
start) start "$2" ;;
stop) stop ;;
restart) stop && start "$2" ;;
status)
	alive || exit 3
	echo "$p"
	;;
esac
`

// systemctl is a stand-in where there is no systemd: units "SLOT-INSTANCE.service" of the world in that slot.
const systemctl = `#!/bin/sh
for unit; do :; done
[ "$1" = --user ] && shift
i=${unit%%.service}
slot=${i%%%%-*}
i=${i#*-}
cd %s/slot-"$slot"/root || exit 1
case "$*" in
*LoadState*) if [ -e "units/$i" ]; then echo LoadState=loaded; else echo LoadState=not-found; fi ;;
show*) if [ -e "units/$i" ] && p=$(bin/status "$i"); then echo "MainPID=$p"; echo ActiveState=active; else echo MainPID=0; echo ActiveState=inactive; fi ;;
restart*)
	[ -e "units/$i" ] || { echo "Unit $unit not found." >&2; exit 5; }
	exec bin/restart "$i" "$(cat "units/$i")" ;;
esac
`

// write writes what a person would have made: releases, commands, declaration.
func (w *world) write() error {
	files := map[string]string{}
	for _, rev := range append(w.targets(), current) {
		at := filepath.Join(w.root, "releases", rev)
		files[filepath.Join(at, "run")] = "#!/bin/sh\n# " + rev + "\n. \"$1/lib/settings\" || exit 1\nexec \"$1/bin/service\" " + serveChild + " \"$2\" data/version\n"
		files[filepath.Join(at, "data/version")] = rev + "\n"
		files[filepath.Join(at, "data/table")] = strings.Repeat("a line of "+rev+"\n", 200)
	}
	files[filepath.Join(w.root, "lib/settings")] = ":\n"
	for _, verb := range []string{"start", "stop", "restart", "status", "drain", "undrain"} {
		files[filepath.Join(w.root, "bin", verb)] = ctl
	}
	for i := range w.instances {
		if w.systemd {
			files[filepath.Join(w.root, "units", instance(i))] = w.ports[i]
		}
	}
	if w.pair {
		files[filepath.Join(w.depot, "releases/v1.0.0/run")], files[filepath.Join(w.depot, "releases/v2.0.0/run")] = "#!/bin/sh\n", "#!/bin/sh\n: 2\n"
	}
	files[filepath.Join(w.folder, "work/bin/systemctl")] = fmt.Sprintf(systemctl, w.folder)
	files[filepath.Join(w.home, "astern.yaml")] = w.declaration()
	for at, text := range files {
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if old, err := os.ReadFile(at); err == nil && string(old) == text {
			continue // another world runs it
		}
		mode := os.FileMode(0o644)
		if strings.Contains(at, "/bin/") || strings.HasSuffix(at, "/run") {
			mode = 0o755
		}
		if err := os.WriteFile(at, []byte(text), mode); err != nil {
			return err
		}
	}
	for _, dir := range []string{"run", "links"} {
		if err := os.MkdirAll(filepath.Join(w.root, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(w.root, ".astern-history.jsonl"), nil, 0o644); err != nil {
		return err
	}
	if w.pair {
		if err := os.Symlink("releases/v1.0.0", filepath.Join(w.depot, "current")); err != nil {
			return err
		}
	}
	return os.Symlink(filepath.Join(w.folder, "truth"), filepath.Join(w.root, "bin/service"))
}

func instance(i int) string { return "shop" + strconv.Itoa(i+1) }

// isFar reports whether the instance is reached over SSH.
func (w *world) isFar(i int) bool { return i >= w.instances-w.far }

// linkOf returns the path of an instance's link.
func (w *world) linkOf(i int) string {
	return filepath.Join(w.root, strings.ReplaceAll(w.link, "{instance}", instance(i)))
}

func (w *world) declaration() string {
	var b strings.Builder
	b.WriteString("version: 1\nsystem: truth\nenvironments:\n  test:\n    policy: {watch: 0s}\n")
	if w.far > 0 {
		fmt.Fprintf(&b, "    hosts: {far: {ssh: {address: %q, user: %q, key_file: %q, known_hosts: %q}}}\n", w.server.address, w.server.user,
			w.server.file("client"), w.server.file("known_hosts"))
	}
	if w.pair {
		b.WriteString("    compatible:\n      - {when: {component: shop, range: \"<v1.2.0\"}, needs: {component: depot, range: \"<v2\"}}\n")
	}
	b.WriteString("    components:\n")
	if w.pair {
		fmt.Fprintf(&b, "      depot: {kind: host.service, with: {root: %q, instances: [{name: depot}], commands: {start: [\"true\"], stop: [\"true\"], status: [sh, -c, exit 3]}}}\n", w.depot)
	}
	b.WriteString("      shop:\n        kind: host.service\n        checks:\n          health: {http: {url: \"http://{address}/\", contains: \"{revision}\"}, each: true, timeout: 1s, interval: 100ms}\n" +
		"        ready: [health]\n        validate: [health]\n        with:\n")
	fmt.Fprintf(&b, "          root: %q\n          link: %q\n          uptime: 20ms\n          timeout: 3s\n          parallel: 2\n          instances:\n", w.root, w.link)
	for i := range w.instances {
		host := ""
		if w.isFar(i) {
			host = ", host: far"
		}
		fmt.Fprintf(&b, "            - {name: %s, address: %q%s}\n", instance(i), w.ports[i], host)
	}
	command := func(verb string) string {
		return fmt.Sprintf("%s: [./bin/%s, \"{instance}\", \"{address}\"]", verb, verb)
	}
	verbs := []string{command("start"), command("stop"), command("status")}
	if w.restart {
		verbs = []string{command("restart"), command("status")}
	}
	if w.systemd {
		fmt.Fprintf(&b, "          systemd: {unit: \"%d-{instance}.service\"}\n", w.slot)
		return b.String()
	}
	if w.drain {
		verbs = append(verbs, command("drain"), command("undrain"))
	}
	fmt.Fprintf(&b, "          commands: {%s}\n", strings.Join(verbs, ", "))
	return b.String()
}

// freeAddress returns an address on loopback that nobody listens on. It lies below the range from which systems take the ports
// of outgoing connections: one of those could have it before the service has.
func freeAddress() (string, error) {
	var taken error
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 15_000+mathrand.IntN(17_000))
		l, err := net.Listen("tcp", address)
		if err == nil {
			return address, l.Close()
		}
		taken = err
	}
	return "", taken
}

// restore puts everything back as it was after the deployments, with each instance running the current revision.
func (w *world) restore(ctx context.Context) error {
	w.other = ""
	if err := w.root0.Repair(w.root, "run"); err != nil {
		return err
	}
	if err := tree.MakeFolder(filepath.Join(w.root, "run"), 0o755); err != nil {
		return err
	}
	if err := w.home0.Repair(w.home); err != nil {
		return err
	}
	if w.pair {
		if err := w.depot0.Repair(w.depot); err != nil {
			return err
		}
	}
	running := services(w.root)
	keep := map[int]bool{}
	var missing []int
	for i := range w.instances {
		said, _ := answer(w.ports[i]) // no answer is one
		pid := w.pid(i)
		if said == fmt.Sprintf("%s %d", current, pid) && running[pid] != "" {
			keep[pid] = true
		} else {
			missing = append(missing, i)
		}
	}
	for pid := range running {
		if !keep[pid] {
			syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
		}
	}
	for _, i := range missing {
		if err := w.startAgain(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) pid(i int) int {
	text, _ := os.ReadFile(filepath.Join(w.root, "run", instance(i)+".pid")) // none is 0
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// startAgain starts an instance as its owner would, and waits until it answers.
func (w *world) startAgain(ctx context.Context, i int) error {
	said := ""
	for range 200 {
		cmd := exec.CommandContext(ctx, "./bin/start", instance(i), w.ports[i])
		cmd.Dir = w.root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("starting %s again: %w: %s", instance(i), err, out)
		}
		pid := w.pid(i)
		for range 200 {
			if said, _ = answer(w.ports[i]); said == fmt.Sprintf("%s %d", current, pid) {
				return nil
			}
			if syscall.Kill(pid, 0) != nil {
				break // the port was not free yet: once more
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	log, _ := os.ReadFile(filepath.Join(w.root, "run", instance(i)+".log"))
	return fmt.Errorf("%s does not come up again: it says %q: %s", instance(i), said, log)
}

// server is a real sshd of one slot.
type server struct {
	folder, address, user string
	host                  ssh.PublicKey
	cmd                   *exec.Cmd
}

func (s *server) file(name string) string { return filepath.Join(s.folder, name) }

const sshd = "/usr/sbin/sshd"

// newServer prepares and starts a server; nil where OpenSSH's is not installed.
func newServer(folder string) (*server, error) {
	if _, err := os.Stat(sshd); err != nil {
		return nil, nil
	}
	u, err := user.Current()
	if err != nil {
		return nil, err
	}
	s := &server{folder: folder, user: u.Username}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if s.host, err = newKey(s.file("host")); err != nil {
		return nil, err
	}
	client, err := newKey(s.file("client"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.file("authorized_keys"), ssh.MarshalAuthorizedKey(client), 0o600); err != nil {
		return nil, err
	}
	for range worldTries {
		if err = s.move(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// move starts the server at another address.
func (s *server) move() (err error) {
	if s.cmd != nil {
		s.stop()
	}
	if s.address, err = freeAddress(); err != nil {
		return err
	}
	name, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	for file, text := range map[string]string{
		"known_hosts": fmt.Sprintf("[%s]:%s %s", name, port, ssh.MarshalAuthorizedKey(s.host)),
		"config": fmt.Sprintf("ListenAddress %s\nHostKey %s/host\nAuthorizedKeysFile %s/authorized_keys\nUsePAM no\nStrictModes no\nPidFile none\n"+
			"PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel INFO\nSetEnv HOME=%s\n", s.address, s.folder, s.folder, s.folder),
	} {
		if err := os.WriteFile(s.file(file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return s.start()
}

func (s *server) start() error {
	log, err := os.Create(s.file("log"))
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	s.cmd = exec.Command(sshd, "-D", "-e", "-f", s.file("config"))
	s.cmd.Stderr, s.cmd.SysProcAttr = log, &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for range 500 { // the server says so itself: behind the port there may be another's
		if said, err := os.ReadFile(s.file("log")); err == nil && strings.Contains(string(said), "Server listening on") {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.stop()
	said, _ := os.ReadFile(s.file("log"))
	return fmt.Errorf("sshd did not come up: %s", said)
}

func (s *server) stop() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
	s.cmd.Wait()                                      // its end by our signal is no failure
	s.cmd = nil
}

func newKey(file string) (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "astern truth")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(public)
}
