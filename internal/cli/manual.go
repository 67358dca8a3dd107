package cli

import "github.com/spf13/cobra"

// Manual returns the commands with all that a manual says of them, the exit codes included, for the program that writes
// man pages and completions for packages. Nothing but their description may be used.
func (p Program) Manual() *cobra.Command {
	root := (&session{Program: p}).root(nil)
	root.DisableAutoGenTag = true
	withExitCodes(root)
	return root
}

// withExitCodes adds the exit codes to the page of every command.
func withExitCodes(cmd *cobra.Command) {
	cmd.Long += "\n\n" + exitCodes
	for _, c := range cmd.Commands() {
		withExitCodes(c)
	}
}
