package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// noArgs refuses positional arguments with an error that names the command's help.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown argument %q; see: %s --help", args[0], cmd.CommandPath())
	}
	return nil
}

// oneArg wants exactly one argument; what says what it is.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return usagef("%s is missing; see: %s --help", what, cmd.CommandPath())
		case 1:
			return nil
		default:
			return noArgs(cmd, args[1:])
		}
	}
}

// someArgs wants one argument or more; what says what each is.
func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s is missing; see: %s --help", what, cmd.CommandPath())
		}
		return nil
	}
}

// atMostOneArg takes one argument or none.
func atMostOneArg(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return noArgs(cmd, args[1:])
	}
	return nil
}

// knownCommand refuses a word that is no command, and names those that look like it.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		return usagef("unknown command %q; did you mean %s?", args[0], strings.Join(similar, " or "))
	}
	return usagef("unknown command %q; see: %s --help", args[0], cmd.CommandPath())
}

// newHelp is cobra's help command with this program's errors.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "Show the help of a command",
		Example: `  dbslm help train
  dbslm help builds publish`,
		PersistentPreRun: func(*cobra.Command, []string) {}, // flags do not matter here
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || found == nil {
				return knownCommand(cmd.Root(), args)
			}
			if len(rest) > 0 {
				return usagef("unknown command %q; see: %s --help", strings.Join(args, " "), found.CommandPath())
			}
			found.InitDefaultHelpFlag() // cobra adds it when it executes a command
			return found.Help()
		},
	}
}

// newCompletion writes the script that completes commands and flags in a shell.
func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the script that completes commands and flags in bash, zsh, fish or powershell",
		Example: `  source <(dbslm completion bash)
  dbslm completion zsh > "${fpath[1]}/_dbslm"
  dbslm completion fish > ~/.config/fish/completions/dbslm.fish`,
		Args:      oneArg("the shell's name"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.out)
			default:
				return usagef("there is no completion for %q; use bash, zsh, fish or powershell", args[0])
			}
		},
	}
}
