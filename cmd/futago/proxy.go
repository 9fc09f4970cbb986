package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/proxy"
)

// proxyConfig nests the configuration of everything that `futago proxy` runs.
type proxyConfig struct {
	Proxy proxy.Config
	// UserFile holds user and password for the upstreams, with a colon between.
	UserFile string
	TLS      tlsConfig
	Log      logConfig
}

// readFiles reads what UserFile and TLS name.
func (c *proxyConfig) readFiles() error {
	var userErr, tlsErr error
	c.Proxy.User, c.Proxy.Password, userErr = readUser(c.UserFile)
	c.Proxy.TLS, c.Proxy.CheckTLS, tlsErr = c.TLS.upstreamTLS()
	return errors.Join(userErr, tlsErr)
}

func defaultProxyConfig() *proxyConfig {
	c := &proxyConfig{Proxy: proxy.DefaultConfig(), Log: defaultLogConfig()}
	c.Proxy.Version = thisBuild().Version
	return c
}

// proxySettings is the table of every setting of a proxy, bound to c.
func proxySettings(c *proxyConfig) *settings {
	p := &c.Proxy
	s := &settings{}
	s.withFile()

	s.add("listen", textValue(&p.Listen), "serve memcached clients at `ADDR`[,tls|tls=mutual]: host:port, [v6]:port, :port (all interfaces) or unix:/path; port 0 takes a free one")
	s.add("admin-listen", textValue(&p.AdminListen), "serve /healthz /readyz /metrics /status at `ADDR`[,tls|tls=mutual], or none")
	s.add("users", textValue(&p.Access.Users), "let only the users in this `FILE` use --listen, with their rights and prefixes; futago users makes it, SIGHUP reads it again")
	addAccessSettings(s, &p.Access)
	addProfileSettings(s, &p.Profile)
	s.add("upstream", upstreamsValue(&p.Upstreams, proxy.ParseUpstream), "pass requests to `ADDR`[,check=ADDR][,weight=1]; check= is a node's admin address, with https:// before it where that has TLS")
	s.add("choice", choiceValue(&p.Choice, proxy.ChoosePrimary, proxy.ChooseConsistent), "primary: the first upstream that is up, for everything; consistent: by key, as the Go client")

	s.add("upstream-user-file", textValue(&c.UserFile), "authenticate upstream, for all clients, with the first line of this `FILE`, NAME:PASSWORD")
	c.TLS.add(s, "upstream-tls")

	s.add("timeout", durationValue(&p.Timeout), "time within which a request is answered, tries at other upstreams included")
	s.add("check-interval", durationValue(&p.CheckInterval), "time between two checks of an upstream")
	s.add("pool", intValue(&p.Pool), "connections to each upstream, for each of the two protocols")

	s.add("max-conns", intValue(&p.MaxConns), "client connections at once")
	s.add("max-value", sizeValue(&p.MaxValue), "largest value that a client may store")
	s.add("idle-timeout", durationValue(&p.IdleTimeout), "close a client connection without requests; 0 never does")
	s.addRare("max-pending-total", sizeValue(&p.MaxPending), "memory that large requests and replies of all clients may take together")
	s.addRare("write-timeout", durationValue(&p.WriteTimeout), "how long a client may take to read its replies, or send nothing within a request, before it is dropped")
	s.addRare("drain-timeout", durationValue(&p.DrainTimeout), "how long a stop may take to finish requests")

	addLogSettings(s, &c.Log)
	return s
}

func newProxyCommand() *cobra.Command {
	config := defaultProxyConfig()
	table := proxySettings(config)
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Run a local memcached port in front of a pair, for clients without failover",
		Long: `Run a local memcached port in front of a pair, for clients without failover.

The proxy speaks memcached's text protocol, its meta commands and its binary protocol, and passes requests
over few connections to an upstream that is up. One that refuses, hangs up or does not answer is left alone
at once, and its requests go to the next upstream where that does no harm: reads, what was not sent yet, and
writes that may be repeated. Of an add, an increment or the like that was sent and not answered the client
learns 'SERVER_ERROR effect unknown'. An upstream is used again when check=, a node's admin address, answers
GET /readyz and the client port a version command; without check= the latter alone.

Without --users whoever reaches --listen acts as the user of --upstream-user-file. With it clients log in as
at a node (text: a first set with NAME PASSWORD; binary: SASL PLAIN), and the proxy judges each command by the
rights and prefixes of its user. An address that strangers reach wants --users, tls=mutual or --allow-open
clients. SIGHUP, or 'futago config reload', reads the configuration file, users, certificates and
--upstream-user-file again; the log says what changed and what needs a restart, and if anything is wrong nothing
changes. Another list of --upstream is in force at once, and no client is dropped.

POST /hold, /switch and /release at --admin-listen replace the upstreams while no request is at one, for who moves
the data to other nodes: requests wait at the proxy meanwhile. What a switch says holds until the next reload.`,
		Example: `  futago proxy --upstream 10.0.0.1:11211,check=10.0.0.1:11280 --upstream 10.0.0.2:11211,check=10.0.0.2:11280
  futago proxy --listen unix:/run/futago-proxy/clients --timeout 300ms --upstream a:11211 --upstream b:11211
  futago proxy --choice consistent --upstream a:11211,weight=2 --upstream b:11211
  futago proxy --upstream-user-file /etc/futago/proxy-user --upstream-tls-ca ca.pem --upstream a:11213 --upstream b:11213
  futago proxy --listen 10.0.0.9:11211 --users /etc/futago/users --upstream a:11211 --upstream b:11211
  curl http://127.0.0.1:11283/status
  curl -H 'Futago-Admin: 1' -X POST 'http://127.0.0.1:11283/hold?for=10s'
  curl -H 'Futago-Admin: 1' --data-binary '10.0.0.3:11211' 'http://127.0.0.1:11283/switch?token=TOKEN'`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(table.load(cmd), config.readFiles(), config.Proxy.Validate()); err != nil {
				return usageError{err}
			}
			config.Proxy.Settings = table.inForce()
			config.Proxy.Reread = func() (proxy.Config, error) { return rereadProxy(cmd, table, config) }
			return runProxy(cmd, config)
		},
	}
	table.bind(cmd)
	return cmd
}

// rereadProxy is rereadServe for a proxy that began so. Certificates for upstreams are read again by the proxy itself.
func rereadProxy(cmd *cobra.Command, began *settings, with *proxyConfig) (proxy.Config, error) {
	config := defaultProxyConfig()
	table := proxySettings(config)
	table.givenAs(began)
	c := &config.Proxy
	loadErr := table.load(cmd)
	var userErr error
	c.User, c.Password, userErr = readUser(config.UserFile)
	c.TLS, c.CheckTLS = with.Proxy.TLS, with.Proxy.CheckTLS
	if err := errors.Join(loadErr, userErr, c.Validate()); err != nil {
		return proxy.Config{}, err
	}
	c.Settings, c.LogLevel = table.inForce(), config.Log.level()
	return *c, nil
}

// runProxy serves until a signal, or the end of the command's context.
func runProxy(cmd *cobra.Command, config *proxyConfig) error {
	config.Proxy.Logger, config.Proxy.LogLevel = config.Log.newLogger(cmd.ErrOrStderr())
	config.Proxy.Registerer = newRegistry()
	p, err := proxy.New(config.Proxy)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(cmd.Context(), config.Proxy.Logger, os.Exit)
	defer stop()
	defer onReload(func() { _, _ = p.Reload() })() // it logs what came of it
	return listenError(p.Run(ctx), "--listen or --admin-listen")
}
