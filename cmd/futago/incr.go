package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/futago/futago"
	"github.com/spf13/cobra"
)

func newIncrCommand() *cobra.Command {
	return newCountCommand(&cobra.Command{
		Use:   "incr KEY [DELTA]",
		Short: "Add to a number and print the sum",
		Long: `Add DELTA, by default 1, to the decimal number stored at KEY and print the sum, which wraps at 2^64.
Exit code 3 means that the key is absent or holds no number.`,
		Example: `  futago set visits 0
  futago incr visits
  futago incr visits 10 --json`,
	}, "incr", (*futago.Client).Increment)
}

func newDecrCommand() *cobra.Command {
	return newCountCommand(&cobra.Command{
		Use:   "decr KEY [DELTA]",
		Short: "Subtract from a number and print the rest",
		Long: `Subtract DELTA, by default 1, from the decimal number stored at KEY and print the rest, which stops
at 0. Exit code 3 means that the key is absent or holds no number.`,
		Example: `  futago decr seats
  futago decr seats 2`,
	}, "decr", (*futago.Client).Decrement)
}

// newCountCommand completes a command that changes one number by calling count.
func newCountCommand(cmd *cobra.Command, verb string, count func(*futago.Client, context.Context, string, uint64) (uint64, error)) *cobra.Command {
	var asJSON bool
	config := newClientConfig(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Args = words(1, 2)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, delta := args[0], uint64(1)
		if len(args) == 2 {
			var err error
			if delta, err = strconv.ParseUint(args[1], 10, 64); err != nil {
				return usageError{fmt.Errorf("%q is not a whole number from 0 to 2^64-1", args[1])}
			}
		}
		return config.with(cmd, func(ctx context.Context, client *futago.Client) error {
			number, err := count(client, ctx, key, delta)
			if err != nil {
				return absent(verb, key, err)
			}
			if asJSON {
				// The number is a string, because many readers of JSON lose digits of large numbers.
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"key": key, "value": strconv.FormatUint(number, 10)})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), number)
			return err
		})
	}
	return cmd
}
