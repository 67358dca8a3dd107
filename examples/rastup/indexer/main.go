// Command indexer is the Lambda function search-indexer: it gets documents, and answers which of them hold which words. It
// speaks Lambda's runtime interface itself, as a program named bootstrap in an archive has to. Beside it in the archive lies
// mapping.json: the release, and the fields of a document that are read.
//
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// mapping is what differs from release to release.
type mapping struct {
	Version string `json:"version"`
	ID      string `json:"id"`    // the field that names a document
	Title   string `json:"title"` // the field whose words are indexed
}

func main() {
	if err := serve("http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/2018-06-01/runtime", os.Getenv("LAMBDA_TASK_ROOT")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers one call after the other, until the runtime ends.
func serve(api, folder string) error {
	var m mapping
	text, err := os.ReadFile(filepath.Join(folder, "mapping.json"))
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return fmt.Errorf("reading the mapping: %w", err)
	}
	for {
		next, err := http.Get(api + "/invocation/next")
		if err != nil {
			return fmt.Errorf("waiting for a call: %w", err)
		}
		event, err := io.ReadAll(next.Body)
		next.Body.Close()
		if err != nil {
			return fmt.Errorf("reading a call: %w", err)
		}
		answer, where := m.index(event), "response"
		if answer.Type != "" {
			where = "error"
			fmt.Fprintln(os.Stderr, answer.Message)
		}
		body, err := json.Marshal(answer)
		if err != nil {
			return fmt.Errorf("writing an answer: %w", err)
		}
		said, err := http.Post(api+"/invocation/"+next.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/"+where, "application/json", bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("answering: %w", err)
		}
		said.Body.Close()
	}
}

// answer is what a call gets: the index, or what is wrong.
type answer struct {
	Version string              `json:"version,omitempty"`
	Indexed int                 `json:"indexed,omitempty"`
	Words   map[string][]string `json:"words,omitempty"` // the names of the documents that have each
	Type    string              `json:"errorType,omitempty"`
	Message string              `json:"errorMessage,omitempty"`
}

// index reads documents.
func (m mapping) index(event []byte) answer {
	var in struct {
		Documents []map[string]string `json:"documents"`
	}
	if err := json.Unmarshal(event, &in); err != nil {
		return answer{Type: "BadEvent", Message: "the event is no list of documents: " + err.Error()}
	}
	out := answer{Version: m.Version, Words: map[string][]string{}}
	for i, d := range in.Documents {
		id, title := d[m.ID], d[m.Title]
		if id == "" || title == "" {
			return answer{Type: "BadDocument", Message: fmt.Sprintf("document %d has no field %q or %q", i+1, m.ID, m.Title)}
		}
		for _, word := range strings.Fields(strings.ToLower(title)) {
			out.Words[word] = append(out.Words[word], id)
		}
		out.Indexed++
	}
	return out
}
