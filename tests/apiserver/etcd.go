package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const etcdTimeout = 10 * time.Second

func newEtcdFlags(name string) (*pflag.FlagSet, *[]string) {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	return flags, flags.StringSlice("etcd-servers", nil, "etcd servers, comma separated")
}

func newEtcdClient(servers []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: servers, DialTimeout: etcdTimeout})
}

// printStored writes the raw value to standard output: exactly what a thief of etcd's disk would find.
func printStored(arguments []string) error {
	return withKey("stored", arguments, func(ctx context.Context, client *clientv3.Client, key string) error {
		response, err := client.Get(ctx, key)
		if err != nil {
			return err
		}
		if len(response.Kvs) == 0 {
			return fmt.Errorf("nothing is stored under %s", key)
		}
		_, err = os.Stdout.Write(response.Kvs[0].Value)
		return err
	})
}

// putStored replaces the raw value by standard input: what a bad disk or a bad neighbour would do.
func putStored(arguments []string) error {
	return withKey("put", arguments, func(ctx context.Context, client *clientv3.Client, key string) error {
		content, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		_, err = client.Put(ctx, key, string(content))
		return err
	})
}

func withKey(name string, arguments []string, act func(context.Context, *clientv3.Client, string) error) error {
	flags, servers := newEtcdFlags(name)
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("%s takes one key", name)
	}
	client, err := newEtcdClient(*servers)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), etcdTimeout)
	defer cancel()
	return errors.Join(act(ctx, client, flags.Arg(0)), client.Close())
}
