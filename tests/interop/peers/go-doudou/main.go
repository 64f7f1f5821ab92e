// peer is go-doudou itself, driven over standard input and output; it ends when its input closes: its rate limiter in
// Redis, and a node of its gossip with its balancers, whose settings are the variables GDD_* of the environment.
//
// Commands (lines on standard input) and events (lines on standard output) are JSON objects:
//
//	commands
//	  take   redis (host:port), key, rate, period (seconds), burst, times, every (milliseconds between two)
//	  join   service (whom to call)
//	  pick   times
//	events
//	  ready
//	  result of a command: cmd, ok; error; allowed, refused; picks (URLs and how often they were picked, by balancer)
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/go-redis/redis/v8"
	ddhttp "github.com/unionj-cloud/go-doudou/framework/http"
	"github.com/unionj-cloud/go-doudou/framework/ratelimit"
	"github.com/unionj-cloud/go-doudou/framework/ratelimit/redisrate"
	"github.com/unionj-cloud/go-doudou/framework/registry"
)

type command struct {
	Cmd, Redis, Key, Service string
	Rate, Period             float64
	Burst, Times             int
	Every                    float64
}

type result struct {
	Event   string                    `json:"event"`
	Cmd     string                    `json:"cmd,omitempty"`
	Ok      bool                      `json:"ok"`
	Error   string                    `json:"error,omitempty"`
	Allowed int                       `json:"allowed"`
	Refused int                       `json:"refused"`
	Picks   map[string]map[string]int `json:"picks,omitempty"`
}

var balancers = map[string]registry.IServiceProvider{}

func main() {
	said := json.NewEncoder(os.Stdout)
	_ = said.Encode(result{Event: "ready", Ok: true})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var asked command
		err := json.Unmarshal(lines.Bytes(), &asked)
		found := result{Event: "result", Cmd: asked.Cmd}
		switch {
		case err != nil:
		case asked.Cmd == "take":
			found.Allowed, found.Refused, err = take(asked)
		case asked.Cmd == "join":
			// In this order: a balancer that was made before the node never hears of anybody.
			if err = registry.NewNode(); err == nil {
				balancers["round robin"] = ddhttp.NewMemberlistServiceProvider(asked.Service)
				balancers["smooth weighted"] = ddhttp.NewSmoothWeightedRoundRobinProvider(asked.Service)
			}
		case asked.Cmd == "pick":
			found.Picks = pick(asked.Times)
		}
		found.Ok = err == nil
		if err != nil {
			found.Error = err.Error()
		}
		_ = said.Encode(found)
	}
}

func take(asked command) (allowed, refused int, err error) {
	client := redis.NewClient(&redis.Options{Addr: asked.Redis})
	defer client.Close()
	limiter := redisrate.NewGcraLimiterLimit(client, asked.Key, ratelimit.Limit{
		Rate: asked.Rate, Burst: asked.Burst, Period: time.Duration(asked.Period * float64(time.Second)),
	}).(*redisrate.GcraLimiter)
	due := time.Now()
	for range asked.Times {
		time.Sleep(time.Until(due))
		due = due.Add(time.Duration(asked.Every * float64(time.Millisecond)))
		_, allow, err := limiter.ReserveECtx(context.Background())
		if err != nil {
			return allowed, refused, err
		}
		if allow {
			allowed++
		} else {
			refused++
		}
	}
	return allowed, refused, nil
}

func pick(times int) map[string]map[string]int {
	picks := map[string]map[string]int{}
	for name, balancer := range balancers {
		picks[name] = map[string]int{}
		for range times {
			picks[name][balancer.SelectServer()]++
		}
	}
	return picks
}
