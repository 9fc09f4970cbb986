package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/observe"
)

// collector reads the counters of the loops when it is asked.
type collector struct{ srv *Server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("futago_server_"+name, help, labels, nil)
}

var (
	connectionsDesc = desc("connections", "Open client connections.")
	pendingDesc     = desc("pending_bytes", "Unsent output and partial input of all connections.")
	acceptedDesc    = desc("connections_accepted_total", "Connections accepted.")
	rejectedDesc    = desc("connections_rejected_total", "Connections refused because of max-conns.")
	requestsDesc    = desc("requests_total", "Requests of memcached and HTTP clients together; each key of a get is one.", "command")
	httpDesc        = desc("http_requests_total", "HTTP requests.", "method")
	lookupsDesc     = desc("lookups_total", "Keys looked for, by command and result.", "command", "result")
	readDesc        = desc("read_bytes_total", "Bytes received from clients.")
	writtenDesc     = desc("written_bytes_total", "Bytes sent to clients.")
	timeoutsDesc    = desc("timeouts_total", "Connections closed by a timeout.", "kind")
	authDesc        = desc("authentications_total", "User names and passwords looked at; of HTTP only those that were refused.", "result")
	deniedDesc      = desc("denied_total", "Requests refused for want of a right.")
	handshakesDesc  = desc("tls_handshakes_total", "TLS handshakes.", "result")
	certDesc        = desc("tls_certificate_expiry_seconds", "Unix time at which the certificate of the client ports expires.")
	heldDesc        = desc("held_replies_total", "Times that replies waited for disk or peer.")

	commandDesc = prometheus.NewDesc("futago_command_duration_seconds", "Time to execute a request, without its network and without "+
		"the wait for disk or peer. A sample: one request of sample-requests in the mean, and each one of tyrant_script, tyrant_list and "+
		"http_post that runs beside the network loops. How many there were is in futago_server_requests_total.", []string{"command"}, nil)
	roundDesc = prometheus.NewDesc("futago_round_duration_seconds", "Time of a round of a network loop, each of them: read and execute what "+
		"has arrived on all connections, hand the writes to the system, send the replies.", nil, nil)
	gateDesc = prometheus.NewDesc("futago_ack_wait_seconds", "Time that replies were held after their write until disk or peer had it, "+
		"as ack and fsync demand; each of them that was held at all.", nil, nil)
	slowDesc = prometheus.NewDesc("futago_slow_requests_total", "Requests that took slow-threshold or longer, by what they waited for; "+
		"requests that were slow together count once.", []string{"waited_for"}, nil)
)

// labelled is one counter under its label values.
type labelled struct {
	desc   *prometheus.Desc
	value  counter
	labels []string
}

var labelledCounters = []labelled{
	{acceptedDesc, connsAccepted, nil}, {rejectedDesc, connsRejected, nil},
	{readDesc, bytesRead, nil}, {writtenDesc, bytesWritten, nil}, {heldDesc, repliesHeld, nil},
	{authDesc, authErrors, []string{"refused"}}, {deniedDesc, cmdDenied, nil},
	{handshakesDesc, tlsOpened, []string{"new"}}, {handshakesDesc, tlsResumed, []string{"resumed"}}, {handshakesDesc, tlsErrors, []string{"failed"}},
	{requestsDesc, cmdGet, []string{"get"}}, {requestsDesc, cmdSet, []string{"set"}}, {requestsDesc, cmdTouch, []string{"touch"}},
	{requestsDesc, cmdFlush, []string{"flush_all"}}, {requestsDesc, cmdOther, []string{"other"}},
	{httpDesc, httpGet, []string{"get"}}, {httpDesc, httpHead, []string{"head"}}, {httpDesc, httpPut, []string{"put"}},
	{httpDesc, httpDelete, []string{"delete"}}, {httpDesc, httpPost, []string{"post"}}, {httpDesc, httpOptions, []string{"options"}}, {httpDesc, httpOther, []string{"other"}},
	{lookupsDesc, getHits, []string{"get", "hit"}}, {lookupsDesc, getMisses, []string{"get", "miss"}},
	{lookupsDesc, deleteHits, []string{"delete", "hit"}}, {lookupsDesc, deleteMisses, []string{"delete", "miss"}},
	{lookupsDesc, incrHits, []string{"incr", "hit"}}, {lookupsDesc, incrMisses, []string{"incr", "miss"}},
	{lookupsDesc, decrHits, []string{"decr", "hit"}}, {lookupsDesc, decrMisses, []string{"decr", "miss"}},
	{lookupsDesc, touchHits, []string{"touch", "hit"}}, {lookupsDesc, touchMisses, []string{"touch", "miss"}},
	{lookupsDesc, casHits, []string{"cas", "hit"}}, {lookupsDesc, casMisses, []string{"cas", "miss"}}, {lookupsDesc, casBadval, []string{"cas", "changed"}},
	{timeoutsDesc, idleKicks, []string{"idle"}}, {timeoutsDesc, firstByteTimeouts, []string{"first_byte"}},
	{timeoutsDesc, requestTimeouts, []string{"request"}},
}

// Describe is prometheus.Collector's.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		connectionsDesc, pendingDesc, acceptedDesc, rejectedDesc, requestsDesc, httpDesc, lookupsDesc, readDesc, writtenDesc,
		timeoutsDesc, heldDesc, authDesc, deniedDesc, handshakesDesc, certDesc, commandDesc, roundDesc, gateDesc, slowDesc,
	} {
		ch <- d
	}
}

// Collect is prometheus.Collector's.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(c.srv.conns.Load()))
	ch <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(c.srv.pending.Load()))
	n := c.srv.sum()
	ch <- prometheus.MustNewConstMetric(authDesc, prometheus.CounterValue, float64(n[authCmds]-min(n[authErrors], n[authCmds])), "passed")
	if t := c.srv.cfg.TLS; t != nil {
		_, notAfter := t.Read()
		ch <- prometheus.MustNewConstMetric(certDesc, prometheus.GaugeValue, float64(notAfter.Unix()))
	}
	c.collectTimes(ch)
	for _, l := range labelledCounters {
		ch <- prometheus.MustNewConstMetric(l.desc, prometheus.CounterValue, float64(n[l.value]), l.labels...)
	}
}

func (c *collector) collectTimes(ch chan<- prometheus.Metric) {
	histogram := func(d *prometheus.Desc, t *observe.Times, labels ...string) {
		ch <- prometheus.MustNewConstHistogram(d, t.Count(), t.Sum().Seconds(), t.Cumulative(), labels...)
	}
	l := c.srv.Latencies()
	for name, t := range l.Commands {
		histogram(commandDesc, &t, name)
	}
	histogram(roundDesc, &l.Rounds)
	histogram(gateDesc, &l.Gate)
	for w := range observe.Waits {
		ch <- prometheus.MustNewConstMetric(slowDesc, prometheus.CounterValue, float64(c.srv.slow.Count(w)), w.String())
	}
}
