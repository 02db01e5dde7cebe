// Command client calls for the bench: a KMS v2 plugin as the API server would, or a Transit server as a plugin in
// Go would, with HashiCorp's own client. Both are in one process, so that what a caller costs is the same on both
// sides.
//
// `client delay HOST:PORT MILLISECONDS` is a far server instead: see delay.
//
// Else it reads one order per line, as JSON, and prints one line for each: see order and told.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// The API server's own deadline for a call.
	callTimeout = 3 * time.Second
	uid         = "bench"
	// Callers begin at places far from each other.
	stride = 61
)

// order says whom to call, with how many callers at once, and when each of them ends: after so many calls,
// or so many seconds. Kms is a Unix socket's path; without it Transit is called.
//
// Method is Encrypt, Decrypt, Status or Empty, with Size bytes of plaintext, over so many connections. Ciphertexts
// names a file of what Decrypt is to open in turn: a JSON list of what Encrypt answered.
type order struct {
	Kms         string
	Method      string
	Size        int
	Connections int
	Ciphertexts string
	Transit     transit
	Callers     int
	Calls       int
	Seconds     float64
}

// target is what an order shares with others like it.
type target struct {
	kms, method, ciphertexts string
	size, connections        int
	transit                  transit
}

func (o order) target() target {
	return target{o.Kms, o.Method, o.Ciphertexts, o.Size, o.Connections, o.Transit}
}

// call makes one call: that of a caller, and of a number among its calls.
type call func(caller, number int) error

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
	made, kept := map[target]call{}, pool{}
	for lines.Scan() {
		var wanted order
		if err := json.Unmarshal(lines.Bytes(), &wanted); err != nil {
			return err
		}
		if made[wanted.target()] == nil {
			one, err := newCall(wanted, kept)
			if err != nil {
				return err
			}
			made[wanted.target()] = one
		}
		if err := answers.Encode(run(wanted, made[wanted.target()])); err != nil {
			return err
		}
	}
	return lines.Err()
}

func newCall(wanted order, kept pool) (call, error) {
	if wanted.Kms != "" {
		return newKms(wanted, kept)
	}
	return newTransit(wanted.Transit, wanted.Size)
}

func run(wanted order, work call) told {
	found := make([]heard, wanted.Callers)
	var callers sync.WaitGroup
	began := time.Now()
	for caller := range wanted.Callers {
		callers.Go(func() { found[caller] = one(wanted, work, caller, began) })
	}
	callers.Wait()
	return tell(found, time.Since(began).Seconds())
}

func one(wanted order, work call, caller int, began time.Time) heard {
	var found heard
	for number := 0; wanted.Calls == 0 || number < wanted.Calls; number++ {
		if wanted.Calls == 0 && time.Since(began).Seconds() >= wanted.Seconds {
			break
		}
		started := time.Now()
		err := work(caller, number)
		found.add(float64(time.Since(started).Nanoseconds())/1000, err)
	}
	return found
}

func plaintext(size int) []byte {
	made := make([]byte, size)
	rand.Read(made)
	return made
}
