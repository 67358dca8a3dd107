package cli

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/astern-dev/astern"
)

// docs writes man pages and completions for packages; it is for those who build them.
func (s *session) docs() *cobra.Command {
	dir := ""
	cmd := &cobra.Command{Use: "docs --dir DIR", Short: "write man pages and shell completions", Hidden: true, Args: takes(0, 0),
		Long: "Writes a man page for each command and completions for bash, zsh and fish.\n\n  astern docs --dir build/man"}
	cmd.RunE = s.runs(func(context.Context, []string) error {
		if err := s.writeDocs(cmd.Root(), dir); err != nil {
			return &astern.Error{Code: astern.Invalid, Doing: "writing into " + dir, Cause: err}
		}
		return s.say(done{What: "man pages and completions written to " + dir, File: dir})
	})
	cmd.Flags().StringVar(&dir, "dir", "", "folder to write to")
	_ = cmd.MarkFlagRequired("dir") // fails only for a flag that does not exist
	return cmd
}

func (s *session) writeDocs(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	withExitCodes(root)
	day := time.Unix(0, 0).UTC() // pages of the same source are the same
	if err := doc.GenManTree(root, &doc.GenManHeader{Title: "ASTERN", Section: "1", Source: "astern " + s.Version, Manual: "astern", Date: &day}, dir); err != nil {
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

// withExitCodes adds the exit codes to the page of every command.
func withExitCodes(cmd *cobra.Command) {
	cmd.Long += "\n\n" + exitCodes
	for _, c := range cmd.Commands() {
		withExitCodes(c)
	}
}
