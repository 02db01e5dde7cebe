// Command vaultclient calls for the bench: a KMS v2 plugin as the API server would, or a Transit server as a
// plugin in Go would, with HashiCorp's own client. Both are in one process, so that what a caller costs is
// the same on both sides.
//
// `vaultclient delay HOST:PORT MILLISECONDS` is a far server instead: see delay.
//
// Else it reads one order per line, as JSON, and prints one line for each: see order and told.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// order says whom to call, with how many callers at once, and when each of them ends: after so many calls,
// or so many seconds. Kms is a Unix socket's path; without it Transit is called. Status asks for that in place
// of Encrypt: what the transport costs by itself.
type order struct {
	Kms     string
	Status  bool
	Transit transit
	Callers int
	Calls   int
	Seconds float64
}

// told has all calls' lengths in microseconds; the failed ones are in it.
type told struct {
	Micros  []float64 `json:"micros"`
	Failed  int       `json:"failed"`
	Error   string    `json:"error"`
	Seconds float64   `json:"seconds"`
}

type call func() error

func main() {
	work := obey
	if len(os.Args) == 4 && os.Args[1] == "delay" {
		work = func() error { return delayFor(os.Args[2], os.Args[3]) }
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func delayFor(target, milliseconds string) error {
	roundTrip, err := time.ParseDuration(milliseconds + "ms")
	if err != nil {
		return err
	}
	return delay(target, roundTrip)
}

func obey() error {
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	made := map[string]call{}
	for lines.Scan() {
		var wanted order
		if err := json.Unmarshal(lines.Bytes(), &wanted); err != nil {
			return err
		}
		// Connections are kept from one order to the next, as any caller keeps them.
		name := fmt.Sprint(wanted.Kms, wanted.Status, wanted.Transit)
		if made[name] == nil {
			one, err := newCall(wanted)
			if err != nil {
				return err
			}
			made[name] = one
		}
		if err := answers.Encode(run(wanted, made[name])); err != nil {
			return err
		}
	}
	return lines.Err()
}

func newCall(wanted order) (call, error) {
	if wanted.Kms != "" {
		return newKms(wanted.Kms, wanted.Status)
	}
	return newTransit(wanted.Transit)
}

func run(wanted order, work call) told {
	found := make([]told, wanted.Callers)
	var callers sync.WaitGroup
	began := time.Now()
	for number := range wanted.Callers {
		callers.Go(func() { found[number] = one(wanted, work, began) })
	}
	callers.Wait()
	all := told{Micros: []float64{}, Seconds: time.Since(began).Seconds()}
	for _, each := range found {
		all.Micros = append(all.Micros, each.Micros...)
		all.Failed += each.Failed
		if each.Error != "" {
			all.Error = each.Error
		}
	}
	return all
}

func one(wanted order, work call, began time.Time) told {
	var found told
	for number := 0; wanted.Calls == 0 || number < wanted.Calls; number++ {
		if wanted.Calls == 0 && time.Since(began).Seconds() >= wanted.Seconds {
			break
		}
		started := time.Now()
		err := work()
		found.Micros = append(found.Micros, float64(time.Since(started).Nanoseconds())/1000)
		if err != nil {
			found.Failed++
			found.Error = err.Error()
		}
	}
	return found
}
