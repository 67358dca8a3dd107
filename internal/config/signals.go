package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
	"github.com/astern-dev/astern/internal/signal"
)

var labelName = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// signalSources are what a signal may be read from.
var signalSources = []string{"prometheus", "scrape", "command", "cloudwatch", "alarm"}

// judgeSignal reports what is wrong with a signal as a whole and with each text of it.
func (f *file) judgeSignal(path, kind string, s Signal) {
	if f.reported[path] {
		return
	}
	kinds := []string{string(astern.SignalErrors), string(astern.SignalLatency), string(astern.SignalThroughput), string(astern.SignalBusiness), string(astern.SignalAlarm)}
	if !slices.Contains(kinds, string(s.Kind)) && !f.broken(join(path, "kind")) {
		f.at(join(path, "kind"), "{} must be one of "+strings.Join(kinds, ", "), didYouMean(string(s.Kind), kinds, ""))
	}
	var given []string
	for _, key := range signalSources {
		if f.locate(join(path, key)).found {
			given = append(given, key)
		}
	}
	switch {
	case len(given) == 0:
		f.at(path, "{} has none of "+strings.Join(signalSources, ", "), "give the signal one of them")
	case len(given) > 1:
		f.at(path, "{} has several of "+strings.Join(signalSources, ", ")+": "+strings.Join(given, ", "), "make a signal of each")
	case (s.Kind == astern.SignalAlarm) != (given[0] == "alarm") && !f.broken(join(path, "kind")):
		f.at(join(path, "kind"), "{} "+string(s.Kind)+" does not go with "+given[0], "the kind alarm is read from alarm, every other one from another source")
	}
	f.judgeMargin(path, s)
	switch at := join(path, "counts"); {
	case s.Counts == "" || f.broken(at):
	case s.Counts != "requests" && s.Counts != astern.CountsUsers:
		f.at(at, "{} must be requests or users", didYouMean(s.Counts, []string{"requests", astern.CountsUsers}, ""))
	case s.Kind != astern.SignalErrors:
		f.at(at, "{} is for the kind errors", "remove it")
	}
	if p := s.Prometheus; p != nil {
		at := join(path, "prometheus")
		f.judgeHTTP(at, HTTP{URL: p.URL, Headers: p.Headers})
		if strings.ContainsAny(p.URL, "{}?#") && !f.reported[join(at, "url")] {
			f.at(join(at, "url"), "{} must be that of the server alone, without placeholders, ? and #", "")
		}
		if m := join(at, "member"); !f.broken(m) && (!labelName.MatchString(p.Member) || p.Member == "le" || strings.HasPrefix(p.Member, "__")) {
			f.at(m, show(p.Member)+" is no name of a label that tells members apart", "instance or pod, for example")
		}
		f.judgeSelectors(at, s.Kind, p.Total, p.Bad, p.Histogram)
	}
	if c := s.Scrape; c != nil {
		at := join(path, "scrape")
		f.judgeHTTP(at, HTTP{URL: c.URL, Headers: c.Headers})
		f.judgeMemberURL(join(at, "url"), c.URL)
		f.judgeSelectors(at, s.Kind, c.Total, c.Bad, c.Histogram)
	}
	if c := s.Command; c != nil {
		f.judgeCommand(join(path, "command"), astern.CommandCheck{Argv: c.Argv})
		for name := range c.Env {
			if at := join(path, "command", "env", name); !variable.MatchString(name) {
				f.atKey(at, show(name)+" is not the name of an environment variable", "")
			}
		}
	}
	if s.CloudWatch != nil {
		f.judgeCloudWatch(join(path, "cloudwatch"), kind, s)
	}
	if s.Alarm != nil {
		f.judgeAlarm(join(path, "alarm"), s)
	}
}

func (f *file) judgeMargin(path string, s Signal) {
	if m := s.Margin; m != nil && (*m <= 0 || *m > 1_000 || *m >= 100 && s.Kind == astern.SignalErrors) {
		f.at(join(path, "margin"), fmt.Sprintf("{} of %g is no margin", *m), "leave it out for that of the kind")
	}
	q := s.Quantile
	switch at := join(path, "quantile"); {
	case q == nil:
	case s.Kind != astern.SignalLatency:
		f.at(at, "{} is for the kind latency", "remove it")
	case *q <= 0 || *q >= 100:
		f.at(at, fmt.Sprintf("{} must be above 0 and below 100: %g", *q), "95 looks at the slowest twentieth")
	}
}

func (f *file) judgeMemberURL(at, text string) {
	for _, p := range placeholder.FindAllString(text, -1) {
		if p != "{member}" && p != "{address}" && !strings.HasPrefix(p, "$") {
			f.at(at, "unknown placeholder "+p, "known placeholders: {member}, {address}")
			return
		}
	}
	if u, err := url.Parse(bound(text, "host", "1")); err != nil || f.reported[at] || u.Fragment != "" {
		return // said already, or nothing that is sent
	}
	if !strings.Contains(text, "{member}") && !strings.Contains(text, "{address}") {
		f.at(at, "{} is the same for every member: each would count what all do", "write {address} or {member} where they differ")
	}
}

// judgeSelectors reports selectors that can't be read and those that the kind needs or has no use for.
func (f *file) judgeSelectors(path string, kind astern.SignalKind, total, bad, histogram string) {
	for _, s := range []struct{ key, text string }{{"total", total}, {"bad", bad}, {"histogram", histogram}} {
		at := join(path, s.key)
		if s.text == "" || f.broken(at) {
			continue
		}
		if _, err := signal.ParseSelector(s.text); err != nil {
			f.at(at, err.Error(), `write a metric's name with label matchers: http_requests_total{code=~"5.."}; astern does sums and rates itself`)
		} else if s.key == "histogram" && strings.HasSuffix(strings.SplitN(s.text, "{", 2)[0], "_bucket") {
			f.at(at, "{} is named without _bucket", "")
		}
	}
	missing := func(key, why string) {
		if !f.broken(join(path, key)) {
			f.at(path, fmt.Sprintf("{} has no %s, %s", key, why), "")
		}
	}
	switch {
	case kind == astern.SignalLatency && histogram == "":
		missing("histogram", "which the kind latency is read from")
	case kind == astern.SignalErrors && total == "":
		missing("total", "which failures are a share of")
	case kind == astern.SignalErrors && bad == "":
		missing("bad", "which says what a failure is")
	case kind != astern.SignalLatency && total == "" && histogram == "":
		missing("total", "which says what is counted")
	case bad != "" && total == "":
		missing("total", "which failures are a share of")
	}
}

func signalOf(address, name, kind string, d declared, s Signal) astern.Signal {
	out := astern.Signal{Name: name, Address: address, Kind: s.Kind}
	if s.Counts == astern.CountsUsers {
		out.Counts = s.Counts
	}
	if s.Margin != nil {
		out.Margin = *s.Margin
	}
	if s.Quantile != nil {
		out.Quantile = *s.Quantile
	}
	if p := s.Prometheus; p != nil {
		out.Prometheus = &astern.PrometheusSource{URL: p.URL, Total: p.Total, Bad: p.Bad, Histogram: p.Histogram, Member: p.Member}
		out.Prometheus.Headers, out.Prometheus.SecretHeaders = apart(p.Headers)
	}
	if c := s.Scrape; c != nil {
		out.Scrape = &astern.ScrapeSource{URL: c.URL, Total: c.Total, Bad: c.Bad, Histogram: c.Histogram}
		out.Scrape.Headers, out.Scrape.SecretHeaders = apart(c.Headers)
	}
	if c := s.Command; c != nil {
		out.Command = &astern.CommandSource{Argv: c.Argv}
		out.Command.Env, out.Command.SecretEnv = apart(c.Env)
	}
	if s.CloudWatch != nil {
		out.CloudWatch = cloudWatchOf(kind, d, s)
	}
	return out
}

// apart divides values into plain and secret ones.
func apart(values map[string]HeaderValue) (plain map[string]string, secret map[string]astern.Secret) {
	for name, v := range values {
		if v.Secret != nil {
			put(&secret, name, *v.Secret)
		} else {
			put(&plain, name, v.Plain)
		}
	}
	return plain, secret
}
