package lab

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// visit asks the edge and tells what a visitor sees.
func visit(t *testing.T, url, host string) string {
	t.Helper()
	q, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Host = host
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	how, _, _ := strings.Cut(r.Header.Get("X-Cache"), " ")
	return strings.TrimSpace(fmt.Sprintf("%d %s %s %s", r.StatusCode, how, body, r.Header.Get("Age")))
}

// An edge keeps what the bucket had as long as its cache header says, until an invalidation is completed.
func TestEdge(t *testing.T) {
	a := start(t)
	at := a.python(makeDistribution + `
s3 = client("s3"); s3.create_bucket(Bucket="site")
def put(k, body, cc=None): s3.put_object(Bucket="site", Key=k, Body=body, ContentType="text/html", **({"CacheControl": cc} if cc else {}))
put("index.html", "v1", "max-age=60"); put("never", "v1", "no-cache"); put("usual", "v1"); put("a b/ü", "v1", "public, max-age=5, s-maxage=100")
c = config(); c["DefaultRootObject"] = "index.html"; c["DefaultCacheBehavior"]["DefaultTTL"] = 30; c["DefaultCacheBehavior"]["MaxTTL"] = 100000
d = cf.create_distribution(DistributionConfig=c)["Distribution"]; print(d["Id"], d["DomainName"])`)
	id, domain, _ := strings.Cut(at, " ")
	edge := a.URL + edgePath + id
	look := func(path, want string) {
		t.Helper()
		if got := visit(t, edge+path, ""); !sameButSeconds(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	step := func(by time.Duration) {
		t.Helper()
		if _, err := a.Step(t.Context(), by); err != nil {
			t.Fatal(err)
		}
	}
	look("/", "200 Miss v1")
	look("/index.html", "200 Hit v1 0")
	look("/never", "200 Miss v1")
	look("/usual", "200 Miss v1")
	look("/a%20b/%C3%BC", "200 Miss v1")
	look("/gone", "403 Error <Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
	if got := visit(t, a.URL+"/", domain); !sameButSeconds(got, "200 Hit v1 0") {
		t.Errorf("by its host: %s", got)
	}
	a.python(`
s3 = client("s3")
for k in ("index.html", "never", "usual", "a b/ü"): s3.put_object(Bucket="site", Key=k, Body="v2")
s3.put_object(Bucket="site", Key="gone", Body="here")`)
	step(20 * time.Second)
	look("/index.html", "200 Hit v1 20") // the old page, although the bucket has the new one
	look("/never", "200 Miss v2")
	look("/gone", "200 Miss here") // the error was kept for ten seconds
	step(20 * time.Second)
	look("/usual", "200 Miss v2")
	look("/a%20b/%C3%BC", "200 Hit v1 40")
	a.python(makeDistribution + `
id = "` + id + `"; invalidate("one", "/index.html", "/a*")`)
	look("/index.html", "200 Hit v1 40") // it is under way
	step(invalidationTakes)
	look("/index.html", "200 Miss v2")
	look("/a%20b/%C3%BC", "200 Miss v2")
	look("/index.html", "200 Hit v2 0")
	look("/usual", "200 Hit v2 2")
	step(31 * time.Second)
	look("/usual", "200 RefreshHit v2")
	if got := visit(t, a.URL+edgePath+"ENONE/", ""); got != "404 Error The lab has no such distribution." {
		t.Error(got)
	}
}

// sameButSeconds reports whether an answer is the one that was expected, at most a few seconds older: the lab's clock is stepped, and
// it goes on, too.
func sameButSeconds(got, want string) bool {
	before, age, _ := strings.Cut(got, " v")
	wanted, atLeast, _ := strings.Cut(want, " v")
	var v, n, w, m int
	if c, _ := fmt.Sscan(age, &v, &n); c != 2 {
		return got == want
	}
	c, _ := fmt.Sscan(atLeast, &w, &m)
	return c == 2 && before == wanted && v == w && n >= m && n < m+10
}

// What is deployed is followed, not what was only asked for.
func TestEdgeFollowsWhatIsDeployed(t *testing.T) {
	a := start(t)
	id := a.python(makeDistribution + `
s3 = client("s3"); s3.create_bucket(Bucket="site"); s3.put_object(Bucket="site", Key="x", Body="x"); s3.put_object(Bucket="site", Key="new/x", Body="new")
r = cf.create_distribution(DistributionConfig=config()); d = r["Distribution"]
c = config(); c["Origins"]["Items"][0]["OriginPath"] = "/new"; c["DefaultCacheBehavior"] = {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all", "CachePolicyId": "` + cachingDisabled + `"}
cf.update_distribution(Id=d["Id"], IfMatch=r["ETag"], DistributionConfig=c); print(d["Id"])`)
	if got := visit(t, a.URL+edgePath+id+"/x", ""); got != "200 Miss x" {
		t.Error(got)
	}
	if _, err := a.Step(t.Context(), 25*time.Hour); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := visit(t, a.URL+edgePath+id+"/x", ""); got != "200 Miss new" {
			t.Error(got)
		}
	}
}

func TestWild(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"/a*", "/a/b", true}, {"/a*", "/b", false}, {"*", "", true}, {"/*", "/", true}, {"*.js", "a/b.js", true}, {"*.js", "a.jsx", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"/index.html", "/index.html", true}, {"a*b*c", "axxbyyc", true}, {"a*b*c", "axxbyy", false},
		{strings.Repeat("*a", 40), strings.Repeat("a", 5000) + "b", false},
	} {
		if got := wild(c.pattern, c.s); got != c.want {
			t.Errorf("%.20s on %.20s: %v", c.pattern, c.s, got)
		}
	}
}

func TestFreshness(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		header, value string
		want          time.Duration
	}{
		{"", "", 300 * time.Second}, {"Cache-Control", "max-age=50", 50 * time.Second}, {"Cache-Control", "max-age=5", 10 * time.Second},
		{"Cache-Control", "max-age=9999", 1000 * time.Second}, {"Cache-Control", "max-age=50, s-maxage=70", 70 * time.Second},
		{"Cache-Control", "no-store", 10 * time.Second}, {"Cache-Control", "private, max-age=50", 10 * time.Second}, {"Cache-Control", "max-age=x", 300 * time.Second},
		{"Expires", now.Add(40 * time.Second).Format(http.TimeFormat), 40 * time.Second}, {"Expires", "0", 300 * time.Second},
	} {
		if got := freshness(http.Header{c.header: {c.value}}, now, 10*time.Second, 300*time.Second, 1000*time.Second); got != c.want {
			t.Errorf("%s: %s: %s, want %s", c.header, c.value, got, c.want)
		}
	}
}
