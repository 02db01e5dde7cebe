package main

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/ThalesGroup/crypto11"
	"k8s.io/kms/pkg/service"
)

const (
	keyID     = "reference"
	keyBits   = 256
	nonceSize = 12
)

// plugin answers with one key.
type plugin struct {
	key cipher.AEAD
}

func newPlugin(module, pin string) (*plugin, error) {
	token, err := crypto11.Configure(&crypto11.Config{
		Path: module, TokenLabel: tokenLabel, Pin: pin, GCMIVLength: nonceSize,
	})
	if err != nil {
		return nil, err
	}
	key, err := token.GenerateSecretKeyWithLabel([]byte(keyID), []byte(keyID), keyBits, crypto11.CipherAES)
	if err != nil {
		return nil, err
	}
	gcm, err := key.NewGCM()
	if err != nil {
		return nil, err
	}
	return &plugin{gcm}, nil
}

func (p *plugin) Status(context.Context) (*service.StatusResponse, error) {
	return &service.StatusResponse{Version: "v2", Healthz: "ok", KeyID: keyID}, nil
}

func (p *plugin) Encrypt(_ context.Context, _ string, plaintext []byte) (*service.EncryptResponse, error) {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	return &service.EncryptResponse{Ciphertext: p.key.Seal(nonce, nonce, plaintext, []byte(keyID)), KeyID: keyID}, nil
}

func (p *plugin) Decrypt(_ context.Context, _ string, request *service.DecryptRequest) ([]byte, error) {
	if request.KeyID != keyID || len(request.Ciphertext) < nonceSize {
		return nil, fmt.Errorf("nothing of %s", keyID)
	}
	nonce, rest := request.Ciphertext[:nonceSize], request.Ciphertext[nonceSize:]
	return p.key.Open(nil, nonce, rest, []byte(keyID))
}
