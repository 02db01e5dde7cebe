package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
)

// transit is one version of a Transit key, and who may use it.
type transit struct {
	Address, CA, Token, Mount, Key string
	Version                        int
}

func newTransit(key transit, size int) (call, error) {
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
	return func(int, int) error {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		secret, err := client.Logical().WriteWithContext(ctx, path, map[string]any{
			"plaintext":       base64.StdEncoding.EncodeToString(plaintext(size)),
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
