// Command reference is what the bench holds ours against: a KMS v2 plugin as one writes it in Go, on the published
// libraries. k8s.io/kms/pkg/service carries the calls, crypto11 asks the same SoftHSM module as ours.
//
// It does what a call needs: a session from crypto11's pool, AES-GCM in the token under a private 256-bit key, a
// random nonce, the key id as associated data. It does nothing else that ours does: no log line, no ledger of what
// was used, no proof that the key still answers behind Status, no second key, no check of who connects, no limits
// but gRPC's own.
//
// `reference SOCKET MODULE` serves until it is killed. SOFTHSM2_CONF names an empty directory of tokens: token and
// key are made anew, their PIN is forgotten with the process.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/kms/pkg/service"
)

// For a connection's handshake; calls bring deadlines of their own.
const connectionTimeout = 5 * time.Second

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func serve(arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("usage: reference SOCKET MODULE")
	}
	socket, module := arguments[0], arguments[1]
	pin := rand.Text()
	if err := initToken(module, pin); err != nil {
		return err
	}
	keys, err := newPlugin(module, pin)
	if err != nil {
		return err
	}
	return service.NewGRPCService(socket, connectionTimeout, keys).ListenAndServe()
}
