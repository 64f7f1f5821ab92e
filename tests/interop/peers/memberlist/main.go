// peer is a real github.com/hashicorp/memberlist v0.7.0 node with a line oriented
// control interface, used by interop tests of other implementations.
//
//	stdout: one JSON object per line   {"ts":<unix seconds>,"event":"...",...}
//	stdin : one command per line       members | health | keys | local
//	                                   join ADDR[,ADDR...] | leave [DURATION] | shutdown
//	                                   update META | setstate TEXT
//	                                   send NODE MSG | sendtcp NODE MSG | sendaddr HOST:PORT MSG
//	                                   broadcast MSG | ping NODE
//	                                   rotate KEY | addkey KEY | usekey KEY | removekey KEY
//	                                   call SERVICE EVERY | calls | endcalls
//
// Payload arguments may be given as hex:<hex>, b64:<base64> or rep:<count>:<text>;
// anything else is taken literally. Keys accept hex:, b64: or raw text.
// Every command is answered by {"event":"result","cmd":...,"ok":true|false,...}.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/memberlist"
)

type obj = map[string]any

// emitter serialises events; delegates run with memberlist locks held, so they
// only enqueue.
type emitter struct {
	ch   chan obj
	done chan struct{}
}

func newEmitter() *emitter {
	e := &emitter{ch: make(chan obj, 65536), done: make(chan struct{})}
	go func() {
		w := bufio.NewWriter(os.Stdout)
		enc := json.NewEncoder(w)
		for o := range e.ch {
			_ = enc.Encode(o)
			if len(e.ch) == 0 {
				_ = w.Flush()
			}
		}
		_ = w.Flush()
		close(e.done)
	}()
	return e
}

func (e *emitter) emit(event string, o obj) {
	if o == nil {
		o = obj{}
	}
	o["event"] = event
	o["ts"] = float64(time.Now().UnixMicro()) / 1e6
	defer func() { _ = recover() }() // after close
	e.ch <- o
}

func blob(b []byte) obj {
	o := obj{"hex": hex.EncodeToString(b), "len": len(b)}
	if utf8.Valid(b) && len(b) <= 1024 {
		o["text"] = string(b)
	}
	return o
}

var stateNames = []string{"alive", "suspect", "dead", "left"}

func nodeObj(n *memberlist.Node) obj {
	st := fmt.Sprint(int(n.State))
	if int(n.State) < len(stateNames) {
		st = stateNames[n.State]
	}
	return obj{
		"name": n.Name, "addr": n.Addr.String(), "addr_len": len(n.Addr), "port": n.Port, "meta": blob(n.Meta),
		"node_state_field": st, // upstream never maintains this outside NotifyMerge: always "alive"
		"vsn":              []int{int(n.PMin), int(n.PMax), int(n.PCur), int(n.DMin), int(n.DMax), int(n.DCur)},
	}
}

type app struct {
	out   *emitter
	mu    sync.Mutex
	meta  []byte
	state []byte
	queue *memberlist.TransmitLimitedQueue
	acks  bool
}

// memberlist.Delegate
func (a *app) NodeMeta(limit int) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.meta) > limit {
		return a.meta[:limit]
	}
	return a.meta
}
func (a *app) NotifyMsg(b []byte) { a.out.emit("msg", obj{"payload": blob(append([]byte{}, b...))}) }
func (a *app) GetBroadcasts(overhead, limit int) [][]byte {
	return a.queue.GetBroadcasts(overhead, limit)
}
func (a *app) LocalState(join bool) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}
func (a *app) MergeRemoteState(b []byte, join bool) {
	a.out.emit("state", obj{"join": join, "payload": blob(append([]byte{}, b...))})
}

// memberlist.EventDelegate
func (a *app) NotifyJoin(n *memberlist.Node)   { a.out.emit("join", obj{"node": nodeObj(n)}) }
func (a *app) NotifyLeave(n *memberlist.Node)  { a.out.emit("leave", obj{"node": nodeObj(n)}) }
func (a *app) NotifyUpdate(n *memberlist.Node) { a.out.emit("update", obj{"node": nodeObj(n)}) }

// memberlist.ConflictDelegate
func (a *app) NotifyConflict(existing, other *memberlist.Node) {
	a.out.emit("conflict", obj{"existing": nodeObj(existing), "other": nodeObj(other)})
}

// memberlist.MergeDelegate (enabled with -report-merge)
type merger struct{ a *app }

func (m merger) NotifyMerge(peers []*memberlist.Node) error {
	l := []obj{}
	for _, p := range peers {
		l = append(l, nodeObj(p))
	}
	m.a.out.emit("merge", obj{"peers": l})
	return nil
}

// memberlist.PingDelegate (enabled with -ack-payload / -report-ping)
type pinger struct {
	a       *app
	payload []byte
	report  bool
}

func (p *pinger) AckPayload() []byte { return p.payload }
func (p *pinger) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, payload []byte) {
	if p.report {
		p.a.out.emit("ping_complete", obj{"node": nodeObj(n), "rtt_us": rtt.Microseconds(), "payload": blob(payload)})
	}
}

type bcast []byte

func (b bcast) Invalidates(memberlist.Broadcast) bool { return false }
func (b bcast) Message() []byte                       { return b }
func (b bcast) Finished()                             {}
func (b bcast) UniqueBroadcast()                      {}

func parseBytes(s string) ([]byte, error) {
	switch {
	case strings.HasPrefix(s, "hex:"):
		return hex.DecodeString(s[4:])
	case strings.HasPrefix(s, "b64:"):
		return base64.StdEncoding.DecodeString(s[4:])
	case strings.HasPrefix(s, "rep:"):
		p := strings.SplitN(s[4:], ":", 2)
		if len(p) != 2 {
			return nil, errors.New("rep:<count>:<text>")
		}
		n, err := strconv.Atoi(p[0])
		if err != nil {
			return nil, err
		}
		return []byte(strings.Repeat(p[1], n)), nil
	}
	return []byte(s), nil
}

// jsonLog turns memberlist log lines into events.
type jsonLog struct{ a *app }

func (j jsonLog) Write(b []byte) (int, error) {
	j.a.out.emit("log", obj{"line": strings.TrimSpace(string(b))})
	return len(b), nil
}

func main() {
	var (
		name      = flag.String("name", "", "node name (default: hostname)")
		bind      = flag.String("bind", "127.0.0.1", "bind IP")
		port      = flag.Int("port", 0, "bind port, 0 = pick one")
		advertise = flag.String("advertise", "", "advertise IP")
		advPort   = flag.Int("advertise-port", 0, "advertise port (default: bind port)")
		join      = flag.String("join", "", "comma separated [name/]host:port")
		meta      = flag.String("meta", "", "node metadata")
		state     = flag.String("user-state", "", "push/pull user state")
		secret    = flag.String("secret-key", "", "gossip key: hex:, b64: or 16/24/32 raw characters")
		extraKeys = flag.String("extra-keys", "", "comma separated additional keyring keys")
		label     = flag.String("label", "", "cluster label")
		skipLabel = flag.Bool("skip-inbound-label-check", false, "")
		compress  = flag.Bool("compress", true, "EnableCompression")
		profile   = flag.String("profile", "lan", "lan|local|wan")
		pv        = flag.Int("protocol-version", 0, "protocol version to speak (default: profile's 2)")
		dvsn      = flag.String("delegate-vsn", "", "delegate versions min,max,cur")
		leaveAft  = flag.Duration("leave-after", 0, "call Leave after this time")
		exitAft   = flag.Duration("exit-after", 0, "shut down after this time")
		probeI    = flag.Duration("probe-interval", 0, "override")
		probeT    = flag.Duration("probe-timeout", 0, "override")
		gossipI   = flag.Duration("gossip-interval", 0, "override")
		gossipN   = flag.Int("gossip-nodes", 0, "override")
		ppI       = flag.Duration("pushpull-interval", -1, "override (0 disables)")
		tcpT      = flag.Duration("tcp-timeout", 0, "override")
		suspMult  = flag.Int("suspicion-mult", 0, "override")
		suspMax   = flag.Int("suspicion-max-timeout-mult", 0, "override")
		indirect  = flag.Int("indirect-checks", -1, "override")
		toDead    = flag.Duration("gossip-to-dead-time", 0, "override")
		reclaim   = flag.Duration("dead-node-reclaim-time", 0, "")
		udpBuf    = flag.Int("udp-buffer-size", 0, "override")
		noTCP     = flag.Bool("disable-tcp-pings", false, "")
		verIn     = flag.Bool("verify-incoming", true, "GossipVerifyIncoming")
		verOut    = flag.Bool("verify-outgoing", true, "GossipVerifyOutgoing")
		reqNames  = flag.Bool("require-node-names", false, "")
		cidrs     = flag.String("cidrs", "", "comma separated CIDRsAllowed")
		ackPl     = flag.String("ack-payload", "", "PingDelegate ack payload")
		repPing   = flag.Bool("report-ping", false, "emit ping_complete events")
		repMerge  = flag.Bool("report-merge", false, "install a MergeDelegate and emit merge events")
		health    = flag.Duration("health-interval", 0, "emit health events at this interval")
		logMode   = flag.String("log", "none", "none|stderr|json")
	)
	flag.Parse()

	// A process group of our own: if whoever started us dies while we are stopped (SIGSTOP), the kernel continues the
	// orphaned group, and we notice that stdin is closed.
	if err := syscall.Setpgid(0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "setpgid:", err)
	}

	a := &app{out: newEmitter()}
	die := func(err error) {
		a.out.emit("fatal", obj{"error": err.Error()})
		close(a.out.ch)
		<-a.out.done
		os.Exit(1)
	}

	var c *memberlist.Config
	switch *profile {
	case "lan":
		c = memberlist.DefaultLANConfig()
	case "wan":
		c = memberlist.DefaultWANConfig()
	case "local":
		c = memberlist.DefaultLocalConfig()
	default:
		die(fmt.Errorf("bad -profile %q", *profile))
	}
	if *name != "" {
		c.Name = *name
	}
	c.BindAddr, c.BindPort, c.AdvertiseAddr = *bind, *port, *advertise
	c.AdvertisePort = *port
	if *advPort != 0 {
		c.AdvertisePort = *advPort
	}
	var err error
	if a.meta, err = parseBytes(*meta); err != nil {
		die(err)
	}
	if *meta == "" {
		a.meta = nil
	}
	if *state != "" {
		if a.state, err = parseBytes(*state); err != nil {
			die(err)
		}
	}
	if *secret != "" {
		if c.SecretKey, err = parseBytes(*secret); err != nil {
			die(err)
		}
	}
	if *extraKeys != "" {
		var keys [][]byte
		for _, k := range strings.Split(*extraKeys, ",") {
			b, err := parseBytes(k)
			if err != nil {
				die(err)
			}
			keys = append(keys, b)
		}
		prim := c.SecretKey
		if prim == nil {
			prim = keys[0]
		}
		if c.Keyring, err = memberlist.NewKeyring(keys, prim); err != nil {
			die(err)
		}
	}
	c.Label, c.SkipInboundLabelCheck = *label, *skipLabel
	c.EnableCompression = *compress
	if *pv != 0 {
		c.ProtocolVersion = uint8(*pv)
	}
	if *dvsn != "" {
		var x, y, z uint8
		if _, err := fmt.Sscanf(*dvsn, "%d,%d,%d", &x, &y, &z); err != nil {
			die(err)
		}
		c.DelegateProtocolMin, c.DelegateProtocolMax, c.DelegateProtocolVersion = x, y, z
	}
	set := func(dst *time.Duration, v time.Duration) {
		if v > 0 {
			*dst = v
		}
	}
	set(&c.ProbeInterval, *probeI)
	set(&c.ProbeTimeout, *probeT)
	set(&c.GossipInterval, *gossipI)
	set(&c.TCPTimeout, *tcpT)
	set(&c.GossipToTheDeadTime, *toDead)
	if *ppI >= 0 {
		c.PushPullInterval = *ppI
	}
	if *gossipN > 0 {
		c.GossipNodes = *gossipN
	}
	if *suspMult > 0 {
		c.SuspicionMult = *suspMult
	}
	if *suspMax > 0 {
		c.SuspicionMaxTimeoutMult = *suspMax
	}
	if *indirect >= 0 {
		c.IndirectChecks = *indirect
	}
	if *udpBuf > 0 {
		c.UDPBufferSize = *udpBuf
	}
	c.DeadNodeReclaimTime = *reclaim
	c.DisableTcpPings = *noTCP
	c.GossipVerifyIncoming, c.GossipVerifyOutgoing = *verIn, *verOut
	c.RequireNodeNames = *reqNames
	if *cidrs != "" {
		if c.CIDRsAllowed, err = memberlist.ParseCIDRs(strings.Split(*cidrs, ",")); err != nil {
			die(err)
		}
	}
	switch *logMode {
	case "none":
		c.LogOutput = io.Discard
	case "stderr":
		c.LogOutput = os.Stderr
	case "json":
		c.Logger = log.New(jsonLog{a}, "", 0)
	default:
		die(fmt.Errorf("bad -log %q", *logMode))
	}
	a.queue = &memberlist.TransmitLimitedQueue{RetransmitMult: c.RetransmitMult}
	var m *memberlist.Memberlist
	var ready sync.WaitGroup
	ready.Add(1)
	a.queue.NumNodes = func() int { ready.Wait(); return m.NumMembers() }
	c.Delegate, c.Events, c.Conflict = a, a, a
	if *repMerge {
		c.Merge = merger{a}
	}
	if *ackPl != "" || *repPing {
		p := &pinger{a: a, report: *repPing}
		if *ackPl != "" {
			if p.payload, err = parseBytes(*ackPl); err != nil {
				die(err)
			}
		}
		c.Ping = p
	}

	if m, err = memberlist.Create(c); err != nil {
		die(err)
	}
	ready.Done()
	ln := m.LocalNode()
	a.out.emit("ready", obj{"name": c.Name, "pid": os.Getpid(), "bind": c.BindAddr, "port": c.BindPort, "local": nodeObj(ln), "profile": *profile})

	doJoin := func(list string) {
		n, err := m.Join(strings.Split(list, ","))
		o := obj{"cmd": "join", "ok": err == nil, "contacted": n}
		if err != nil {
			o["error"] = err.Error()
		}
		a.out.emit("result", o)
	}
	if *join != "" {
		doJoin(*join)
	}

	stop := make(chan string, 4)
	var leaveOnce sync.Mutex
	doLeave := func(d time.Duration) {
		leaveOnce.Lock()
		defer leaveOnce.Unlock()
		t := time.Now()
		err := m.Leave(d)
		o := obj{"cmd": "leave", "ok": err == nil, "took_ms": time.Since(t).Milliseconds()}
		if err != nil {
			o["error"] = err.Error()
		}
		a.out.emit("result", o)
	}
	if *leaveAft > 0 {
		time.AfterFunc(*leaveAft, func() { doLeave(5 * time.Second) })
	}
	if *exitAft > 0 {
		time.AfterFunc(*exitAft, func() { stop <- "exit-after" })
	}
	if *health > 0 {
		go func() {
			for range time.Tick(*health) {
				a.out.emit("health", obj{"score": m.GetHealthScore(), "members": m.NumMembers()})
			}
		}()
	}
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGTERM, syscall.SIGINT)
	go func() { stop <- (<-sig).String() }()

	find := func(name string) *memberlist.Node {
		for _, n := range m.Members() {
			if n.Name == name {
				return n
			}
		}
		return nil
	}
	keyHex := func() []string {
		out := []string{}
		if c.Keyring != nil {
			for _, k := range c.Keyring.GetKeys() {
				out = append(out, hex.EncodeToString(k))
			}
		}
		return out
	}
	var calls *caller
	run := func(line string) (obj, error) {
		parts := strings.SplitN(line, " ", 3)
		arg := func(i int) string {
			if i < len(parts) {
				return parts[i]
			}
			return ""
		}
		rest := strings.TrimSpace(strings.TrimPrefix(line, parts[0]))
		switch parts[0] {
		case "members":
			l := []obj{}
			for _, n := range m.Members() {
				l = append(l, nodeObj(n))
			}
			return obj{"members": l, "num": m.NumMembers()}, nil
		case "local":
			return obj{"local": nodeObj(m.LocalNode())}, nil
		case "health":
			return obj{"score": m.GetHealthScore(), "num": m.NumMembers(), "queued_user": a.queue.NumQueued()}, nil
		case "keys":
			return obj{"keys": keyHex()}, nil
		case "join":
			n, err := m.Join(strings.Split(rest, ","))
			return obj{"contacted": n}, err
		case "leave":
			d := 5 * time.Second
			if arg(1) != "" {
				var err error
				if d, err = time.ParseDuration(arg(1)); err != nil {
					return nil, err
				}
			}
			t := time.Now()
			err := m.Leave(d)
			return obj{"took_ms": time.Since(t).Milliseconds()}, err
		case "update":
			b, err := parseBytes(rest)
			if err != nil {
				return nil, err
			}
			a.mu.Lock()
			a.meta = b
			a.mu.Unlock()
			t := time.Now()
			err = m.UpdateNode(5 * time.Second)
			return obj{"took_ms": time.Since(t).Milliseconds()}, err
		case "setstate":
			b, err := parseBytes(rest)
			a.mu.Lock()
			a.state = b
			a.mu.Unlock()
			return nil, err
		case "send", "sendtcp":
			n := find(arg(1))
			if n == nil {
				return nil, fmt.Errorf("unknown node %q", arg(1))
			}
			b, err := parseBytes(arg(2))
			if err != nil {
				return nil, err
			}
			if parts[0] == "send" {
				return nil, m.SendBestEffort(n, b)
			}
			return nil, m.SendReliable(n, b)
		case "sendaddr":
			b, err := parseBytes(arg(2))
			if err != nil {
				return nil, err
			}
			return nil, m.SendToAddress(memberlist.Address{Addr: arg(1)}, b)
		case "broadcast":
			b, err := parseBytes(rest)
			if err != nil {
				return nil, err
			}
			a.queue.QueueBroadcast(bcast(b))
			return nil, nil
		case "ping":
			n := find(arg(1))
			if n == nil {
				return nil, fmt.Errorf("unknown node %q", arg(1))
			}
			rtt, err := m.Ping(n.Name, &net.UDPAddr{IP: n.Addr, Port: int(n.Port)})
			return obj{"rtt_us": rtt.Microseconds()}, err
		case "call": // the service's members, at this interval
			every, err := time.ParseDuration(arg(2))
			if err != nil {
				return nil, err
			}
			if calls != nil {
				return nil, errors.New("it calls already")
			}
			calls = newCaller(m, arg(1), every)
			return nil, nil
		case "calls", "endcalls":
			if calls == nil {
				return nil, errors.New("it calls nobody")
			}
			if parts[0] == "calls" {
				return calls.counts(), nil
			}
			ended := calls.end()
			calls = nil
			return ended, nil
		case "addkey", "usekey", "removekey", "rotate":
			if c.Keyring == nil {
				return nil, errors.New("encryption is not enabled")
			}
			k, err := parseBytes(arg(1))
			if err != nil {
				return nil, err
			}
			switch parts[0] {
			case "addkey":
				err = c.Keyring.AddKey(k)
			case "usekey":
				err = c.Keyring.UseKey(k)
			case "removekey":
				err = c.Keyring.RemoveKey(k)
			case "rotate": // add + make primary; old keys stay valid for decryption
				if err = c.Keyring.AddKey(k); err == nil {
					err = c.Keyring.UseKey(k)
				}
			}
			return obj{"keys": keyHex()}, err
		case "shutdown", "quit", "exit":
			stop <- "command"
			return nil, nil
		}
		return nil, fmt.Errorf("unknown command %q", parts[0])
	}
	go func() {
		sc := bufio.NewScanner(os.Stdin)
		sc.Buffer(make([]byte, 1<<20), 1<<26)
		for sc.Scan() {
			line := strings.TrimSpace(sc.Text())
			if line == "" {
				continue
			}
			o, err := run(line)
			if o == nil {
				o = obj{}
			}
			o["cmd"], o["ok"] = strings.SplitN(line, " ", 2)[0], err == nil
			if err != nil {
				o["error"] = err.Error()
			}
			a.out.emit("result", o)
		}
		stop <- "stdin closed" // whoever started us is gone
	}()
	why := <-stop
	err = m.Shutdown()
	a.out.emit("shutdown", obj{"reason": why, "error": fmt.Sprint(err)})
	close(a.out.ch)
	<-a.out.done
}
