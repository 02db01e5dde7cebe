package main

import (
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

func init() {
	commands["check-manifest"] = checkManifests
}

// checkManifests decodes each file as a Pod with the API server's own strict codec, which refuses unknown and repeated
// fields, and prints "namespace/name". It goes on to what a kubelet asks of a static pod before it looks at anything else.
func checkManifests(files []string) error {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return err
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		object, kind, err := decoder.Decode(data, nil, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		pod, ok := object.(*corev1.Pod)
		if !ok || kind.GroupVersion() != (schema.GroupVersion{Version: "v1"}) {
			return fmt.Errorf("%s: a %s and not a Pod", file, kind)
		}
		if err := checkStatic(pod); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		fmt.Printf("%s/%s\n", pod.Namespace, pod.Name)
	}
	return nil
}

// checkStatic refuses what PreventStaticPodAPIReferences makes a kubelet refuse (k8s.io/kubernetes,
// pkg/kubelet/config/common.go), and mounts of volumes that are not there.
func checkStatic(pod *corev1.Pod) error {
	if pod.Spec.ServiceAccountName != "" {
		return fmt.Errorf("a static pod must not name a ServiceAccount")
	}
	volumes := map[string]bool{}
	for _, volume := range pod.Spec.Volumes {
		volumes[volume.Name] = true
		if volume.HostPath == nil && volume.EmptyDir == nil {
			return fmt.Errorf("volume %s is neither of the host nor empty", volume.Name)
		}
	}
	for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		if len(container.EnvFrom) > 0 {
			return fmt.Errorf("container %s takes its environment from an API object", container.Name)
		}
		for _, variable := range container.Env {
			if source := variable.ValueFrom; source != nil && (source.SecretKeyRef != nil || source.ConfigMapKeyRef != nil) {
				return fmt.Errorf("variable %s comes from an API object", variable.Name)
			}
		}
		for _, mount := range container.VolumeMounts {
			if !volumes[mount.Name] {
				return fmt.Errorf("container %s mounts %s, which is no volume", container.Name, mount.Name)
			}
		}
	}
	return nil
}
