package cloudwatch_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/lab"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/cloudwatch"
)

var sharedMoto *lab.Moto

func TestMain(m *testing.M) {
	code := m.Run()
	if sharedMoto != nil {
		sharedMoto.Stop()
	}
	os.Exit(code)
}

// account is an empty lab with a reader of it; the clock of both is the lab's.
type account struct {
	*testing.T
	*lab.Lab
	reader   *cloudwatch.Reader
	accounts *awsapi.Accounts
	sdk      *sdk.Client
	read     *awsapi.Session
	base     time.Time // the lab's time at the beginning, at a whole hour
}

func start(t *testing.T) *account {
	t.Helper()
	if _, err := exec.LookPath("moto_server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI=true, and there is no moto_server")
		}
		t.Skip("there is no moto_server")
	}
	if sharedMoto == nil {
		m, err := lab.StartMoto(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		sharedMoto = m
	}
	l, err := lab.New(sharedMoto.URL, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(l)
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "lab")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "lab")
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	accounts := awsapi.New()
	t.Cleanup(func() {
		accounts.Close()
		server.Close()
		l.Close()
	})
	session, err := accounts.Session(t.Context(), awsapi.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	a := &account{T: t, Lab: l, accounts: accounts, reader: cloudwatch.New(accounts, l.Now), sdk: sdk.NewFromConfig(session.Act), read: session}
	a.until(a.Now().Truncate(time.Hour).Add(time.Hour + 10*time.Second)) // the tests count minutes from a whole hour
	a.base = a.Now().Truncate(time.Hour)
	return a
}

// until lets time go by until the moment.
func (a *account) until(at time.Time) {
	a.Helper()
	if _, err := a.Step(a.Context(), at.Sub(a.Now())); err != nil {
		a.Fatal(err)
	}
}

// minute lets time go by until that minute after the beginning, and a moment.
func (a *account) minute(n float64) {
	a.Helper()
	a.until(a.base.Add(time.Duration(n*60)*time.Second + 5*time.Second))
}

func (a *account) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// put puts values of a metric into the middle of a minute after the beginning; dimensions are name, value, name, value …
func (a *account) put(minute int, metric string, values []float64, dimensions ...string) {
	a.Helper()
	d := types.MetricDatum{MetricName: &metric, Timestamp: aws.Time(a.base.Add(time.Duration(minute)*time.Minute + 30*time.Second)), Values: values}
	for i := 0; i < len(dimensions); i += 2 {
		d.Dimensions = append(d.Dimensions, types.Dimension{Name: &dimensions[i], Value: &dimensions[i+1]})
	}
	_, err := a.sdk.PutMetricData(a.Context(), &sdk.PutMetricDataInput{Namespace: aws.String("Shop"), MetricData: []types.MetricDatum{d}})
	a.must(err)
}

func (a *account) fault(service, operation string, f lab.Fault) {
	a.Helper()
	f.Service, f.Operation = service, operation
	if f.Nth == 0 {
		f.Nth = 1
	}
	_, err := a.AddFault(f)
	a.must(err)
}

// ask is of a function's alias that serves the revisions.
func ask(s astern.CloudWatchSource, kind astern.SignalKind, revisions ...string) signal.Ask {
	s.Namespace, s.PeriodSeconds = "Shop", 60
	if s.Dimensions == nil {
		s.Dimensions = map[string]string{"Function": "f"}
	}
	a := signal.Ask{Signal: astern.Signal{Name: "errors", Address: "test/f", Kind: kind, CloudWatch: &s}}
	for _, r := range revisions {
		a.Members = append(a.Members, signal.Member{Name: r, Address: r[1:]})
	}
	return a
}

var errorsOf = astern.CloudWatchSource{Total: "Calls", Bad: "Errors", SettleSeconds: 60}

// one reads one signal.
func (a *account) one(q signal.Ask) signal.Answer {
	a.Helper()
	return a.reader.Read(a.Context(), []signal.Ask{q})[0]
}

// calls counts the calls of an operation that reached the lab.
func (a *account) calls(operation string) int { return len(a.Calls("", operation, 0)) }
