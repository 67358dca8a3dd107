package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// folder holds the progress; published is where the figures of the last run of each proof are kept.
const (
	folder    = "build/proof"
	published = "docs/proofs.json"
)

// progress is which chunks have passed at one commit.
type progress struct {
	Commit string            `json:"commit"`
	Proofs map[string]*entry `json:"proofs"`
}

// entry is the progress of one proof.
type entry struct {
	Trials  uint64             `json:"trials"`
	Chunks  []uint64           `json:"chunks"` // first seeds of the chunks that passed
	Chunk   uint64             `json:"chunk"`
	Figures map[string]float64 `json:"figures"`
	Seconds float64            `json:"seconds"` // of work, summed over what ran side by side
}

// readProgress reads what passed at the commit; what passed at another is forgotten.
func readProgress(commit string) (*progress, error) {
	p := &progress{Commit: commit, Proofs: map[string]*entry{}}
	text, err := os.ReadFile(filepath.Join(folder, "progress.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	var had progress
	if err := json.Unmarshal(text, &had); err != nil {
		return nil, fmt.Errorf("reading %s/progress.json (remove it to begin anew): %w", folder, err)
	}
	if had.Commit == commit {
		return &had, nil
	}
	return p, nil
}

// left returns the first seeds of the chunks that have not passed.
func (p *progress) left(t task) []uint64 {
	e := p.Proofs[t.Name]
	if e != nil && (e.Chunk != t.Chunk || e.Trials != t.Trials) {
		delete(p.Proofs, t.Name)
		e = nil
	}
	var left []uint64
	for first := uint64(0); first < t.Trials; first += t.Chunk {
		if e == nil || !slices.Contains(e.Chunks, first) {
			left = append(left, first)
		}
	}
	return left
}

// trials returns how many trials have passed.
func (p *progress) trials(t task) uint64 {
	e := p.Proofs[t.Name]
	if e == nil {
		return 0
	}
	var n uint64
	for _, first := range e.Chunks {
		n += min(t.Chunk, t.Trials-first)
	}
	return n
}

// within says which figure a chunk would bring above what all of them may come to.
func (p *progress) within(t task, figures map[string]float64) error {
	sum := map[string]float64{}
	if e := p.Proofs[t.Name]; e != nil {
		merge(sum, e.Figures)
	}
	merge(sum, figures)
	for name, most := range t.Most {
		if sum[name] > most {
			return fmt.Errorf("%s: %s is %g of %d trials and more, where all %d may have %g", t.Name, name, sum[name], p.trials(t), t.Trials, most)
		}
	}
	return nil
}

// passed writes down that a chunk passed.
func (p *progress) passed(t task, first uint64, figures map[string]float64, took time.Duration) error {
	e := p.Proofs[t.Name]
	if e == nil {
		e = &entry{Trials: t.Trials, Chunk: t.Chunk, Figures: map[string]float64{}}
		p.Proofs[t.Name] = e
	}
	e.Chunks = append(e.Chunks, first)
	e.Seconds += took.Seconds()
	merge(e.Figures, figures)
	return write(filepath.Join(folder, "progress.json"), p)
}

// result is one proof in docs/proofs.json.
type result struct {
	Trials  uint64             `json:"trials"`
	Of      uint64             `json:"of"`
	Commit  string             `json:"commit"`
	On      string             `json:"on"` // day
	Seconds float64            `json:"seconds"`
	Figures map[string]float64 `json:"figures"`
	Command string             `json:"command"`
}

// publish writes the figures of what ran into the documents, beside those of proofs that did not run now.
func (p *progress) publish() error {
	all := map[string]result{}
	text, err := os.ReadFile(published)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading %s: %w", published, err)
	}
	for _, t := range tasks {
		if e := p.Proofs[t.Name]; e != nil {
			all[t.Name] = result{p.trials(t), t.Trials, p.Commit, time.Now().UTC().Format(time.DateOnly), e.Seconds, e.Figures,
				"make proof ONLY=" + t.Name}
		}
	}
	return write(published, all)
}

// write replaces a file of JSON as a whole.
func write(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
