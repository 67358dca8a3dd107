package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/examples/webshop"
	"github.com/astern-dev/astern/examples/webshop/front"
	"github.com/astern-dev/astern/internal/canary"
)

// marker is the environment variable that every process of the demo inherits: its value is the work folder, so that a
// process left over can be told from everything else on the machine.
const marker = "ASTERN_DEMO"

// shop is the web shop in its work folder:
//
//	dist/SERVICE/REVISION/     built releases
//	SERVICE/                   root of a service, see package webshop
//	front.json, front.log      the balancer
//	flags.json                 feature flags
//	astern.yaml, .astern/      what astern knows
type shop struct {
	folder string
	site   webshop.Site
	client *http.Client
	front  *exec.Cmd
	ended  chan struct{} // closed when the balancer has ended
	watch  int           // process id of the astern that watches, 0 when none does
}

// releases are what is built, and what the linker puts into each.
var releases = []struct{ service, revision, flags string }{
	{"stock", goodRelease, ""},
	{"stock", badRelease, "-X main.reserve=yes"},
	{"payment", goodRelease, ""},
	{"shop", goodRelease, ""},
	{"shop", badRelease, `-X main.reserve=yes -X "main.defect=fail=8 slow=20 delay=150ms"`},
	{"shop", expressRelease, "-X main.reserve=yes -X main.express=broken"},
}

// newShop chooses free ports and lays the shop out in the folder; nothing runs yet.
func newShop(folder string) (*shop, error) {
	s := &shop{folder: folder, client: &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	s.site = webshop.Site{Flags: filepath.Join(folder, "flags.json"), Watch: shortWatch, Services: []webshop.Service{
		{Name: "stock", Probe: webshop.Probe{Method: "GET", Path: "/product/mug", Status: 200}, Flow: "/product/mug"},
		{Name: "payment", Probe: webshop.Probe{Method: "GET", Path: "/fee", Status: 200}, Flow: "/fee"},
		{Name: "shop", Probe: webshop.Probe{Method: "POST", Path: "/order?product=mug&rehearse=1", Status: 201}, Flow: "/product/mug",
			DependsOn: []string{"stock", "payment"}, Signals: true, Flags: []webshop.Flag{{Name: expressFlag, Affects: "express checkout"}}},
	}}
	ports, err := freePorts(8)
	if err != nil {
		return nil, err
	}
	take := func() string {
		p := ports[0]
		ports = ports[1:]
		return p
	}
	for i := range s.site.Services {
		v := &s.site.Services[i]
		v.Root, v.Dist, v.Front = filepath.Join(folder, v.Name), filepath.Join(folder, "dist", v.Name, "{revision}"), take()
		v.Instances = []webshop.Instance{{Name: v.Name + "-1", Address: take()}}
		if v.Name != "payment" {
			v.Instances = append(v.Instances, webshop.Instance{Name: v.Name + "-2", Address: take()})
		}
	}
	return s, nil
}

func (s *shop) service(name string) webshop.Service {
	for _, v := range s.site.Services {
		if v.Name == name {
			return v
		}
	}
	return webshop.Service{}
}

func (s *shop) dir() string { return s.folder }

// environment is what processes of the demo inherit: astern's own settings of the person's shell are left out, and there are
// secrets, which nothing may print or leave.
func (s *shop) environment() []string {
	var out []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ASTERN_") && !strings.HasPrefix(e, "CLICOLOR") {
			out = append(out, e)
		}
	}
	return append(append(out, canary.Environ()...), marker+"="+s.folder, "NO_COLOR=1", "TERM=dumb")
}

// build makes all releases, and the balancer.
func (s *shop) build(ctx context.Context, source string) error {
	type program struct{ out, command, flags string }
	list := []program{{filepath.Join(s.folder, "frontd"), "frontd", ""}}
	for _, r := range releases {
		dist := strings.ReplaceAll(s.service(r.service).Dist, "{revision}", r.revision)
		list = append(list, program{filepath.Join(dist, r.service+"d"), r.service + "d", "-X main.version=" + r.revision + " " + r.flags})
	}
	for _, p := range list {
		c := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w "+p.flags, "-o", p.out,
			"./examples/webshop/cmd/"+p.command)
		c.Dir = source
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			return astern.Errorf(astern.Internal, "building %s: %w\n%s", p.command, err, out).WithHint("the demo needs Go and astern's source code")
		}
	}
	return nil
}

// copyBuilt gives another shop what was built for this one.
func (s *shop) copyBuilt(other *shop) error {
	err := os.CopyFS(filepath.Join(other.folder, "dist"), os.DirFS(filepath.Join(s.folder, "dist")))
	var front []byte
	if err == nil {
		front, err = os.ReadFile(filepath.Join(s.folder, "frontd"))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(other.folder, "frontd"), front, 0o755)
	}
	if err != nil {
		return astern.Errorf(astern.Internal, "copying what was built: %w", err)
	}
	return nil
}

// start lays out the good release of all services, starts their instances and the balancer, and waits until they work.
func (s *shop) start(ctx context.Context) error {
	if err := s.switchExpress("DISABLED"); err != nil {
		return err
	}
	for _, v := range s.site.Services {
		if err := s.layOut(v); err != nil {
			return err
		}
		for _, in := range v.Instances {
			if err := s.ctl(ctx, v, "start", in.Name); err != nil {
				return err
			}
		}
	}
	if err := s.startFront(); err != nil {
		return err
	}
	if err := s.declare(); err != nil {
		return err
	}
	return until(ctx, 10*time.Second, "the shop works", func() bool {
		res, err := s.client.Post("http://"+s.service("shop").Front+"/order?product=mug&rehearse=1", "", nil)
		if err != nil {
			return false
		}
		ok := res.Body.Close() == nil && res.StatusCode == http.StatusCreated
		for _, v := range s.site.Services {
			ok = ok && s.all(v.Name, goodRelease)
		}
		return ok
	})
}

// declare writes astern.yaml.
func (s *shop) declare() error {
	var yaml bytes.Buffer
	if err := webshop.Declaration.Execute(&yaml, s.site); err != nil {
		return astern.Errorf(astern.Internal, "writing astern.yaml: %w", err)
	}
	return write(filepath.Join(s.folder, "astern.yaml"), yaml.Bytes(), 0o644)
}

// switchExpress writes the file of flags, as whoever switches features on does: ENABLED or DISABLED.
func (s *shop) switchExpress(state string) error {
	text := fmt.Sprintf(`{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    %q: {"state": %q, "variants": {"on": true, "off": false}, "defaultVariant": "on"}
  }
}
`, expressFlag, state)
	part := s.site.Flags + ".new"
	if err := write(part, []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.Rename(part, s.site.Flags); err != nil {
		return astern.Errorf(astern.Internal, "writing the flags: %w", err)
	}
	return nil
}

// flagsRevision is how astern names the present state of the file of flags.
func (s *shop) flagsRevision() (string, error) {
	text, err := os.ReadFile(s.site.Flags)
	if err != nil {
		return "", astern.Errorf(astern.Internal, "reading the flags: %w", err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))[:12], nil
}

// express returns the state of the feature's flag.
func (s *shop) express() (string, error) {
	text, err := os.ReadFile(s.site.Flags)
	if err != nil {
		return "", astern.Errorf(astern.Internal, "reading the flags: %w", err)
	}
	var file struct {
		Flags map[string]struct{ State string }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return "", astern.Errorf(astern.Internal, "reading the flags: %w", err)
	}
	return file.Flags[expressFlag].State, nil
}

// layOut makes the root folder of a service, with its first release and its instances' links and settings.
func (s *shop) layOut(v webshop.Service) error {
	if err := s.install(v, goodRelease); err != nil {
		return err
	}
	if err := write(filepath.Join(v.Root, "ctl"), webshop.Ctl, 0o755); err != nil {
		return err
	}
	for _, in := range v.Instances {
		settings := fmt.Sprintf("PROGRAM=%sd\nLISTEN=%s\nSTOCK_URL=http://%s\nPAYMENT_URL=http://%s\nFLAGS=%s\n", v.Name, in.Address,
			s.service("stock").Front, s.service("payment").Front, typed([]string{s.site.Flags})) // a shell reads it
		if err := write(filepath.Join(v.Root, "etc", in.Name+".env"), []byte(settings), 0o644); err != nil {
			return err
		}
		if err := link(v, in.Name, goodRelease); err != nil {
			return err
		}
	}
	return nil
}

// install copies a built release into the service's release folder.
func (s *shop) install(v webshop.Service, revision string) error {
	from, to := strings.ReplaceAll(v.Dist, "{revision}", revision), filepath.Join(v.Root, "releases", revision)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	part := to + ".part"
	if err := os.CopyFS(part, os.DirFS(from)); err != nil {
		return astern.Errorf(astern.Internal, "copying release %s of %s: %w", revision, v.Name, err)
	}
	if err := os.Rename(part, to); err != nil {
		return astern.Errorf(astern.Internal, "copying release %s of %s: %w", revision, v.Name, err)
	}
	return nil
}

// link points an instance at a release, atomically.
func link(v webshop.Service, instance, revision string) error {
	name := filepath.Join(v.Root, "current-"+instance)
	if err := os.Symlink(filepath.Join("releases", revision), name+".new"); err != nil {
		return astern.Errorf(astern.Internal, "pointing %s at %s: %w", instance, revision, err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return astern.Errorf(astern.Internal, "pointing %s at %s: %w", instance, revision, err)
	}
	return nil
}

// deploy is what a CI job does that knows nothing of astern: instance by instance it drains, swaps, restarts.
func (s *shop) deploy(ctx context.Context, service, revision string) error {
	v := s.service(service)
	if err := s.install(v, revision); err != nil {
		return err
	}
	for _, in := range v.Instances {
		if err := s.ctl(ctx, v, "drain", in.Name); err != nil {
			return err
		}
		if err := link(v, in.Name, revision); err != nil {
			return err
		}
		if err := s.ctl(ctx, v, "restart", in.Name); err != nil {
			return err
		}
		err := until(ctx, 10*time.Second, in.Name+" runs "+revision, func() bool { return s.version(in) == revision })
		if err != nil {
			return err
		}
		if err := s.ctl(ctx, v, "undrain", in.Name); err != nil {
			return err
		}
	}
	return nil
}

func (s *shop) ctl(ctx context.Context, v webshop.Service, command, instance string) error {
	c := exec.CommandContext(ctx, filepath.Join(v.Root, "ctl"), command, instance)
	c.Dir, c.Env, c.WaitDelay = v.Root, s.environment(), time.Second
	if out, err := c.CombinedOutput(); err != nil {
		return astern.Errorf(astern.Internal, "ctl %s %s: %w: %s", command, instance, err, bytes.TrimSpace(out))
	}
	return nil
}

// pid returns the process id of an instance that runs.
func (s *shop) pid(service, instance string) (int, error) {
	pid := pidOf(filepath.Join(s.service(service).Root, "run", instance+".pid"))
	if pid == 0 {
		return 0, astern.Errorf(astern.Internal, "looking for %s: it does not run", instance)
	}
	return pid, nil
}

// startFront starts the balancer, as a child in a process group of its own.
func (s *shop) startFront() error {
	var config front.Config
	for _, v := range s.site.Services {
		r := front.Route{Service: v.Name, Listen: v.Front, DrainFolder: filepath.Join(v.Root, "run")}
		for _, in := range v.Instances {
			r.Instances = append(r.Instances, front.Instance(in))
		}
		config.Routes = append(config.Routes, r)
	}
	b, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return astern.Errorf(astern.Internal, "writing front.json: %w", err)
	}
	file := filepath.Join(s.folder, "front.json")
	if err := write(file, b, 0o644); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.folder, "front.log"))
	if err != nil {
		return astern.Errorf(astern.Internal, "starting the balancer: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own
	s.front = exec.Command(filepath.Join(s.folder, "frontd"), "-config", file)
	s.front.Env, s.front.Stdout, s.front.Stderr = s.environment(), log, log
	s.front.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.front.Start(); err != nil {
		s.front = nil
		return astern.Errorf(astern.Internal, "starting the balancer: %w", err)
	}
	s.ended = make(chan struct{})
	go func() { // ends with the balancer; stop waits for it
		_ = s.front.Wait() // its end is what is waited for, however it came
		close(s.ended)
	}()
	return nil
}

// stop ends every process of the shop by its recorded id, and then whatever carries the demo's mark.
func (s *shop) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var errs []error
	for _, v := range s.site.Services {
		for _, in := range v.Instances {
			if _, err := os.Stat(filepath.Join(v.Root, "etc", in.Name+".env")); err != nil {
				continue // it was never laid out
			}
			errs = append(errs, s.ctl(ctx, v, "stop", in.Name))
		}
	}
	if s.front != nil {
		errs = append(errs, s.front.Process.Signal(syscall.SIGTERM))
		select {
		case <-s.ended:
		case <-time.After(7 * time.Second):
			errs = append(errs, s.front.Process.Kill())
			<-s.ended
		}
	}
	for _, p := range marked(s.folder) {
		errs = append(errs, fmt.Errorf("process %d was left over and is killed: %s", p.pid, p.command), syscall.Kill(p.pid, syscall.SIGKILL))
	}
	if err := errors.Join(errs...); err != nil {
		return astern.Errorf(astern.Internal, "stopping the shop: %w", err)
	}
	return nil
}

// version asks an instance which release it runs; "" when it does not answer.
func (s *shop) version(in webshop.Instance) string {
	res, err := s.client.Get("http://" + in.Address + "/version")
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }() // it was decoded
	var v struct{ Version, Instance string }
	if json.NewDecoder(res.Body).Decode(&v) != nil || v.Instance != in.Name {
		return ""
	}
	return v.Version
}

// all reports whether every instance of the service says that it runs the release.
func (s *shop) all(service, revision string) bool {
	for _, in := range s.service(service).Instances {
		if s.version(in) != revision {
			return false
		}
	}
	return true
}

// versions is what every instance of the service says, for a person.
func (s *shop) versions(service string) string {
	var out []string
	for _, in := range s.service(service).Instances {
		v := s.version(in)
		if v == "" {
			v = "does not answer"
		}
		out = append(out, in.Name+" "+v)
	}
	return strings.Join(out, ", ")
}

func write(name string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return astern.Errorf(astern.Internal, "laying out the shop: %w", err)
	}
	if err := os.WriteFile(name, content, mode); err != nil {
		return astern.Errorf(astern.Internal, "laying out the shop: %w", err)
	}
	return nil
}

// freePorts returns n addresses on loopback that nobody listens on. They lie below the range from which systems take
// the ports of outgoing connections, so that none is lost while an instance restarts.
func freePorts(n int) ([]string, error) {
	const low, high = 18000, 32000
	var out []string
	for p := low + os.Getpid()%(high-low); len(out) < n && p < high+high-low; p++ {
		address := fmt.Sprintf("127.0.0.1:%d", low+p%(high-low))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return nil, astern.Errorf(astern.Internal, "choosing ports: %w", err)
		}
		out = append(out, address)
	}
	if len(out) < n {
		return nil, astern.Errorf(astern.Unavailable, "choosing ports: no %d free ports on 127.0.0.1 between %d and %d", n, low, high)
	}
	return out, nil
}
