package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/examples/rastup"
	"github.com/astern-dev/astern/examples/rastup/account"
	"github.com/astern-dev/astern/internal/canary"
	"github.com/astern-dev/astern/internal/proc"
)

// cloud is the system of examples/rastup in an account of the lab, in a folder of its own, which every process of the story is marked with:
//
//	.astern-lab/               the lab
//	astern.yaml, .astern/      what astern knows
type cloud struct {
	folder   string
	source   string // folder of astern's source code
	url      string // of the lab, once it is up
	declared rastup.Lab
	account  *account.Account
	client   *http.Client
}

// programs are what the story needs beside astern.
var programs = []string{"moto_server", "aws"}

// missing says why the story can't be told on this machine, "" when it can.
func missing(source string) string {
	for _, name := range programs {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if _, err := exec.LookPath(filepath.Join(motoFolder(source), name)); err != nil {
			return "it needs an emulated account, and there is no " + name + " on PATH (scripts/need.sh lab installs moto and awscli)"
		}
	}
	return ""
}

// leftOut are the stories that can't be told on this machine. Under CI=true all are told, and one that can't be fails.
func leftOut(source string) []LeftOut {
	if why := missing(source); why != "" && os.Getenv("CI") != "true" {
		return []LeftOut{{Name: awsRelease, Because: why}}
	}
	return nil
}

// motoFolder is where scripts/need.sh installs what is not on PATH.
func motoFolder(source string) string { return filepath.Join(source, "build", "moto", "bin") }

func (c *cloud) dir() string { return c.folder }

// environment is what processes of the story inherit: nothing of the person's own account, and a secret where AWS has one. The
// lab takes any.
func (c *cloud) environment() []string {
	var out []string
	for _, e := range os.Environ() {
		if name, value, _ := strings.Cut(e, "="); name == "PATH" {
			out = append(out, "PATH="+value+string(os.PathListSeparator)+motoFolder(c.source))
		} else if !strings.HasPrefix(name, "ASTERN_") && !strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "CLICOLOR") {
			out = append(out, e)
		}
	}
	out = append(append(out, canary.Environ()...), marker+"="+c.folder, "NO_COLOR=1", "TERM=dumb", "AWS_ACCESS_KEY_ID=lab",
		"AWS_REGION="+rastup.Region, "AWS_DEFAULT_REGION="+rastup.Region, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
	if c.url != "" {
		out = append(out, "AWS_ENDPOINT_URL="+c.url)
	}
	return out
}

// The files with rules that somebody asks about: of the front end's bucket, and of the registry.
const (
	rulesFile   = "rules.json"
	policyFile  = "policy.json"
	strictDays  = 7
	oldVersions = `{"Rules": [{"ID": "old versions", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 7}}]}`
)

// declare writes astern.yaml and what is beside it.
func (c *cloud) declare() error {
	c.declared = rastup.Lab{URL: c.url, Distribution: c.account.Distribution, Login: proc.Self().User}
	text, err := c.declared.Declaration()
	if err != nil {
		return err
	}
	err = os.MkdirAll(filepath.Join(c.folder, rastup.AuditCopy), 0o755)
	for name, content := range map[string]string{"astern.yaml": text, rulesFile: oldVersions, policyFile: account.Policy(strictDays)} {
		if err == nil {
			err = os.WriteFile(filepath.Join(c.folder, name), []byte(content), 0o644)
		}
	}
	if err != nil {
		return astern.Errorf(astern.Internal, "writing what astern knows of the account: %w", err)
	}
	return nil
}

// page is what a visitor gets at the edge.
type page struct {
	status int
	body   string
	cache  string // the header X-Cache
}

// String is what a person would look at.
func (p page) String() string {
	return fmt.Sprintf("status %d, body sha256 %s, X-Cache: %s", p.status, p.digest(), p.cache)
}

// digest is that of the page's body.
func (p page) digest() string { return digestOf(p.body) }

func digestOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:6])
}

// visit asks the edge for the page of the front end, as a visitor does.
func (c *cloud) visit(ctx context.Context) (page, error) {
	failed := func(err error) (page, error) {
		return page{}, astern.Errorf(astern.Unavailable, "visiting the front end: %w", err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, c.declared.Edge()+"/", nil)
	if err != nil {
		return failed(err)
	}
	r, err := c.client.Do(q)
	if err != nil {
		return failed(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return failed(err)
	}
	return page{r.StatusCode, string(body), r.Header.Get("X-Cache")}, nil
}

// newCloud makes the folder of an account; nothing runs yet.
func newCloud(folder, source string) (*cloud, error) {
	c := &cloud{folder: folder, source: source, client: &http.Client{Timeout: 5 * time.Second}}
	if err := os.MkdirAll(c.folder, 0o755); err != nil {
		return nil, astern.Errorf(astern.Internal, "making the folder of the account: %w", err)
	}
	return c, nil
}
