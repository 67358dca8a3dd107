package awss3site

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/astern-dev/astern/internal/awsapi/awstest"
)

func TestMain(m *testing.M) {
	os.Unsetenv("AWS_CA_BUNDLE") // the account of the tests is reached in the clear
	os.Exit(awstest.Main(m))
}

// cloud stands before the account of the tests and does, as documented, what moto does not: invalidations, which moto
// completes at once under a status that no waiter knows, and makes anew when the reference of the caller repeats; and an edge.
type cloud struct {
	*awstest.Account
	server *httptest.Server
	mu     sync.Mutex
	made   []*made
	held   map[string]held   // by host and path: what the edge holds
	origin map[string]string // by distribution: its bucket
	stuck  map[string]bool   // by bucket: the edge forgets nothing
	lose   map[string]bool   // by distribution: the reply to the next invalidation is lost
}

// made is an invalidation.
type made struct {
	distribution, reference, id string
	asked                       int
	at                          time.Time
}

// held is what an edge holds of one object.
type held struct {
	body   []byte
	header http.Header
	at     time.Time
}

var theCloud = sync.OnceValue(func() *cloud {
	return &cloud{origin: map[string]string{}, held: map[string]held{}, stuck: map[string]bool{}, lose: map[string]bool{}}
})

// newCloud returns the one cloud of the tests.
func newCloud(t testing.TB) *cloud {
	t.Helper()
	account := awstest.Start(t)
	c := theCloud()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		c.Account = account
		to, _ := url.Parse(account.URL)
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
		c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(w, r, proxy) }))
		os.Setenv("AWS_ENDPOINT_URL_S3", c.server.URL)
		os.Setenv("AWS_ENDPOINT_URL_CLOUDFRONT", c.server.URL)
	}
	return c
}

func (c *cloud) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) >= 4 && parts[1] == "distribution" && parts[3] == "invalidation" {
		c.invalidation(w, r, parts)
		return
	}
	next.ServeHTTP(w, r)
}

type batchXML struct {
	XMLName   xml.Name `xml:"InvalidationBatch"`
	Reference string   `xml:"CallerReference"`
	Paths     struct {
		Quantity int      `xml:"Quantity"`
		Items    []string `xml:"Items>Path"`
	} `xml:"Paths"`
}

// invalidation answers the three calls about invalidations. One is completed the second time that it is asked for.
func (c *cloud) invalidation(w http.ResponseWriter, r *http.Request, parts []string) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "text/xml")
	one := func(m *made) string {
		status := "InProgress"
		if m.asked > 1 {
			status = "Completed"
			maps.DeleteFunc(c.held, func(at string, _ held) bool {
				bucket, _, _ := strings.Cut(at, "/")
				return bucket == c.origin[m.distribution] && !c.stuck[bucket]
			})
		}
		return fmt.Sprintf(`<Invalidation><Id>%s</Id><Status>%s</Status><CreateTime>%s</CreateTime><InvalidationBatch><CallerReference>%s</CallerReference>`+
			`<Paths><Quantity>1</Quantity><Items><Path>/*</Path></Items></Paths></InvalidationBatch></Invalidation>`, m.id, status, m.at.Format(time.RFC3339), m.reference)
	}
	switch {
	case r.Method == http.MethodPost:
		var batch batchXML
		if xml.Unmarshal(body, &batch) != nil || len(batch.Paths.Items) != batch.Paths.Quantity {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, m := range c.made {
			if m.distribution == parts[2] && m.reference == batch.Reference {
				fmt.Fprint(w, one(m))
				return
			}
		}
		m := &made{parts[2], batch.Reference, fmt.Sprintf("I%d", len(c.made)+1), 0, time.Now().UTC()}
		c.made = append(c.made, m)
		if c.lose[m.distribution] {
			delete(c.lose, m.distribution)
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, one(m))
	case len(parts) == 5:
		for _, m := range c.made {
			if m.id == parts[4] {
				m.asked++
				fmt.Fprint(w, one(m))
			}
		}
	default:
		fmt.Fprint(w, `<InvalidationList><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems><Items>`)
		for i := len(c.made) - 1; i >= 0; i-- {
			if m := c.made[i]; m.distribution == parts[2] {
				fmt.Fprintf(w, `<InvalidationSummary><Id>%s</Id><CreateTime>%s</CreateTime><Status>InProgress</Status></InvalidationSummary>`, m.id, m.at.Format(time.RFC3339))
			}
		}
		fmt.Fprint(w, `</Items></InvalidationList>`)
	}
}

// edge is a server that holds what it got from the bucket until it is told to forget.
func (c *cloud) edge(t testing.TB, bucket, prefix string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if path == "/" {
			path = "/index.html"
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		h, ok := c.held[bucket+path]
		w.Header().Set("X-Cache", "Hit from cloudfront")
		if !ok {
			req, _ := http.NewRequest(http.MethodGet, c.Account.URL+"/"+bucket+"/"+prefix+strings.TrimPrefix(path, "/"), nil)
			req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIATEST/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusOK {
				w.WriteHeader(resp.StatusCode)
				return
			}
			h = held{body, resp.Header, time.Now()}
			c.held[bucket+path] = h
			w.Header().Set("X-Cache", "Miss from cloudfront")
		} else {
			w.Header().Set("Age", fmt.Sprint(int(time.Since(h.at).Seconds())))
		}
		for _, name := range []string{"Cache-Control", "Content-Type"} {
			if v := h.header.Get(name); v != "" {
				w.Header().Set(name, v)
			}
		}
		_, _ = w.Write(h.body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// invalidations counts those that were made of a distribution.
func (c *cloud) invalidations(distribution string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, m := range c.made {
		if m.distribution == distribution {
			n++
		}
	}
	return n
}
