package main

import (
	"context"
	"errors"

	"github.com/futago/futago"
	"github.com/spf13/cobra"
)

func newDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "delete KEY...",
		SuggestFor: []string{"del", "rm", "remove", "unlink"},
		Short:      "Delete keys",
		Long:       `Delete keys. Exit code 3 means that a key was absent; the others are deleted all the same.`,
		Example: `  futago delete greeting
  futago delete a b c`,
		Args: words(1, -1),
	}
	config := newClientConfig(cmd)
	cmd.RunE = func(cmd *cobra.Command, keys []string) error {
		return config.with(cmd, func(ctx context.Context, client *futago.Client) error {
			var problems []error
			for _, key := range keys {
				err := client.Delete(ctx, key)
				if err != nil && err != futago.ErrCacheMiss {
					return err
				}
				problems = append(problems, absent("delete", key, err))
			}
			return errors.Join(problems...)
		})
	}
	return cmd
}
