package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

var (
	scheme = newScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

// newScheme registers each Go type twice, as the served version and as the library's internal one. The library
// wants an internal version to work on; with one type for both, every conversion is the identity and k8s.io/kubernetes,
// where the true internal types live, is not needed.
func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	for _, version := range []schema.GroupVersion{corev1.SchemeGroupVersion, internalVersion} {
		scheme.AddKnownTypes(version, &corev1.Secret{}, &corev1.SecretList{}, &corev1.ConfigMap{}, &corev1.ConfigMapList{})
	}
	utilruntime.Must(scheme.SetVersionPriority(corev1.SchemeGroupVersion))
	return scheme
}

var internalVersion = schema.GroupVersion{Group: corev1.GroupName, Version: runtime.APIVersionInternal}

// storageCodec writes protobuf, as kube-apiserver does, and reads whatever it finds.
func storageCodec() runtime.Codec {
	info, ok := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	if !ok {
		panic("the codec factory has no protobuf serializer")
	}
	return codecs.CodecForVersions(info.Serializer, codecs.UniversalDeserializer(), corev1.SchemeGroupVersion, internalVersion)
}
