package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	kms "k8s.io/kms/apis/v2"
)

const (
	seedSize = 32
	// The API server's own deadline for a call.
	callTimeout = 3 * time.Second
)

// transit is one version of a Transit key, and who may use it.
type transit struct {
	Address, CA, Token, Mount, Key string
	Version                        int
}

func newKms(socket string, status bool) (call, error) {
	connection, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	client := kms.NewKeyManagementServiceClient(connection)
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		if status {
			_, err := client.Status(ctx, &kms.StatusRequest{})
			return err
		}
		_, err := client.Encrypt(ctx, &kms.EncryptRequest{Plaintext: seed(), Uid: "bench"})
		return err
	}, nil
}

func newTransit(key transit) (call, error) {
	config := api.DefaultConfig()
	config.Address = key.Address
	if err := config.ConfigureTLS(&api.TLSConfig{CACert: key.CA}); err != nil {
		return nil, err
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.SetToken(key.Token)
	path, prefix := key.Mount+"/encrypt/"+key.Key, fmt.Sprintf("vault:v%d:", key.Version)
	bound := base64.StdEncoding.EncodeToString([]byte("kleidi bench"))
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		secret, err := client.Logical().WriteWithContext(ctx, path, map[string]any{
			"plaintext":       base64.StdEncoding.EncodeToString(seed()),
			"associated_data": bound,
			"key_version":     key.Version,
		})
		if err != nil {
			return err
		}
		text, _ := secret.Data["ciphertext"].(string)
		_, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(text, prefix))
		return err
	}, nil
}

func seed() []byte {
	made := make([]byte, seedSize)
	rand.Read(made)
	return made
}
