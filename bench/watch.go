package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	watchComponents = 1000
	watchMembers    = 4 // of each
	watchWarm       = 150 * time.Second
	watchMeasured   = 60 * time.Second
)

// watch measures what watching a thousand components costs, with three signals each every ten seconds, beside the real
// Prometheus that collects those signals: processor time of the watch and of all that it starts, in percent of one core, and
// the most memory that it had.
func (b *bench) watch() ([]figure, error) {
	dir := filepath.Join(b.folder, "watch")
	target := httptest.NewServer(http.HandlerFunc(exposeThousand))
	defer target.Close()
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if err := b.watchWorld(dir, strings.TrimPrefix(target.URL, "http://"), address); err != nil {
		return nil, err
	}
	prometheus := exec.CommandContext(b.ctx, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+address, "--log.level=error")
	watch := exec.CommandContext(b.ctx, b.astern, "watch", "--every", "10s", "-o", "json")
	for _, p := range []*exec.Cmd{prometheus, watch} {
		p.Dir = dir
		log, err := os.Create(filepath.Join(dir, filepath.Base(p.Path)+".log"))
		if err != nil {
			return nil, err
		}
		defer log.Close()
		p.Stdout, p.Stderr = log, log
		if err := p.Start(); err != nil {
			return nil, fmt.Errorf("starting %s: %w", p.Path, err)
		}
		defer func() {
			_ = p.Process.Signal(os.Interrupt) // it may have ended
			_ = p.Wait()
		}()
		if p == prometheus {
			time.Sleep(25 * time.Second) // two scrapes
		}
	}
	time.Sleep(watchWarm)
	ours, theirs := cpuSeconds(watch.Process.Pid), cpuSeconds(prometheus.Process.Pid)
	time.Sleep(watchMeasured)
	ours, theirs = cpuSeconds(watch.Process.Pid)-ours, cpuSeconds(prometheus.Process.Pid)-theirs
	peak := peakMB(watch.Process.Pid)
	if err := b.watched(dir); err != nil {
		return nil, err
	}
	percent, other := 100*ours/watchMeasured.Seconds(), 100*theirs/watchMeasured.Seconds()
	cpu := compared("watch-1000-components", "% of a core", percent, "the Prometheus that scrapes and answers", other, 0)
	cpu.Goal, cpu.OK = 20, percent <= 20
	return []figure{cpu, {Name: "watch-1000-components-memory", Value: round(peak), Unit: "MB", Goal: 200, OK: peak <= 200}}, nil
}

// watched refuses a measurement in which the watch saw less than all.
func (b *bench) watched(dir string) error {
	log, err := os.ReadFile(filepath.Join(dir, "astern.log"))
	if err != nil {
		return err
	}
	text := string(log)
	// That a count can't be judged where nothing new runs is said once of each, and is no loss here.
	trouble := strings.Count(text, `"kind":"trouble"`) - strings.Count(text, `a count can't be judged without members on the old revision`)
	if n := strings.Count(text, `"kind":"watching"`); n != watchComponents || trouble > 0 {
		return fmt.Errorf("it watched %d components, and said: %.2000s", n, text[strings.LastIndex(text, `"kind":"watching"`):])
	}
	status, err := exec.CommandContext(b.ctx, b.astern, "status", "-f", filepath.Join(dir, "astern.yaml"), "-o", "json").Output()
	if err != nil {
		return err
	}
	if n := strings.Count(string(status), `errors not worse`); n < watchComponents/2 {
		return fmt.Errorf("of %d components it knows that their errors are not worse: %.1500s", n, status)
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// watchWorld writes the declarations of both.
func (b *bench) watchWorld(dir, target, address string) error {
	var y strings.Builder
	y.WriteString("version: 1\nsystem: thousand\nenvironments:\n  production:\n    components:\n")
	for c := range watchComponents {
		name := fmt.Sprintf("c%d", c)
		if err := os.MkdirAll(filepath.Join(dir, "roots", name, "releases", "v1"), 0o700); err != nil {
			return err
		}
		fmt.Fprintf(&y, "      %s:\n        kind: host.service\n        signals:\n", name)
		source := fmt.Sprintf(`prometheus: {url: "http://%s", member: member, `, address)
		fmt.Fprintf(&y, "          errors: {kind: errors, %stotal: 'requests_total{component=%q}', bad: 'requests_total{component=%q,code=\"500\"}'}}\n", source, name, name)
		fmt.Fprintf(&y, "          latency: {kind: latency, %shistogram: 'latency_seconds{component=%q}'}}\n", source, name)
		fmt.Fprintf(&y, "          orders: {kind: business, %stotal: 'orders_total{component=%q}'}}\n", source, name)
		fmt.Fprintf(&y, "        with:\n          root: roots/%s\n          link: current-{instance}\n          instances: [", name)
		for m := range watchMembers {
			if err := os.Symlink("releases/v1", filepath.Join(dir, "roots", name, fmt.Sprintf("current-%s-m%d", name, m))); err != nil {
				return err
			}
			fmt.Fprintf(&y, "{name: %s-m%d, address: \"127.0.0.1:%d\"}, ", name, m, 20_000+watchMembers*c+m)
		}
		y.WriteString("]\n          commands: {restart: [\"true\"]}\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "astern.yaml"), []byte(y.String()), 0o600); err != nil {
		return err
	}
	config := "global: {scrape_interval: 10s}\nscrape_configs: [{job_name: all, honor_labels: true, static_configs: [{targets: [\"" + target + "\"]}]}]\n"
	return os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600)
}

// watchBounds are those of the histograms, and how many of a thousand requests take at most that long: the 95th percentile
// lies between two bounds that can show a quarter more.
var watchBounds = []struct {
	le       string
	permille int64
}{{"0.005", 100}, {"0.01", 200}, {"0.025", 400}, {"0.05", 600}, {"0.1", 930}, {"0.125", 960}, {"0.25", 980}, {"0.5", 990}, {"1", 995}, {"2.5", 998}, {"5", 1000}, {"+Inf", 1000}}

// exposeThousand prints counters of all members that grow with the time.
func exposeThousand(w http.ResponseWriter, _ *http.Request) {
	n := time.Now().Unix() - 1_700_000_000
	out := bufio.NewWriterSize(w, 1<<20)
	defer out.Flush()
	for c := range watchComponents {
		for m := range watchMembers {
			labels := fmt.Sprintf(`component="c%d",member="c%d-m%d"`, c, c, m)
			fmt.Fprintf(out, "requests_total{%s,code=\"200\"} %d\nrequests_total{%s,code=\"500\"} %d\norders_total{%s} %d\n", labels, 50*n, labels, n/10, labels, 3*n)
			for _, b := range watchBounds {
				fmt.Fprintf(out, "latency_seconds_bucket{%s,le=%q} %d\n", labels, b.le, 50*n*b.permille/1000)
			}
			fmt.Fprintf(out, "latency_seconds_count{%s} %d\nlatency_seconds_sum{%s} %d\n", labels, 50*n, labels, n)
		}
	}
}

// cpuSeconds is what a process took, and all that it started and waited for.
func cpuSeconds(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	sum := 0.0
	for _, i := range []int{11, 12, 13, 14} { // user and system time, its own and its children's
		n, _ := strconv.ParseFloat(fields[i], 64)
		sum += n
	}
	const ticks = 100 // a second, on every Linux that Go runs on
	return sum / ticks
}

// peakMB is the most memory that a process had.
func peakMB(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kb float64
	_, _ = fmt.Sscan(rest, &kb) // 0 when it is gone
	return kb / 1000
}
