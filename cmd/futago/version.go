package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: -X main.version=v1.2.3. See versionNumber.
var version string

// defaultVersion is shown by a build that carries no version of its own.
const defaultVersion = "0.1.0"

var versionPattern = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)`)

// versionNumber is the version as x.y.z, the form that memcached clients parse. linked is what the
// linker set; module is the version of the main module as the go command recorded it. 0.0.0 is what Go
// invents for a tree without a tag, and says nothing.
func versionNumber(linked, module string) string {
	for _, text := range []string{linked, module} {
		if m := versionPattern.FindStringSubmatch(text); m != nil && m[1] != "0.0.0" {
			return m[1]
		}
	}
	return defaultVersion
}

// build describes this binary.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

func thisBuild() build {
	b := build{Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	module := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		module = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	b.Version = versionNumber(version, module)
	return b
}

func (b build) String() string {
	commit := ""
	if b.Commit != "" {
		commit = "commit " + b.Commit + ", "
	}
	return fmt.Sprintf("futago %s (%s%s, %s)", b.Version, commit, b.Go, b.System)
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Example: `  futago version
  futago version --json`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(thisBuild())
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), thisBuild())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
