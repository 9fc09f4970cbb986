package main

import (
	"context"
	"fmt"
	"time"

	"github.com/futago/futago"
	"github.com/spf13/cobra"
)

func newTouchCommand() *cobra.Command {
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:        "touch KEY --ttl DURATION",
		SuggestFor: []string{"expire"},
		Short:      "Give a key a new time to live",
		Long:       `Give a key a new time to live and leave its value alone. Exit code 3 means that the key is absent.`,
		Example: `  futago touch session:7 --ttl 30m
  futago touch session:7 --ttl 0     # keep it for ever`,
		Args: words(1, 1),
	}
	config := newClientConfig(cmd)
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "time to live, rounded up to seconds; 0 is for ever; required")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !cmd.Flags().Changed("ttl") {
			return usageError{fmt.Errorf("--ttl is missing")}
		}
		if ttl < 0 {
			return usageError{fmt.Errorf("--ttl %v: allowed is 0 or more", ttl)}
		}
		return config.with(cmd, func(ctx context.Context, client *futago.Client) error {
			return absent("touch", args[0], client.Touch(ctx, args[0], ttl))
		})
	}
	return cmd
}
