// Calls over HTTP to the members of a service: a round robin of our own over those that the gossip lists, as that of
// go-doudou, which ignores weights and does not try again.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sort"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
)

// offer is what we read of a node's metadata, of go-doudou's first era.
type offer struct {
	Meta struct {
		Service string `codec:"service"`
		Port    int    `codec:"port"`
	} `codec:"_meta"`
}

// caller calls a service over and over, GET and POST by turns, until it is told to stop.
type caller struct {
	list    *memberlist.Memberlist
	service string
	client  *http.Client
	stop    chan struct{}
	done    sync.WaitGroup

	mu       sync.Mutex
	answered map[string]int
	failed   map[string]int
	next     int
}

func newCaller(list *memberlist.Memberlist, service string, every time.Duration) *caller {
	c := &caller{
		list: list, service: service, client: &http.Client{Timeout: 5 * time.Second},
		stop: make(chan struct{}), answered: map[string]int{}, failed: map[string]int{},
	}
	c.done.Add(1)
	go func() {
		defer c.done.Done()
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-tick.C:
				c.done.Add(1)
				go func() {
					defer c.done.Done()
					c.call()
				}()
			}
		}
	}()
	return c
}

// members are the addresses that offer the service, in order.
func (c *caller) members() []string {
	found := []string{}
	for _, node := range c.list.Members() {
		var o offer
		if codec.NewDecoderBytes(node.Meta, &codec.MsgpackHandle{}).Decode(&o) == nil && o.Meta.Service == c.service {
			found = append(found, fmt.Sprintf("%s:%d", node.Addr, o.Meta.Port))
		}
	}
	sort.Strings(found)
	return found
}

func (c *caller) call() {
	found := c.members()
	c.mu.Lock()
	c.next++
	turn := c.next
	c.mu.Unlock()
	if len(found) == 0 {
		c.count(c.failed, "nobody offers it")
		return
	}
	member := found[turn%len(found)]
	method, body := http.MethodGet, []byte(nil)
	if turn%4 < 2 {
		method, body = http.MethodPost, []byte("{}")
	}
	request, err := http.NewRequest(method, "http://"+member+"/", bytes.NewReader(body))
	if err != nil {
		c.count(c.failed, err.Error())
		return
	}
	response, err := c.client.Do(request)
	if err != nil {
		c.count(c.failed, err.Error())
		return
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		c.count(c.failed, err.Error())
	} else if response.StatusCode != http.StatusOK {
		c.count(c.failed, response.Status)
	} else {
		c.count(c.answered, member)
	}
}

func (c *caller) count(where map[string]int, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	where[what]++
}

// counts are how often each member answered, and what went wrong how often, so far.
func (c *caller) counts() obj {
	c.mu.Lock()
	defer c.mu.Unlock()
	copied := func(from map[string]int) map[string]int {
		to := map[string]int{}
		for key, count := range from {
			to[key] = count
		}
		return to
	}
	return obj{"answered": copied(c.answered), "failed": copied(c.failed), "members": c.members()}
}

// end waits for the calls that are under way.
func (c *caller) end() obj {
	close(c.stop)
	c.done.Wait()
	c.client.CloseIdleConnections()
	return c.counts()
}
