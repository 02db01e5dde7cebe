// Command cases runs h2spec's cases against HOST:PORT, and prints a line of JSON for each.
package main

import (
	"encoding/json"
	"log"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// A server that says nothing is waited for as long.
const patience = 2 * time.Second

type told struct {
	Case   string `json:"case"`
	Asks   string `json:"asks"`
	Result string `json:"result"`
}

func main() {
	host, digits, err := net.SplitHostPort(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	port, err := strconv.Atoi(digits)
	if err != nil {
		log.Fatal(err)
	}
	asked := &config.Config{Host: host, Port: port, Path: os.Args[2], Timeout: patience, MaxHeaderLen: 4000}
	lines := json.NewEncoder(os.Stdout)
	// h2spec prints what it does; that is for people.
	os.Stdout = os.Stderr
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		group.Test(asked)
		tell(lines, group)
	}
}

func tell(lines *json.Encoder, group *spec.TestGroup) {
	for number, test := range group.Tests {
		if test.Result == nil {
			continue
		}
		result := "passed"
		if test.Result.Failed {
			result = "failed: " + test.Result.Error.Error()
		} else if test.Result.Skipped {
			result = "skipped"
		}
		name := group.ID() + "/" + strconv.Itoa(number+1)
		if err := lines.Encode(told{name, test.Desc, result}); err != nil {
			log.Fatal(err)
		}
	}
	for _, inner := range group.Groups {
		tell(lines, inner)
	}
}
