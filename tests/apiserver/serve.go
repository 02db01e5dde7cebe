package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/component-base/logs"
)

// newServeCommand takes the etcd and encryption flags from the library, so that they mean what they mean in kube-apiserver.
func newServeCommand() *cobra.Command {
	// Like kube-apiserver, store protobuf under a prefix of our own.
	etcd := options.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry", storageCodec()))
	port := 0
	command := &cobra.Command{
		Use:           "serve",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			return serve(genericapiserver.SetupSignalContext(), etcd, port)
		},
	}
	etcd.AddFlags(command.Flags())
	command.Flags().IntVar(&port, "port", 0, "loopback port to serve https on; 0 lets the kernel choose")
	logs.AddFlags(command.Flags())
	return command
}

func serve(ctx context.Context, etcd *options.EtcdOptions, port int) error {
	if err := errors.Join(etcd.Validate()...); err != nil {
		return err
	}
	// Bound here, and not by the library, so that the chosen port can be told before anything else happens.
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	fmt.Printf("port=%d\n", listener.Addr().(*net.TCPAddr).Port)

	config, err := newConfig(etcd, listener)
	if err != nil {
		return err
	}
	server, err := config.Complete(nil).New("secretserver", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return err
	}
	// The order is kube-apiserver's: the hook walks the storages that the group registers.
	server.AddPostStartHookOrDie("storage-readiness", server.StorageReadinessHook.Hook)
	group, err := newCoreGroup(config.RESTOptionsGetter)
	if err != nil {
		return err
	}
	if err := server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, group); err != nil {
		return err
	}
	return server.PrepareRun().RunWithContext(ctx)
}

// newConfig leaves out what needs a cluster: admission, priority and fairness, delegated authentication, informers.
func newConfig(etcd *options.EtcdOptions, listener net.Listener) (*genericapiserver.Config, error) {
	config := genericapiserver.NewConfig(codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.OpenAPIV3Config = newOpenAPIConfig()
	config.SkipOpenAPIInstallation = true
	// Everyone who reaches the loopback port is let in: the server lives for one test.
	config.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()

	serving := options.NewSecureServingOptions()
	serving.Listener = listener
	serving.BindAddress = net.IPv4(127, 0, 0, 1)
	serving.BindPort = listener.Addr().(*net.TCPAddr).Port
	// Without a directory the certificate and its key stay in memory.
	serving.ServerCert.CertDirectory = ""
	if err := serving.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{serving.BindAddress}); err != nil {
		return nil, err
	}
	if err := serving.WithLoopback().ApplyToConfig(config); err != nil {
		return nil, err
	}
	config.ExternalAddress = listener.Addr().String()
	return config, etcd.ApplyTo(config)
}
