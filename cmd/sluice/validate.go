package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/core/config"
)

func validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a configuration",
		Long: `Check the configuration in FILE and build all of it, without listening. Every error is
written with its file, line and column, and the exit code is 1.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := config.Load(args[0])
			if err != nil {
				return err
			}
			g, err := config.Build(f, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			g.Close()
			for _, w := range f.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "sluice: warning: %s\n", w)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %d listeners, %d routes, %d upstreams\n",
				args[0], len(f.Listeners), len(f.Routes), len(f.Upstreams))
			return err
		},
	}
}
