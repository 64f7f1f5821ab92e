// peer asks go-doudou's own rate limiter, over go-redis, driven over standard input and output; it ends when its input
// closes.
//
//	peer REDIS (host:port)
//
// Commands (lines on standard input) and events (lines on standard output) are JSON objects:
//
//	commands  cmd take: key, rate, period (seconds), burst, times, every (milliseconds between two)
//	events    ready; result of a command: cmd, ok, allowed, refused; error
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/go-redis/redis/v8"
	"github.com/unionj-cloud/go-doudou/framework/ratelimit"
	"github.com/unionj-cloud/go-doudou/framework/ratelimit/redisrate"
)

type command struct {
	Cmd, Key     string
	Rate, Period float64
	Burst, Times int
	Every        float64
}

type result struct {
	Event   string `json:"event"`
	Cmd     string `json:"cmd,omitempty"`
	Ok      bool   `json:"ok"`
	Allowed int    `json:"allowed"`
	Refused int    `json:"refused"`
	Error   string `json:"error,omitempty"`
}

func main() {
	client := redis.NewClient(&redis.Options{Addr: os.Args[1]})
	said := json.NewEncoder(os.Stdout)
	_ = said.Encode(result{Event: "ready", Ok: true})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var asked command
		err := json.Unmarshal(lines.Bytes(), &asked)
		found := result{Event: "result", Cmd: asked.Cmd}
		if err == nil {
			found.Allowed, found.Refused, err = take(client, asked)
		}
		found.Ok = err == nil
		if err != nil {
			found.Error = err.Error()
		}
		_ = said.Encode(found)
	}
}

func take(client *redis.Client, asked command) (allowed, refused int, err error) {
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
