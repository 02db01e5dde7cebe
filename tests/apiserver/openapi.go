package main

import (
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	corev1 "k8s.io/api/core/v1"
)

// newOpenAPIConfig describes the four kinds as free-form objects. The library insists on a description for
// server-side apply; the generated ones live in k8s.io/kubernetes, and no test here applies anything.
func newOpenAPIConfig() *common.OpenAPIV3Config {
	return genericapiserver.DefaultOpenAPIV3Config(func(common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		freeForm := common.OpenAPIDefinition{Schema: spec.Schema{
			SchemaProps:      spec.SchemaProps{Type: []string{"object"}},
			VendorExtensible: spec.VendorExtensible{Extensions: spec.Extensions{"x-kubernetes-preserve-unknown-fields": true}},
		}}
		return map[string]common.OpenAPIDefinition{
			corev1.Secret{}.OpenAPIModelName():        freeForm,
			corev1.SecretList{}.OpenAPIModelName():    freeForm,
			corev1.ConfigMap{}.OpenAPIModelName():     freeForm,
			corev1.ConfigMapList{}.OpenAPIModelName(): freeForm,
		}
	}, openapi.NewDefinitionNamer(scheme))
}
