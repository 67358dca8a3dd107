// Detect compares the judge with other ways to decide that a release is bad, on the same simulated streams: false alarms in
// 24 hours, and the median time until a regression is noticed. It prints one line of JSON for each figure, as bench does,
// and writes the table and the picture with -write. With -record it makes a
// recording of real servers (record.go), as testdata/recorded.jsonl is one.
//
// Reading order: stream.go (the service and its noise), watch.go (one deployment), shipped.go (a day with all that astern watch has), rivals.go (what else there is, with
// sources), compare.go (levels and medians), table.go and picture.go.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// figure is one line of the output, as bench prints it.
type figure struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Against string  `json:"against,omitempty"`
	Other   float64 `json:"other,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"`
	Goal    float64 `json:"goal"`
	OK      bool    `json:"ok"`
}

func main() {
	healthy := flag.Int("healthy", 200, "how many healthy days each level of traffic is watched, which levels are tuned by")
	runs := flag.Int("runs", 400, "how many bad deployments each cell has")
	write := flag.String("write", "", "folder to write detect.md and detect.svg into")
	to := flag.String("record", "", "instead, record two real servers under load for six minutes, to that file")
	flag.Parse()
	if *to != "" {
		if err := record(context.Background(), *to, 240, 120); err != nil {
			fmt.Fprintln(os.Stderr, "detect:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(*healthy, *runs, *write); err != nil {
		fmt.Fprintln(os.Stderr, "detect:", err)
		os.Exit(1)
	}
}

func run(healthy, runs int, write string) error {
	if healthy < 100 || runs < 10 {
		return fmt.Errorf("%d healthy days and %d runs: at least 100 and 10 are needed to tune levels to one in a hundred", healthy, runs)
	}
	c, err := compare(healthy, runs)
	if err != nil {
		return err
	}
	for _, f := range c.figures() {
		line, err := json.Marshal(f)
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	if write == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(write, "detect.md"), []byte(c.table()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(write, "detect.svg"), []byte(c.picture()), 0o644)
}
