package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	kms "k8s.io/kms/apis/v2"
)

// A method that takes any message and answers with an empty one: what a transport costs by itself.
const emptyMethod = "/bench.Empty/Empty"

// pool has the connections to each socket, kept from one order to the next, as any caller keeps them. They are
// made as the API server's own client makes them: no TLS, and nothing but a deadline.
type pool map[string][]*grpc.ClientConn

func (p pool) of(socket string, count int) ([]*grpc.ClientConn, error) {
	for len(p[socket]) < count {
		one, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		p[socket] = append(p[socket], one)
	}
	return p[socket][:count], nil
}

// A caller keeps to one of the connections.
func newKms(wanted order, kept pool) (call, error) {
	dialled, err := kept.of(wanted.Kms, max(1, wanted.Connections))
	if err != nil {
		return nil, err
	}
	clients := make([]kms.KeyManagementServiceClient, len(dialled))
	for number, each := range dialled {
		clients[number] = kms.NewKeyManagementServiceClient(each)
	}
	call, err := newMethod(wanted, dialled, clients)
	if err != nil {
		return nil, err
	}
	// A connection is made at its first call, which is nobody's time; if that fails, those that count will, too.
	for number := range dialled {
		call(number, 0)
	}
	return call, nil
}

func newMethod(wanted order, dialled []*grpc.ClientConn, clients []kms.KeyManagementServiceClient) (call, error) {
	switch wanted.Method {
	case "Status":
		return func(caller, _ int) error {
			return timely(func(ctx context.Context) error {
				_, err := clients[caller%len(clients)].Status(ctx, &kms.StatusRequest{})
				return err
			})
		}, nil
	case "Empty":
		return func(caller, _ int) error {
			return timely(func(ctx context.Context) error {
				connection := dialled[caller%len(dialled)]
				return connection.Invoke(ctx, emptyMethod, &kms.StatusRequest{}, &kms.StatusResponse{})
			})
		}, nil
	case "Encrypt":
		return func(caller, _ int) error {
			return timely(func(ctx context.Context) error {
				request := &kms.EncryptRequest{Plaintext: plaintext(wanted.Size), Uid: uid}
				_, err := clients[caller%len(clients)].Encrypt(ctx, request)
				return err
			})
		}, nil
	case "Decrypt":
		return newDecrypt(wanted, clients)
	}
	return nil, fmt.Errorf("no method %q", wanted.Method)
}

// newDecrypt goes round the ciphertexts of the order's file; without one it has the server make one.
func newDecrypt(wanted order, clients []kms.KeyManagementServiceClient) (call, error) {
	stored, err := ciphertexts(wanted, clients[0])
	if err != nil {
		return nil, err
	}
	return func(caller, number int) error {
		each := stored[(caller*stride+number)%len(stored)]
		return timely(func(ctx context.Context) error {
			request := &kms.DecryptRequest{
				Ciphertext: each.Ciphertext, KeyId: each.KeyId, Annotations: each.Annotations, Uid: uid,
			}
			found, err := clients[caller%len(clients)].Decrypt(ctx, request)
			if err == nil && len(found.Plaintext) != wanted.Size {
				err = fmt.Errorf("%d bytes came back", len(found.Plaintext))
			}
			return err
		})
	}, nil
}

func ciphertexts(wanted order, client kms.KeyManagementServiceClient) ([]*kms.EncryptResponse, error) {
	if wanted.Ciphertexts != "" {
		text, err := os.ReadFile(wanted.Ciphertexts)
		if err != nil {
			return nil, err
		}
		var stored []*kms.EncryptResponse
		return stored, json.Unmarshal(text, &stored)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	one, err := client.Encrypt(ctx, &kms.EncryptRequest{Plaintext: plaintext(wanted.Size), Uid: uid})
	return []*kms.EncryptResponse{one}, err
}

func timely(work func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	return work(ctx)
}
