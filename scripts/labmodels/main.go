// Command labmodels writes internal/lab/models.json from the service models that botocore publishes: how a request of
// each operation looks, so that the lab tells operations apart by the models and not by a list of ours.
//
//	go run ./scripts/labmodels -botocore "$(python3 -c 'import botocore, os; print(os.path.dirname(botocore.__file__))')" >internal/lab/models.json
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// services are the folders of botocore's data that the lab knows.
var services = []string{"appconfig", "appconfigdata", "application-autoscaling", "backup", "cloudformation", "cloudfront", "cloudtrail",
	"cloudwatch", "dynamodb", "ecr", "ecs", "elbv2", "events", "iam", "kms", "lambda", "logs", "rds", "route53", "s3", "secretsmanager", "ssm", "sts"}

// published is what is read of a service-2.json.
type published struct {
	Metadata struct {
		APIVersion, EndpointPrefix, SigningName, Protocol, TargetPrefix string
		Protocols                                                       []string
	}
	Operations map[string]struct {
		HTTP       struct{ Method, RequestURI string }
		Input      struct{ Shape string }
		Deprecated bool
	}
	Shapes map[string]struct {
		Required []string
		Payload  string
		Members  map[string]struct{ Location, LocationName string }
	}
}

// service and operation are read by internal/lab/models.go, which says what the letters are.
type service struct {
	Name       string      `json:"name"`
	Signing    string      `json:"signing"`
	Protocol   string      `json:"protocol"`
	Version    string      `json:"version"`
	Target     string      `json:"target,omitempty"`
	Operations []operation `json:"operations"`
}

type operation struct {
	Name       string            `json:"n"`
	Method     string            `json:"m,omitempty"`
	URI        string            `json:"u,omitempty"`
	Labels     map[string]string `json:"l,omitempty"`
	Query      map[string]string `json:"q,omitempty"`
	Headers    map[string]string `json:"h,omitempty"`
	Body       map[string]string `json:"b,omitempty"`
	Payload    string            `json:"p,omitempty"`
	Required   []string          `json:"r,omitempty"`
	Deprecated bool              `json:"d,omitempty"`
}

func main() {
	botocore := flag.String("botocore", "", "folder of the Python package botocore")
	flag.Parse()
	if err := run(*botocore, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "labmodels:", err)
		os.Exit(1)
	}
}

func run(botocore string, w io.Writer) error {
	var out bytes.Buffer
	out.WriteString("[")
	for i, name := range services {
		s, err := read(filepath.Join(botocore, "data", name))
		if err != nil {
			return fmt.Errorf("reading the model of %s: %w", name, err)
		}
		if i > 0 {
			out.WriteString(",")
		}
		head := *s
		head.Operations = nil
		b, err := json.Marshal(head)
		if err != nil {
			return err
		}
		out.WriteString("\n" + strings.TrimSuffix(string(b), `null}`) + "[")
		for j, o := range s.Operations { // an operation a line, so that a difference can be read
			b, err := plain(o)
			if err != nil {
				return err
			}
			if j > 0 {
				out.WriteString(",")
			}
			out.WriteString("\n" + b)
		}
		out.WriteString("]}")
	}
	out.WriteString("]\n")
	_, err := w.Write(out.Bytes())
	return err
}

// plain is JSON without & and < escaped.
func plain(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSpace(b.String()), err
}

// read reads the newest version of a service's model.
func read(folder string) (*service, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*", "service-2.json*"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no service-2.json below %s", folder)
	}
	slices.Sort(files)
	f, err := os.Open(files[len(files)-1])
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(f.Name(), ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	var p published
	if err := json.NewDecoder(r).Decode(&p); err != nil {
		return nil, err
	}
	return convert(p), nil
}

func convert(p published) *service {
	m := p.Metadata
	s := &service{Name: strings.TrimPrefix(m.EndpointPrefix, "api."), Signing: m.SigningName, Protocol: m.Protocol,
		Version: m.APIVersion, Target: m.TargetPrefix}
	if s.Signing == "" {
		s.Signing = s.Name
	}
	if slices.Contains(m.Protocols, "query") { // CloudWatch speaks three; this one moto speaks best
		s.Protocol = "query"
	}
	rest := strings.HasPrefix(s.Protocol, "rest-")
	for name, o := range p.Operations {
		op := operation{Name: name, Deprecated: o.Deprecated}
		if rest {
			op.Method, op.URI = o.HTTP.Method, o.HTTP.RequestURI
			op.bind(p, o.Input.Shape)
		}
		s.Operations = append(s.Operations, op)
	}
	slices.SortFunc(s.Operations, func(a, b operation) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// bind says where the members of the input travel.
func (op *operation) bind(p published, shape string) {
	in := p.Shapes[shape]
	op.Payload = in.Payload
	put := func(to *map[string]string, name, member string) {
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[name] = member
	}
	for member, where := range in.Members {
		name := where.LocationName
		if name == "" {
			name = member
		}
		kind := ""
		switch where.Location {
		case "uri":
			if name != member {
				put(&op.Labels, name, member)
			}
		case "querystring":
			put(&op.Query, name, member)
			kind = "q:"
		case "header":
			put(&op.Headers, strings.ToLower(name), member)
			kind = "h:"
		case "headers":
			put(&op.Headers, strings.ToLower(name)+"*", member)
		case "":
			if name != member {
				put(&op.Body, name, member)
			}
		}
		if kind != "" && slices.Contains(in.Required, member) {
			op.Required = append(op.Required, kind+name)
		}
	}
	slices.Sort(op.Required)
}
