// Command man writes a man page for each command of astern, and completions for bash, zsh and fish, for those who build
// packages. It is a program of its own because what writes man pages would slow down every start of astern.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra/doc"

	"github.com/astern-dev/astern/internal/cli"
)

func main() {
	dir := flag.String("dir", "build/man", "folder to write to")
	version := flag.String("version", "dev", "version that the pages are of")
	flag.Parse()
	if err := write(*dir, *version); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

func write(dir, version string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := cli.Program{}.Manual()
	day := time.Unix(0, 0).UTC() // pages of the same source are the same
	header := &doc.GenManHeader{Title: "ASTERN", Section: "1", Source: "astern " + version, Manual: "astern", Date: &day}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return err
	}
	for name, write := range map[string]func(string) error{
		"astern.bash": func(f string) error { return root.GenBashCompletionFileV2(f, true) },
		"_astern":     root.GenZshCompletionFile,
		"astern.fish": func(f string) error { return root.GenFishCompletionFile(f, true) },
	} {
		if err := write(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
