// Reads Compose files and Kubernetes manifests as Docker Compose and Kubernetes do, refuses what they refuse, and prints
// what they understood as JSON.
//
//	peer compose FILE      by the schema and the loader of Compose
//	peer kubernetes FILE   every document into the type of its kind; unknown fields are errors
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) != 3 {
		fail(errors.New("usage: peer compose|kubernetes FILE"))
	}
	readers := map[string]func(string) (any, error){"compose": compose, "kubernetes": kubernetes}
	read, ok := readers[os.Args[1]]
	if !ok {
		fail(fmt.Errorf("no reader of %q", os.Args[1]))
	}
	understood, err := read(os.Args[2])
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(understood); err != nil {
		fail(err)
	}
}

func compose(file string) (any, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithName("test"), cli.WithOsEnv)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

func kubernetes(file string) (any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	found := []any{}
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		object, err := object(document)
		if err != nil {
			return nil, err
		}
		found = append(found, object)
	}
}

func object(document []byte) (any, error) {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return nil, err
	}
	kinds := map[string]any{
		"v1/Service":                         &corev1.Service{},
		"v1/ConfigMap":                       &corev1.ConfigMap{},
		"v1/Secret":                          &corev1.Secret{},
		"apps/v1/Deployment":                 &appsv1.Deployment{},
		"apps/v1/StatefulSet":                &appsv1.StatefulSet{},
		"networking.k8s.io/v1/NetworkPolicy": &networkingv1.NetworkPolicy{},
		"policy/v1/PodDisruptionBudget":      &policyv1.PodDisruptionBudget{},
	}
	kind := meta.APIVersion + "/" + meta.Kind
	into, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("no type for %q", kind)
	}
	if err := yaml.UnmarshalStrict(document, into); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return into, nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
