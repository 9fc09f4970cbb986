//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// sessionSetup is a way to keep PHP's sessions in a pair, as docs/php-sessions.md tells.
type sessionSetup struct {
	name     string
	settings []string // lines of php.ini, with A and B for the nodes, P for a proxy before them
	// timeout is what a node that hangs costs a request; 0 if requests wait for it.
	timeout time.Duration
	// parallel is true if requests of one session may come at the same time while nodes come and go: where every client uses
	// the same node at any time.
	parallel bool
}

var sessionSetups = []sessionSetup{
	{"memcached-proxy", []string{
		"session.save_handler=memcached", `session.save_path="P"`, "memcached.sess_binary_protocol=Off",
		"memcached.sess_locking=On", "memcached.sess_lock_expire=5",
		"memcached.sess_lock_wait_min=5", "memcached.sess_lock_wait_max=50", "memcached.sess_lock_retries=400",
	}, time.Second, true},
	{"memcached", []string{
		"session.save_handler=memcached", `session.save_path="A:1000000,B:1"`,
		"memcached.sess_consistent_hash=On", "memcached.sess_consistent_hash_type=ketama_weighted",
		"memcached.sess_remove_failed_servers=On", "memcached.sess_server_failure_limit=1",
		"memcached.sess_number_of_replicas=0", "memcached.sess_persistent=Off", "memcached.sess_binary_protocol=Off",
		"memcached.sess_locking=On", "memcached.sess_lock_expire=5",
		"memcached.sess_lock_wait_min=5", "memcached.sess_lock_wait_max=50", "memcached.sess_lock_retries=10000",
	}, 0, false},
	{"memcache", []string{
		"session.save_handler=memcache", `session.save_path="tcp://A?timeout=1,tcp://B?timeout=1"`,
		"memcache.session_redundancy=2", "memcache.lock_timeout=5",
	}, time.Second, false},
}

// sessionSite is a web site of PHP whose sessions lie in a pair.
type sessionSite struct {
	url   string
	busy  string // where requests of one session would meet
	proxy *proxyFront
}

// startSessionSite runs PHP's web server, beside it a proxy that takes the first node for everything.
func startSessionSite(t *testing.T, settings []string, p [2]*node) *sessionSite {
	t.Helper()
	addr, proxyHost := freeAddr(t, newHost()), newHost()
	proxy, admin := freeAddr(t, proxyHost), freeAddr(t, proxyHost)
	front := startProxyAt(t, proxy, admin, "proxy", "--listen="+proxy, "--admin-listen="+admin,
		"--upstream="+p[0].client+",check="+p[0].admin, "--upstream="+p[1].client+",check="+p[1].admin)
	args := []string{"PHP_CLI_SERVER_WORKERS=16", findProgram(t, "php"), "-q", "-S", addr}
	for _, s := range settings {
		if path, ok := strings.CutPrefix(s, "session.save_path="); ok {
			s = "session.save_path=" + strings.NewReplacer("A", p[0].client, "B", p[1].client, "P", proxy).Replace(path)
		}
		args = append(args, "-d", s)
	}
	script, err := filepath.Abs("testdata/clients/session.php")
	if err != nil {
		t.Fatal(err)
	}
	php := startProcess(t, "php", newOutput(t, "php"), "env", append(args, script)...)
	eventually(t, "PHP listens", 30*time.Second, func() bool {
		select {
		case <-php.exited:
			t.Fatal("PHP ended")
		default:
		}
		return accepts(addr)
	})
	s := &sessionSite{url: "http://" + addr, busy: t.TempDir(), proxy: front}
	s.waitBoth(t)
	return s
}

// waitBoth waits until the proxy uses both nodes. Two requests of one session that come just when it goes back to the first
// node may meet a lock each at another one.
func (s *sessionSite) waitBoth(t *testing.T) {
	t.Helper()
	s.proxy.waitUp(t, "the proxy uses both nodes", func(up []bool) bool { return up[0] && up[1] })
}

// sessionReply is what the page says.
type sessionReply struct {
	Count    int
	Warnings []string
}

// visit adds to the count in a session, as one request of a browser. ok is false if the page could not.
func (s *sessionSite) visit(id string, add int, hold time.Duration) (reply sessionReply, ok bool, err error) {
	resp, err := sessionBrowser.Get(fmt.Sprintf("%s/?id=%s&add=%d&hold=%d&busy=%s", s.url, id, add, hold.Microseconds(), s.busy))
	if err != nil {
		return reply, false, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		return reply, false, fmt.Errorf("answer %d: %w", resp.StatusCode, err)
	}
	return reply, resp.StatusCode == http.StatusOK, nil
}

// Each request has a connection of its own, because a worker of PHP's web server serves one at a time.
var sessionBrowser = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// quickLimit is how long a request of several processes may take, while others make all the requests that they can. It is
// less than what a lock that nobody frees costs.
const quickLimit = 3 * time.Second

// quick demands that a session which nobody used yet works within the limit.
func (s *sessionSite) quick(t *testing.T, what, id string, limit time.Duration) {
	t.Helper()
	begin := time.Now()
	reply, ok, err := s.visit(id, 1, 0)
	took := time.Since(begin)
	t.Logf("%s: a new session took %v", what, took)
	if !ok || reply.Count != 1 {
		t.Errorf("%s: a new session: count %d, %q, error %v", what, reply.Count, reply.Warnings, err)
	}
	if took > limit {
		t.Errorf("%s: a new session took %v, want less than %v", what, took, limit)
	}
}

// sessionLoad is browsers that use the sessions of a site until told to stop.
type sessionLoad struct {
	site *sessionSite
	stop chan struct{}
	all  sync.WaitGroup

	mu     sync.Mutex
	done   map[string]int       // by session: requests that the page acknowledged
	failed map[string]int       // by session: requests that it did not, which may count or not
	texts  map[string]int       // what it said then
	counts map[string]time.Time // session and count that a request was told: when
	twice  []string             // those that two requests were told, one of which is lost
	errs   []error
}

// startSessionLoad lets so many browsers use each session at the same time.
func startSessionLoad(site *sessionSite, sessions []string, browsers int) *sessionLoad {
	l := &sessionLoad{site: site, stop: make(chan struct{}), done: map[string]int{}, failed: map[string]int{}, texts: map[string]int{}, counts: map[string]time.Time{}}
	for _, id := range sessions {
		l.done[id] = 0
		for range browsers {
			l.all.Go(func() { l.browse(id) })
		}
	}
	return l
}

func (l *sessionLoad) browse(id string) {
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		reply, ok, err := l.site.visit(id, 1, 0)
		l.mu.Lock()
		switch {
		case err != nil:
			l.errs = append(l.errs, err)
			l.failed[id]++
		case ok:
			l.done[id]++
			what := fmt.Sprintf("%s: count %d", id, reply.Count)
			if before, ok := l.counts[what]; ok {
				l.twice = append(l.twice, fmt.Sprintf("%s, at %v and %v", what, before, time.Now()))
			}
			l.counts[what] = time.Now()
		default:
			l.failed[id]++
			for _, w := range reply.Warnings {
				l.texts[w]++
			}
		}
		l.mu.Unlock()
	}
}

// more waits until every session was used n more times.
func (l *sessionLoad) more(t *testing.T, what string, n int) {
	t.Helper()
	want := map[string]int{}
	l.mu.Lock()
	for id, done := range l.done {
		want[id] = done + n
	}
	l.mu.Unlock()
	eventually(t, what+": every session is used", 60*time.Second, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for id, n := range want {
			if l.done[id] < n {
				return false
			}
		}
		return true
	})
}

// check stops the load and demands that every acknowledged request counts, and that failures were few.
func (l *sessionLoad) check(t *testing.T, failuresMax int) {
	t.Helper()
	close(l.stop)
	l.all.Wait()
	for id, done := range l.done {
		reply, ok, err := l.site.visit(id, 0, 0)
		if !ok {
			t.Errorf("session %s: %q, error %v", id, reply.Warnings, err)
			continue
		}
		t.Logf("session %s: the count is %d after %d acknowledged requests and %d others", id, reply.Count, done, l.failed[id])
		if reply.Count < done || reply.Count > done+l.failed[id] {
			t.Errorf("session %s: the count is %d after %d acknowledged requests and %d others", id, reply.Count, done, l.failed[id])
		}
		if l.failed[id] > failuresMax {
			t.Errorf("session %s: %d requests failed, want no more than %d: %v", id, l.failed[id], failuresMax, l.texts)
		}
	}
	for _, what := range l.twice {
		t.Logf("two requests were told %s", what)
	}
	for _, err := range l.errs {
		t.Errorf("a request got no answer: %v", err)
	}
}

// A node is killed and comes back, then the other one, under requests that read and write sessions. No session is lost
// and no acknowledged request forgotten; what was in progress at the moment of the kill may fail. A dead node costs a
// request nothing, one that hangs no more than the timeout of the client where it has one.
func TestSessionsOverKilledNode(t *testing.T) {
	for _, setup := range sessionSetups {
		t.Run(setup.name, func(t *testing.T) {
			t.Parallel()
			testSessionsOverKilledNode(t, setup)
		})
	}
}

func testSessionsOverKilledNode(t *testing.T, setup sessionSetup) {
	strain, p := startStrain(t), startPair(t, defaultAck)
	site := startSessionSite(t, setup.settings, p)
	// A worker of PHP's web server takes connections that then wait behind a request that waits for a lock.
	idle := startSessionSite(t, setup.settings, p)
	browsers := 1
	if setup.parallel {
		browsers = 2
	}
	l := startSessionLoad(site, names("load", 6), browsers)
	l.more(t, "at first", 20)
	for _, n := range p {
		n.kill9()
		idle.quick(t, "without node "+n.name, "without-"+n.name, quickLimit+strain())
		// Sessions that were locked when the node died are free when their locks expire.
		l.more(t, "without node "+n.name, 20)
		n.start(t)
		waitPair(t, p)
		l.more(t, "with node "+n.name+" again", 20)
	}
	// Each kill may fail what each browser has in progress, and its next request.
	l.check(t, 4*browsers)

	if setup.timeout == 0 {
		return
	}
	p[0].freeze(t)
	idle.quick(t, "node A hangs", "hanging", setup.timeout+quickLimit+strain())
	p[0].thaw(t)
	waitPair(t, p)
}

// Two requests of one session come at the same time, also while a node is down and when it is back: one waits for the other.
func TestSessionLock(t *testing.T) {
	for _, setup := range sessionSetups {
		t.Run(setup.name, func(t *testing.T) {
			t.Parallel()
			p := startPair(t)
			site := startSessionSite(t, setup.settings, p)
			count := 0
			together := func(what string) {
				t.Helper()
				const requests, hold = 2, 200 * time.Millisecond
				var all sync.WaitGroup
				begin := time.Now()
				for range requests {
					all.Go(func() {
						if reply, ok, err := site.visit("locked", 1, hold); !ok {
							t.Errorf("%s: %q, error %v", what, reply.Warnings, err)
						}
					})
				}
				all.Wait()
				count += requests
				if took := time.Since(begin); took < requests*hold {
					t.Errorf("%s: %d requests of %v took %v together", what, requests, hold, took)
				}
				if reply, ok, err := site.visit("locked", 0, 0); !ok || reply.Count != count {
					t.Errorf("%s: count %d, want %d; %q, error %v", what, reply.Count, count, reply.Warnings, err)
				}
			}
			together("at first")
			for _, n := range p {
				n.kill9()
				together("without node " + n.name)
				n.start(t)
				waitPair(t, p)
				site.waitBoth(t)
				together("with node " + n.name + " again")
			}
		})
	}
}
