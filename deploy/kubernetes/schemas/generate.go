//go:build ignore

// Generate writes one strict JSON Schema per Kubernetes kind that deploy/ uses, taken from Kubernetes' own OpenAPI file, so that
// `make lint-deploy` finds a misspelt field without a cluster and without the network.
//
// Run it through `make k8s-schemas`, which fetches the OpenAPI file; add a kind to the list below first.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
)

// kinds maps the schema's file name, as kubeconform asks for it ({kind}-{group}-{version}.json), to its OpenAPI definition.
var kinds = map[string]string{
	"configmap-v1":                  "io.k8s.api.core.v1.ConfigMap",
	"namespace-v1":                  "io.k8s.api.core.v1.Namespace",
	"secret-v1":                     "io.k8s.api.core.v1.Secret",
	"service-v1":                    "io.k8s.api.core.v1.Service",
	"serviceaccount-v1":             "io.k8s.api.core.v1.ServiceAccount",
	"deployment-apps-v1":            "io.k8s.api.apps.v1.Deployment",
	"job-batch-v1":                  "io.k8s.api.batch.v1.Job",
	"poddisruptionbudget-policy-v1": "io.k8s.api.policy.v1.PodDisruptionBudget",
}

type object = map[string]any

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: go run generate.go SWAGGER.JSON OUTPUT_FOLDER")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(swaggerPath, outDir string) error {
	raw, err := os.ReadFile(swaggerPath)
	if err != nil {
		return err
	}
	var swagger struct {
		Definitions map[string]object `json:"definitions"`
	}
	if err := json.Unmarshal(raw, &swagger); err != nil {
		return fmt.Errorf("%s: %w", swaggerPath, err)
	}
	for file, root := range kinds {
		used := object{}
		if err := collect(root, swagger.Definitions, used); err != nil {
			return err
		}
		schema := object{
			"$schema":     "http://json-schema.org/draft-07/schema#",
			"$ref":        "#/definitions/" + root,
			"definitions": used,
		}
		out, err := json.Marshal(schema)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(outDir, file+".json"), append(out, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// collect adds the definition called name, and all it refers to, to used.
func collect(name string, all map[string]object, used object) error {
	if used[name] != nil {
		return nil
	}
	def, ok := all[name]
	if !ok {
		return fmt.Errorf("the OpenAPI file has no definition %s", name)
	}
	strict := tighten(def, name).(object)
	used[name] = strict
	return walkRefs(strict, func(ref string) error { return collect(ref, all, used) })
}

// tighten drops what validation does not need and forbids unknown fields. Two definitions are wider on the wire than OpenAPI says.
func tighten(node any, name string) any {
	switch name {
	case "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
		return object{"type": []string{"string", "integer"}}
	case "io.k8s.apimachinery.pkg.api.resource.Quantity":
		return object{"type": []string{"string", "number"}}
	}
	m, ok := node.(object)
	if !ok {
		return node
	}
	out := object{}
	for key, value := range m {
		switch {
		case key == "description", key == "default", key == "format", strings.HasPrefix(key, "x-kubernetes"):
		case key == "properties":
			properties := object{}
			for property, schema := range value.(object) {
				properties[property] = tighten(schema, "")
			}
			out[key] = properties
			if m["additionalProperties"] == nil {
				out["additionalProperties"] = false
			}
		default:
			out[key] = tighten(value, "")
		}
	}
	if gvk, ok := m["x-kubernetes-group-version-kind"].([]any); ok && len(gvk) == 1 && name != "" {
		properties, _ := out["properties"].(object)
		if _, isRoot := properties["apiVersion"]; isRoot {
			out["required"] = append(stringsOf(m["required"]), "apiVersion", "kind")
		}
	}
	return out
}

func stringsOf(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list)+2)
	for _, s := range list {
		out = append(out, s.(string))
	}
	return out
}

func walkRefs(node any, visit func(string) error) error {
	switch n := node.(type) {
	case object:
		for key, value := range n {
			if ref, ok := value.(string); ok && key == "$ref" {
				if err := visit(strings.TrimPrefix(ref, "#/definitions/")); err != nil {
					return err
				}
				continue
			}
			if err := walkRefs(value, visit); err != nil {
				return err
			}
		}
	case []any:
		for _, value := range n {
			if err := walkRefs(value, visit); err != nil {
				return err
			}
		}
	}
	return nil
}
