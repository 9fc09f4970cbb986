package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/gateway"
)

// gatewayConfig nests the configuration of everything that `futago gateway` runs.
type gatewayConfig struct {
	Gateway gateway.Config
	// UserFile holds user and password for the upstreams, with a colon between.
	UserFile string
	TLS      tlsConfig
	Log      logConfig
}

// readFiles reads what UserFile and TLS name.
func (c *gatewayConfig) readFiles() error {
	var userErr, tlsErr error
	c.Gateway.User, c.Gateway.Password, userErr = readUser(c.UserFile)
	c.Gateway.TLS, c.Gateway.CheckTLS, tlsErr = c.TLS.upstreamTLS()
	return errors.Join(userErr, tlsErr)
}

func defaultGatewayConfig() *gatewayConfig {
	c := &gatewayConfig{Gateway: gateway.DefaultConfig(), Log: defaultLogConfig()}
	c.Gateway.Version = thisBuild().Version
	return c
}

// gatewaySettings is the table of every setting of a gateway, bound to c.
func gatewaySettings(c *gatewayConfig) *settings {
	g := &c.Gateway
	s := &settings{}
	s.withFile()

	s.add("listen", textValue(&g.Listen), "serve HTTP clients at `ADDR`[,tls|tls=mutual]: host:port, [v6]:port, :port (all interfaces) or unix:/path; port 0 takes a free one")
	s.add("admin-listen", textValue(&g.AdminListen), "serve /healthz /readyz /metrics /status at `ADDR`[,tls|tls=mutual], or none")
	addAccessSettings(s, &g.Access)
	addProfileSettings(s, &g.Profile)
	s.add("upstream", upstreamsValue(&g.Upstreams, gateway.ParseUpstream), "pass requests to `ADDR`[,check=ADDR][,weight=1][,max_fails=1][,fail_timeout=10s]; check= is a node's admin address, with https:// before it where that has TLS")
	c.TLS.add(s, "upstream-tls")
	s.add("upstream-user-file", textValue(&c.UserFile), "for clients without credentials of their own, authenticate upstream with the first line of this `FILE`, NAME:PASSWORD")
	s.add("allow-path", listValue(&g.AllowPaths), "let only this `PATH` through, judged decoded: /prefix, or ~REGEX for the whole path; without any, every path")

	s.add("check-interval", durationValue(&g.CheckInterval), "time between two checks of an upstream; 0 turns checks off")
	s.add("upstream-timeout", durationValue(&g.UpstreamTimeout), "how long an upstream may take to answer, up to the end of its header")
	s.addRare("retry-budget", durationValue(&g.RetryBudget), "how long all tries of one request may take together")
	s.addRare("body-timeout", durationValue(&g.BodyTimeout), "longest pause in the body of a reply")
	s.add("access-log", textValue(&g.AccessLogPath), "append a line for each request to this `file`, - for standard output")

	s.add("max-conns", intValue(&g.MaxConns), "client connections at once")
	s.add("idle-timeout", durationValue(&g.IdleTimeout), "close a connection without requests")
	s.addRare("max-header", sizeValue(&g.MaxHeaderBytes), "largest header of a request or a reply")
	s.addRare("read-header-timeout", durationValue(&g.ReadHeaderTimeout), "how long a client may take to send the header of a request")
	s.addRare("write-timeout", durationValue(&g.WriteTimeout), "how long a client may take to read a piece of a reply")
	s.addRare("drain-timeout", durationValue(&g.ShutdownTimeout), "how long a stop may take to finish requests")

	addLogSettings(s, &c.Log)
	return s
}

func newGatewayCommand() *cobra.Command {
	config := defaultGatewayConfig()
	table := gatewaySettings(config)
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Run the HTTP front of a pair: balance reads, hide a dead node",
		Long: `Run the HTTP front of a pair: balance reads, hide a dead node.

The gateway lets GET and HEAD through and nothing that could become a write. Requests are spread by
weight; one that an upstream fails is tried at the next, and an upstream that does not pass its checks
gets none. Upstreams are checked at check=, a node's admin address, with GET /readyz; without it the
client port is asked OPTIONS *, which a node answers once it is ready.

Strangers may reach --listen: nodes ask them who they are. SIGHUP, or 'futago config reload',
reads the configuration file, users, certificates and --upstream-user-file again; the log says what changed and
what needs a restart, and if anything is wrong nothing changes. Another list of --upstream is in force at once,
and no client is dropped.`,
		Example: `  futago gateway --upstream 10.0.0.1:11211,check=10.0.0.1:11280 --upstream 10.0.0.2:11211,check=10.0.0.2:11280
  futago gateway --listen :80 --allow-path '~/count_[A-Za-z0-9_.-]+' --upstream a:11211,weight=5 --upstream b:11211
  futago gateway --listen :443,tls --tls-cert cert.pem --tls-key key.pem --upstream-tls-ca ca.pem --upstream a:11213 --upstream b:11213
  curl http://127.0.0.1:11282/status`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loadErr := table.load(cmd)
			config.Gateway.Settings = table.inForce()
			config.Gateway.Reread = func() (gateway.Config, error) { return rereadGateway(cmd, table, config) }
			if config.Gateway.AccessLogPath == "-" {
				config.Gateway.AccessLogPath, config.Gateway.AccessLog = "", cmd.OutOrStdout()
			}
			if err := errors.Join(loadErr, config.readFiles(), config.Gateway.Validate()); err != nil {
				return usageError{err}
			}
			return runGateway(cmd, config)
		},
	}
	table.bind(cmd)
	return cmd
}

// rereadGateway is rereadProxy for a gateway.
func rereadGateway(cmd *cobra.Command, began *settings, with *gatewayConfig) (gateway.Config, error) {
	config := defaultGatewayConfig()
	table := gatewaySettings(config)
	table.givenAs(began)
	c := &config.Gateway
	loadErr := table.load(cmd)
	var userErr error
	c.User, c.Password, userErr = readUser(config.UserFile)
	c.TLS, c.CheckTLS = with.Gateway.TLS, with.Gateway.CheckTLS
	if err := errors.Join(loadErr, userErr, c.Validate()); err != nil {
		return gateway.Config{}, err
	}
	c.Settings, c.LogLevel = table.inForce(), config.Log.level()
	return *c, nil
}

// runGateway serves until a signal, or the end of the command's context.
func runGateway(cmd *cobra.Command, config *gatewayConfig) error {
	config.Gateway.Logger, config.Gateway.LogLevel = config.Log.newLogger(cmd.ErrOrStderr())
	config.Gateway.Registerer = newRegistry()
	g, err := gateway.New(config.Gateway)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd.Context(), config.Gateway.Logger, os.Exit)
	defer stop()
	defer onReload(func() { _, _ = g.Reload() })() // it logs what came of it
	return listenError(g.Run(ctx), "--listen or --admin-listen")
}
