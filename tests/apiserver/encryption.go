package main

import (
	"context"
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
)

// checkConfig loads one EncryptionConfiguration with the validation that applies when automatic reload is on. It
// prints the resources and the verdict on the providers: one that does not answer costs its timeout and is no error,
// for the API server starts then, too.
func checkConfig(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("check-config takes one file")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	loaded, err := encryptionconfig.LoadEncryptionConfig(ctx, arguments[0], true, "secretserver")
	if err != nil {
		return err
	}
	for resource := range loaded.Transformers {
		fmt.Printf("resource %s\n", resource)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/readyz", nil)
	if err != nil {
		return err
	}
	for _, check := range loaded.HealthChecks {
		if err := check.Check(request); err != nil {
			fmt.Printf("unhealthy %q\n", err)
		} else {
			fmt.Println("healthy")
		}
	}
	return nil
}
