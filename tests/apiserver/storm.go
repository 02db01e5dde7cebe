package main

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2"
	kmsservice "k8s.io/kms/pkg/service"
)

const (
	callTimeout = 3 * time.Second
	seedLife    = 3 * time.Minute
)

// storm stores Secrets, each under a data-encryption seed of its own, as hundreds of API server starts would leave
// them. Seeds, envelopes and encryption are the library's; only the restarts in between are left out.
type storm struct {
	client   *clientv3.Client
	service  kmsservice.Service
	provider string
	prefix   string
}

func storeSeeds(arguments []string) error {
	flags, servers := newEtcdFlags("seeds")
	endpoint := flags.String("endpoint", "", "endpoint of the KMS provider")
	provider := flags.String("provider", "", "name of the KMS provider")
	prefix := flags.String("etcd-prefix", "/registry", "prefix of the API server that is to read the Secrets")
	count := flags.Int("count", 1, "how many Secrets, each with a seed of its own")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	client, err := newEtcdClient(*servers)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	service, err := kmsv2.NewGRPCService(ctx, *endpoint, *provider, callTimeout)
	if err != nil {
		return err
	}
	storm := storm{client: client, service: service, provider: *provider, prefix: *prefix}
	for number := range *count {
		if err := storm.store(ctx, fmt.Sprintf("seed-%04d", number)); err != nil {
			return err
		}
	}
	return nil
}

func (s storm) store(ctx context.Context, name string) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: uuid.NewUUID(), CreationTimestamp: metav1.Now()},
		Data:       map[string][]byte{"name": []byte(name)},
	}
	content, err := runtime.Encode(storageCodec(), secret)
	if err != nil {
		return err
	}
	transformer, err := s.newTransformer(ctx)
	if err != nil {
		return err
	}
	// The key is authenticated with the value: a value moved to another key does not decrypt.
	key := s.prefix + "/secrets/default/" + name
	stored, err := transformer.TransformToStorage(ctx, content, value.DefaultContext(key))
	if err != nil {
		return err
	}
	_, err = s.client.Put(ctx, key, string(stored))
	return err
}

func (s storm) newTransformer(ctx context.Context) (value.Transformer, error) {
	uid := string(uuid.NewUUID())
	seed, object, cacheKey, err := kmsv2.GenerateTransformer(ctx, uid, s.service, true)
	if err != nil {
		return nil, err
	}
	state := kmsv2.State{
		Transformer:                           seed,
		EncryptedObjectKeyID:                  object.KeyID,
		EncryptedObjectEncryptedDEKSource:     object.EncryptedDEKSource,
		EncryptedObjectAnnotations:            object.Annotations,
		EncryptedObjectEncryptedDEKSourceType: object.EncryptedDEKSourceType,
		UID:                                   uid,
		ExpirationTimestamp:                   time.Now().Add(seedLife),
		CacheKey:                              cacheKey,
		KMSProviderName:                       s.provider,
	}
	return value.NewPrefixTransformers(nil, value.PrefixTransformer{
		Prefix: []byte("k8s:enc:kms:v2:" + s.provider + ":"),
		Transformer: kmsv2.NewEnvelopeTransformer(
			s.service, s.provider, func() (kmsv2.State, error) { return state, nil }, "storm"),
	}), nil
}
