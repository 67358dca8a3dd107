package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/astern-dev/astern/examples/webshop"
	"github.com/astern-dev/astern/examples/webshop/load"
)

// ctl runs the control script by hand and returns its exit code and output.
func ctl(t *testing.T, s *shop, args ...string) (int, string) {
	t.Helper()
	c := exec.Command(filepath.Join(s.service("shop").Root, "ctl"), args...)
	c.Env = s.environment()
	out, err := c.CombinedOutput()
	if err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), strings.TrimSpace(string(out))
}

// The shop of real processes: it serves through a deployment, a fault shows in the load, an instance killed is passed
// over, ctl tells the truth, and nothing is left when it stops.
func TestShop(t *testing.T) {
	ctx := context.Background()
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := newShop(folder)
	if err != nil {
		t.Fatal(err)
	}
	source, err := findSource(".")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.build(ctx, source); err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = s.stop(ctx)
		}
	}()
	if err := s.start(ctx); err != nil {
		t.Fatal(err)
	}
	g, err := load.Start(ctx, load.Config{URL: "http://" + s.service("shop").Front, Rate: 100, Timeout: 5 * time.Second, Slow: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Stop()

	began := time.Now()
	for _, service := range []string{"stock", "stock", "shop"} { // the second deployment finds everything in place
		if err := s.deploy(ctx, service, badRelease); err != nil {
			t.Fatal(err)
		}
	}
	if !s.all("stock", badRelease) || !s.all("shop", badRelease) {
		t.Fatalf("deployed: %s; %s", s.versions("stock"), s.versions("shop"))
	}
	err = until(ctx, 30*time.Second, "the fault shows", func() bool { return g.Between(began, time.Now()).Failed > 0 })
	if err != nil {
		t.Error(err)
	}
	if err := s.deploy(ctx, "shop", goodRelease); err != nil {
		t.Fatal(err)
	}
	healed := time.Now()
	checkKilledInstance(t, s)
	err = until(ctx, 30*time.Second, "customers come", func() bool { return g.Between(healed, time.Now()).Total >= 50 })
	if err != nil {
		t.Error(err)
	}
	// At most what the killed instance had in its hands is lost, and the one charge in 250 that the bank refuses.
	if f := g.Between(healed.Add(100*time.Millisecond), time.Now()); f.Failed > 3 {
		t.Errorf("with one instance killed: %+v", f)
	}
	program := buildAstern(t, source)
	checkSignals(t, s, program)
	checkExpress(t, s, g, program)
	checkPayment(t, s, g)
	checkWatch(t, s, g, program)
	if left := s.leftOver(); left != "" {
		t.Errorf("left over: %s", left)
	}
	g.Stop()
	stopped = true
	if err := s.stop(ctx); err != nil {
		t.Error(err)
	}
	if m := marked(folder); len(m) > 0 {
		t.Errorf("still runs: %v", m)
	}
}

func buildAstern(t *testing.T, source string) *asternCommand {
	t.Helper()
	program := filepath.Join(t.TempDir(), "astern")
	c := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-o", program, "./cmd/astern")
	c.Dir, c.Env = source, append(os.Environ(), "CGO_ENABLED=0") // as the Makefile builds it, so that little is compiled anew
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return &asternCommand{program: program, timeline: newTimeline(t.Output())}
}

// checkSignals has astern read what the shop declares of itself: every member can be read, and the buckets show the margin.
func checkSignals(t *testing.T, s *shop, a *asternCommand) {
	t.Helper()
	a.shop = s
	out, err := a.ask(t.Context(), "check", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	type component struct {
		Address  string
		Signals  []struct{ Check, Verdict, Evidence string }
		Findings []string
	}
	c, err := decode[struct{ Components []component }]("astern check", out)
	i := slices.IndexFunc(c.Components, func(x component) bool { return x.Address == theShop })
	if err != nil || i < 0 || len(c.Components[i].Signals) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, x := range c.Components[i].Signals {
		if x.Verdict != "pass" || !strings.Contains(x.Evidence, "2 of 2 members") {
			t.Errorf("signal %s: %s: %s", x.Check, x.Verdict, x.Evidence)
		}
	}
	for _, f := range c.Components[i].Findings {
		if strings.Contains(f, "bucket") {
			t.Error(f)
		}
	}
}

// failsAfter waits until as many customers have come after the moment, and returns what became of them.
func failsAfter(t *testing.T, g *load.Generator, from time.Time, customers int) load.Figures {
	t.Helper()
	err := until(t.Context(), 30*time.Second, "customers come", func() bool {
		return g.Between(from, time.Now()).Total >= customers
	})
	if err != nil {
		t.Error(err)
	}
	return g.Between(from, time.Now())
}

// checkExpress deploys the release with the broken feature: it harms only while its flag is on, and astern switches it off
// under running instances.
func checkExpress(t *testing.T, s *shop, g *load.Generator, a *asternCommand) {
	t.Helper()
	ctx := t.Context()
	if err := s.deploy(ctx, "shop", expressRelease); err != nil {
		t.Fatal(err)
	}
	if f := failsAfter(t, g, time.Now(), 60); f.Failed > 1 {
		t.Errorf("with the flag off: %+v", f)
	}
	if err := s.switchExpress("ENABLED"); err != nil {
		t.Fatal(err)
	}
	// Each instance has seen it after a tenth of a second; 15 of 100 customers are in a hurry.
	if f := failsAfter(t, g, time.Now().Add(time.Second), 100); f.FailedPercent() < 8 || f.FailedPercent() > 25 {
		t.Errorf("with the flag on: %+v", f)
	}
	pid, err := s.pid("shop", "shop-1")
	if err != nil {
		t.Fatal(err)
	}
	if code, err := a.run(ctx, "off", "features", expressFlag, "--yes", "--reason", "express orders fail"); code != 0 || err != nil {
		t.Fatalf("astern off: exit code %d, %v", code, err)
	}
	if state, err := s.express(); state != "DISABLED" || err != nil {
		t.Errorf("the flag is %s, %v", state, err)
	}
	if f := failsAfter(t, g, time.Now().Add(time.Second), 60); f.Failed > 1 {
		t.Errorf("with the flag off again: %+v", f)
	}
	if now, err := s.pid("shop", "shop-1"); now != pid || err != nil || !s.all("shop", expressRelease) {
		t.Errorf("process %d became %d, %s", pid, now, s.versions("shop"))
	}
}

// checkPayment kills the payment: every instance of the shop fails, and is well again when the payment is.
func checkPayment(t *testing.T, s *shop, g *load.Generator) {
	t.Helper()
	pid, err := s.pid("payment", "payment-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if f := failsAfter(t, g, time.Now().Add(time.Second), 60); f.FailedPercent() < 40 || f.FailedPercent() > 60 {
		t.Errorf("without a payment: %+v", f)
	}
	if err := s.ctl(t.Context(), s.service("payment"), "start", "payment-1"); err != nil {
		t.Fatal(err)
	}
	err = until(t.Context(), 10*time.Second, "the payment answers", func() bool { return s.all("payment", goodRelease) })
	if err != nil {
		t.Error(err)
	}
	if f := failsAfter(t, g, time.Now().Add(time.Second), 60); f.Failed > 1 {
		t.Errorf("with the payment back: %+v", f)
	}
}

// checkWatch has astern watch the shop for a moment, and deploys a release that needs a newer stock: half of the requests fail,
// and astern takes the shop back.
func checkWatch(t *testing.T, s *shop, g *load.Generator, a *asternCommand) {
	t.Helper()
	ctx := t.Context()
	for _, service := range []string{"shop", "stock"} {
		if err := s.deploy(ctx, service, goodRelease); err != nil {
			t.Fatal(err)
		}
	}
	d := &demo{timeline: a.timeline, shop: s, astern: a, load: g, watch: startWatch(ctx, s, a.timeline)}
	defer d.watch.stop()
	defer d.endVigil()
	story := &telling{demo: d, astern: a}
	steps := []func() error{
		func() error { return recordGood(ctx, story) },
		func() error { return d.startVigil(ctx) },
		func() error {
			_, err := story.says(ctx, 30*time.Second, time.Time{}, watching, theShop)
			return err
		},
		func() error { // as much of a past as a large fault needs
			began := time.Now()
			return until(ctx, 2*time.Minute, "customers come", func() bool { return g.Between(began, time.Now()).Total >= 1800 })
		},
		func() error { return story.ships(ctx, badRelease, "3f1c9ae", "reservations") },
		func() error {
			first, err := story.says(ctx, 2*time.Minute, story.fault, noticed, theShop, badRelease)
			if err != nil || first.Incident == "" {
				return fmt.Errorf("%+v, %w", first, err)
			}
			if _, err = story.says(ctx, time.Minute, story.fault, acted, theShop); err != nil {
				return err
			}
			in, err := a.incident(ctx, first.Incident)
			if err == nil && (in.Cause == nil || in.Cause.Revision != badRelease || len(in.Executions) != 1) {
				t.Errorf("%+v", in)
			}
			return err
		},
		func() error {
			return until(ctx, 2*time.Minute, "the shop is back", func() bool { return s.all("shop", goodRelease) })
		},
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
	}
	v := d.vigil
	d.endVigil()
	if v.code != 0 || v.err != nil {
		t.Errorf("astern watch ended with exit code %d, %v", v.code, v.err)
	}
}

// checkKilledInstance kills shop-1 and tries what ctl says and does.
func checkKilledInstance(t *testing.T, s *shop) {
	t.Helper()
	pid := pidOf(filepath.Join(s.service("shop").Root, "run", "shop-1.pid"))
	if code, out := ctl(t, s, "status", "shop-1"); code != 0 || out == "" || pid == 0 {
		t.Fatalf("status of a running instance: %d %q", code, out)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := until(context.Background(), 10*time.Second, "the instance is gone", func() bool {
		code, _ := ctl(t, s, "status", "shop-1")
		return code == 3
	})
	if err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"stop", "shop-1"}, 0}, // stopping what does not run is no error
		{[]string{"start", "shop-1"}, 0},
		{[]string{"start", "shop-1"}, 0}, // starting what runs starts no second one
		{[]string{"status", "shop-1"}, 0},
		{[]string{"status", "shop-9"}, 2},
		{[]string{"status", "../shop-1"}, 2},
		{[]string{"status", "shop-1; true"}, 2},
		{[]string{"dance", "shop-1"}, 2},
		{[]string{"status"}, 2},
	} {
		if code, out := ctl(t, s, c.args...); code != c.code {
			t.Errorf("ctl %q: exit code %d, want %d: %s", c.args, code, c.code, out)
		}
	}
	// A pid file of an earlier life: the id now belongs to somebody else, who must not be taken for the instance.
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return
	}
	root := s.service("shop").Root
	if err := write(filepath.Join(root, "etc", "shop-3.env"), []byte("PROGRAM=shopd\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(root, "run", "shop-3.pid"), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _ := ctl(t, s, "status", "shop-3"); code != 3 {
		t.Errorf("a stranger's process is taken for the instance: exit code %d", code)
	}
	if code, out := ctl(t, s, "start", "shop-3"); code != 1 || !strings.Contains(out, "missing") {
		t.Errorf("start without a release: %d %q", code, out)
	}
}

func TestDeclarationNamesEverything(t *testing.T) {
	s, err := newShop("/srv/demo")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := webshop.Declaration.Execute(&b, s.site); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`root: "/srv/demo/shop"`, `source: "/srv/demo/dist/stock/{revision}"`,
		"{name: shop-2, address: \"" + s.service("shop").Instances[1].Address + "\"}", "depends_on: [stock, payment]", `file: "/srv/demo/flags.json"`,
		"{component: features, flag: express-checkout, affects: express checkout}", "watch: 2s"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("misses %s:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "<no value>") {
		t.Error(b.String())
	}
}

func TestNothingHappensWithWrongOptions(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{
		{Astern: filepath.Join(full, "astern")},
		{Astern: filepath.Join(full, "mine"), Work: full},
		{Astern: filepath.Join(full, "mine"), Source: full},
	} {
		o.Timeline = io.Discard
		if _, err := Run(context.Background(), o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	if entries, err := os.ReadDir(full); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (%v)", entries, err)
	}
}
