// Command secretserver is a small, real API server: the published k8s.io/apiserver library with etcd behind it,
// its own EncryptionConfiguration code, and nothing of a cluster. It exists so that tests can see the appliance
// through the very code that kube-apiserver runs.
package main

import (
	"fmt"
	"os"

	"k8s.io/component-base/cli"
)

const usage = `usage:
  secretserver serve --etcd-servers URL [flags]        serve Secrets and ConfigMaps on loopback; prints "port=N" first
  secretserver check-config FILE                       load an EncryptionConfiguration as the API server does
  secretserver parse-endpoint STRING...                print what the API server would dial for each string
  secretserver stored --etcd-servers URL KEY           print the bytes etcd holds under KEY
  secretserver put --etcd-servers URL KEY              replace them by standard input
  secretserver seeds --etcd-servers URL --count N ...  store Secrets as N API server starts would leave them
`

var commands = map[string]func(arguments []string) error{
	"check-config":   checkConfig,
	"parse-endpoint": parseEndpoints,
	"stored":         printStored,
	"put":            putStored,
	"seeds":          storeSeeds,
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	name, arguments := os.Args[1], os.Args[2:]
	if name == "serve" {
		command := newServeCommand()
		command.SetArgs(arguments)
		os.Exit(cli.Run(command))
	}
	command, ok := commands[name]
	if !ok {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := command(arguments); err != nil {
		fmt.Fprintln(os.Stderr, "secretserver:", err)
		os.Exit(1)
	}
}
