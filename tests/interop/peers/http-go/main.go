// peer is an HTTP server as they are without any framework: it answers every request with "ok", and SIGTERM ends it
// with the connections that are open. With -answered it makes that file when it answers for the first time. STARTUP is
// how many seconds it takes before it listens.
package main

import (
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

func main() {
	address := flag.String("address", "127.0.0.1:8080", "where to listen")
	answered := flag.String("answered", "", "a file to make with the first answer")
	flag.Parse()
	if startup, err := strconv.ParseFloat(os.Getenv("STARTUP"), 64); err == nil {
		time.Sleep(time.Duration(startup * float64(time.Second)))
	}
	var first sync.Once
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		first.Do(func() {
			if *answered != "" {
				if err := os.WriteFile(*answered, nil, 0o600); err != nil {
					log.Print(err)
				}
			}
		})
		_, _ = io.WriteString(w, "ok")
	})
	log.Fatal(http.ListenAndServe(*address, nil))
}
