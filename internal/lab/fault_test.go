package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// Each fault, as the SDK of Python meets it. What happened to the account is asked after the faults are cleared.
func TestFaults(t *testing.T) {
	a := start(t)
	a.python(`client("s3").create_bucket(Bucket="bbb")`)
	for _, c := range []struct {
		name   string
		fault  Fault
		script string // f() makes the call
		want   string // what f() meets three times
		effect string // what is in the account then
	}{
		{"throttled", Fault{Service: "ssm", Operation: "PutParameter", Count: 2, Status: 400, Code: "ThrottlingException"},
			`f = lambda: client("ssm").put_parameter(Name="p", Value="v", Type="String", Overwrite=True)`,
			"400 ThrottlingException: The lab was told to fail here.|400 ThrottlingException: The lab was told to fail here.|not refused", "1"},
		{"second only", Fault{Service: "s3", Operation: "PutObject", Nth: 2, Count: 1, Status: 503, Code: "SlowDown"},
			`f = lambda: client("s3").put_object(Bucket="bbb", Key="k", Body=b"x")`,
			"not refused|503 SlowDown: The lab was told to fail here.|not refused", "1"},
		{"query protocol", Fault{Service: "cloudformation", Status: 500},
			`f = lambda: client("cloudformation").list_stacks()`,
			strings.Repeat("500 InternalFailure: The lab was told to fail here.|", 3), "0"},
		{"json over rest", Fault{Service: "lambda", Count: 1, Status: 429},
			`f = lambda: client("lambda").list_functions()`, "429 TooManyRequestsException: The lab was told to fail here.|not refused|not refused", "0"},
		{"xml over rest", Fault{Service: "cloudfront", Count: 1, Status: 403},
			`f = lambda: client("cloudfront").list_distributions()`, "403 AccessDenied: The lab was told to fail here.|not refused|not refused", "0"},
		{"request lost", Fault{Service: "ssm", Operation: "PutParameter", Effect: DropRequest},
			`f = lambda: client("ssm").put_parameter(Name="p", Value="v", Type="String", Overwrite=True)`, "ConnectionClosedError|ConnectionClosedError|ConnectionClosedError", "0"},
		{"reply lost", Fault{Service: "ssm", Operation: "PutParameter", Effect: DropReply},
			`f = lambda: client("ssm").put_parameter(Name="p", Value="v", Type="String", Overwrite=True)`, "ConnectionClosedError|ConnectionClosedError|ConnectionClosedError", "1"},
		{"reply cut", Fault{Service: "ssm", Operation: "PutParameter", Count: 1, Effect: Truncate},
			`f = lambda: client("ssm").put_parameter(Name="p", Value="v", Type="String", Overwrite=True)`, "ConnectionClosedError|not refused|not refused", "1"},
		{"late", Fault{Service: "ssm", Operation: "PutParameter", Delay: Span(time.Millisecond)},
			`f = lambda: client("ssm").put_parameter(Name="p", Value="v", Type="String", Overwrite=True)`, "not refused|not refused|not refused", "1"},
	} {
		if _, err := a.AddFault(c.fault); err != nil {
			t.Fatal(c.name, err)
		}
		if got := a.python(c.script + "\nprint('|'.join(refused(f) for _ in range(3)))"); strings.TrimSuffix(c.want, "|") != got {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		a.ClearFaults()
		got := a.python(`
print(len(client("ssm").describe_parameters()["Parameters"]) + len(client("s3").list_objects_v2(Bucket="bbb").get("Contents", [])))
client("ssm").delete_parameters(Names=["p"])
client("s3").delete_object(Bucket="bbb", Key="k")`)
		if got != c.effect {
			t.Errorf("%s: the account has %s, want %s", c.name, got, c.effect)
		}
	}
	hits := 0
	for _, e := range a.Calls("", "", 0) {
		if e.Fault != 0 {
			hits++
		}
		if e.Effect == DropRequest && e.Status != 0 {
			t.Errorf("a lost request has a status: %+v", e)
		}
	}
	if want := 2 + 1 + 3 + 1 + 1 + 3 + 3 + 1 + 3; hits != want {
		t.Errorf("the journal knows of %d hits, want %d", hits, want)
	}
}

// A reply that is cut has its status, its headers and half of its body.
func TestTruncatedReply(t *testing.T) {
	a := start(t)
	a.python(`client("s3").create_bucket(Bucket="bbb"); client("s3").put_object(Bucket="bbb", Key="k", Body=b"0123456789", ACL="public-read")`)
	if _, err := a.AddFault(Fault{Service: "s3", Effect: Truncate}); err != nil {
		t.Fatal(err)
	}
	r, err := http.Get(a.URL + "/bbb/k")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if r.StatusCode != 200 || r.ContentLength != 10 || string(body) != "01234" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d, length %d, %q, %v", r.StatusCode, r.ContentLength, body, err)
	}
}

// The client's own retries get past a fault that ends, and the journal counts them.
func TestRetriesAreCounted(t *testing.T) {
	a := start(t)
	if _, err := a.AddFault(Fault{Service: "ecs", Count: 2, Status: 503}); err != nil {
		t.Fatal(err)
	}
	a.python(`client("ecs", attempts=4).list_clusters()`)
	if got := a.Calls("ecs", "ListClusters", 0); len(got) != 3 || got[0].Status != 503 || got[1].Status != 503 || got[2].Status != 200 {
		t.Errorf("%+v", got)
	}
}

// Chance follows from the seed.
func TestChanceIsSeeded(t *testing.T) {
	draw := func(seed uint64) string {
		var f faults
		f.reset(seed)
		f.rules = []*Fault{{Probability: 0.3, Nth: 1, Status: 500}}
		out := ""
		for range 200 {
			if f.pick(&Call{}) != nil {
				out += "x"
			} else {
				out += "."
			}
		}
		return out
	}
	first, again := draw(7), draw(7)
	if first != again || first == draw(8) {
		t.Error("the same seed must hit the same calls, another one others")
	}
	if n := strings.Count(draw(7), "x"); n < 40 || n > 80 {
		t.Errorf("of 200 calls %d are hit, 60 expected", n)
	}
}

func TestFaultsThatMakeNoSense(t *testing.T) {
	models, err := loadModels()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`{}`, `{"service":"s33","status":500}`, `{"service":"s3","operation":"PutObjekt","status":500}`, `{"operation":"PutObject","status":500}`,
		`{"status":200}`, `{"status":418}`, `{"status":500,"effect":"drop-reply"}`, `{"effect":"explode"}`, `{"delay":"6m"}`, `{"delay":"-1s"}`,
		`{"status":500,"probability":1.5}`, `{"status":500,"nth":-1}`, `{"status":500,"count":-1}`, `{"status":700,"code":"x"}`,
	} {
		var f Fault
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatal(text, err)
		}
		if _, err := f.checked(models); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestFaultsAreBounded(t *testing.T) {
	l, err := New("http://127.0.0.1:9", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxFaults + 1 {
		if _, err = l.AddFault(Fault{Status: 500}); (err != nil) != (i == maxFaults) {
			t.Fatal(fmt.Sprint(i), err)
		}
	}
}
