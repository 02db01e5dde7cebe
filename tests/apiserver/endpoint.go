package main

import (
	"fmt"

	"k8s.io/kms/pkg/util"
)

// parseEndpoints prints one line per string: "path " and what would be dialled in Go quotes, or "error " and why not.
func parseEndpoints(endpoints []string) error {
	for _, endpoint := range endpoints {
		if path, err := util.ParseEndpoint(endpoint); err != nil {
			fmt.Printf("error %q\n", err)
		} else {
			fmt.Printf("path %q\n", path)
		}
	}
	return nil
}
