package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// Addresses of the image, which deploy/Dockerfile sets and exposes.
const (
	imageClients = ":11211"
	imagePeers   = ":11212"
	imageAdmin   = ":11280"
)

// checkNode loads the variables of a node of a pair and demands that it asks clients and peers who they are, and serves the ports of the image.
func checkNode(t *testing.T, name string, variables []string) *serveConfig {
	t.Helper()
	// What the image allows for want of knowledge is taken back; an empty variable is none.
	const closed = "FUTAGO_ALLOW_OPEN="
	if !slices.Contains(variables, closed) {
		t.Errorf("%s: want %s, against the image's", name, closed)
	}
	variables = slices.DeleteFunc(variables, func(v string) bool { return v == closed })
	checkVariables(t, variables)
	config := defaultServeConfig()
	for _, st := range serveSettings(config).list {
		if err := st.fromEnvironment(environment(variables)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	n := &config.Node
	if n.Users == "" || n.PeerTLSCert == "" {
		t.Errorf("%s: users %q, peer certificate %q: want both, the addresses are open to its network", name, n.Users, n.PeerTLSCert)
	}
	if got, want := []string{n.Listen[0], n.PeerListen, n.AdminListen}, []string{imageClients, imagePeers, imageAdmin}; !slices.Equal(got, want) {
		t.Errorf("%s: addresses %q, want %q", name, got, want)
	}
	return config
}

// TestCompose checks the services of deploy/compose.yml against the settings of the program, and that each finds the others.
func TestCompose(t *testing.T) {
	type service struct {
		Environment       map[string]string
		Secrets, Networks []string
	}
	var file struct {
		Services map[string]service
		Networks map[string]any
		Secrets  map[string]struct{ File string }
	}
	if err := yaml.Unmarshal([]byte(readDeploy(t, "compose.yml")), &file); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"gateway", "node1", "node2"}, slices.Sorted(maps.Keys(file.Services))); diff != "" {
		t.Fatalf("services differ (-want +got):\n%s", diff)
	}
	for name, s := range file.Services {
		for _, secret := range s.Secrets {
			if file.Secrets[secret].File == "" {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
		}
		for _, network := range s.Networks {
			if _, ok := file.Networks[network]; !ok {
				t.Errorf("%s: there is no network %s", name, network)
			}
		}
		var variables []string
		for variable, value := range s.Environment {
			variables = append(variables, variable+"="+value)
			if path, ok := strings.CutPrefix(value, "/run/secrets/"); ok && !slices.Contains(s.Secrets, path) {
				t.Errorf("%s: %s=%s is none of its secrets %q", name, variable, value, s.Secrets)
			}
		}
		if name == "gateway" {
			config := defaultGatewayConfig()
			for _, problem := range unknownVariables(newRootCommand(), environment(variables)) {
				t.Error(problem)
			}
			for _, st := range gatewaySettings(config).list {
				if err := st.fromEnvironment(environment(variables)); err != nil {
					t.Errorf("gateway: %v", err)
				}
			}
			if err := config.Gateway.Validate(); err != nil {
				t.Errorf("gateway: %v", err)
			}
			var upstreams []string
			for _, u := range config.Gateway.Upstreams {
				upstreams = append(upstreams, u.Addr+" "+u.Check)
			}
			if diff := cmp.Diff([]string{"node1" + imageClients + " node1" + imageAdmin, "node2" + imageClients + " node2" + imageAdmin}, upstreams); diff != "" {
				t.Errorf("upstreams differ (-want +got):\n%s", diff)
			}
			continue
		}
		other := map[string]string{"node1": "node2", "node2": "node1"}[name]
		n := checkNode(t, name, variables).Node
		if fmt.Sprintf("node%d", n.Node) != name || !slices.Equal(n.Peer, []string{other + imagePeers}) || n.PeerAdvertise != name+imagePeers {
			t.Errorf("%s: id %d, peer %q, advertised %q", name, n.Node, n.Peer, n.PeerAdvertise)
		}
	}
}

// TestKubernetes checks the pair of deploy/kubernetes: what the nodes are told, and that names, labels and ports agree.
func TestKubernetes(t *testing.T) {
	type labels map[string]string
	type port struct {
		Name          string
		ContainerPort int    `yaml:"containerPort"`
		Port          any    // a number, or the name of one
		TargetPort    string `yaml:"targetPort"`
	}
	type probe struct {
		HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
	}
	type object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct {
			Name   string
			Labels labels
		}
		Spec struct {
			Selector    map[string]any
			Ports       []port
			ClusterIP   string `yaml:"clusterIP"`
			ServiceName string `yaml:"serviceName"`
			Replicas    int
			Ordinals    struct{ Start int }
			Template    struct {
				Metadata struct{ Labels labels }
				Spec     struct {
					Containers []struct {
						Env []struct {
							Name, Value string
							ValueFrom   struct {
								FieldRef struct {
									FieldPath string `yaml:"fieldPath"`
								} `yaml:"fieldRef"`
							} `yaml:"valueFrom"`
						}
						Ports          []port
						ReadinessProbe probe `yaml:"readinessProbe"`
						LivenessProbe  probe `yaml:"livenessProbe"`
						VolumeMounts   []struct {
							Name, MountPath string
						} `yaml:"volumeMounts"`
					}
					Volumes []struct{ Name string }
				}
			}
			VolumeClaimTemplates []struct {
				Metadata struct{ Name string }
			} `yaml:"volumeClaimTemplates"`
		}
	}
	objects := map[string]object{}
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(readDeploy(t, "kubernetes/pair.yaml"))))
	for {
		var o object
		if err := decoder.Decode(&o); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		objects[o.Kind+" "+o.Metadata.Name] = o
	}
	want := []string{"NetworkPolicy futago", "PodDisruptionBudget futago", "Service futago", "Service futago-peers", "StatefulSet futago"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(objects))); diff != "" {
		t.Fatalf("objects differ (-want +got):\n%s", diff)
	}
	set := objects["StatefulSet futago"].Spec
	app := set.Template.Metadata.Labels["app"]
	pod := set.Template.Spec.Containers[0]
	ports := map[string]string{}
	for _, p := range pod.Ports {
		ports[p.Name] = fmt.Sprintf(":%d", p.ContainerPort)
	}
	if diff := cmp.Diff(map[string]string{"clients": imageClients, "peers": imagePeers, "admin": imageAdmin}, ports); diff != "" {
		t.Errorf("ports differ (-want +got):\n%s", diff)
	}
	for _, name := range []string{"Service futago", "Service futago-peers"} {
		s := objects[name].Spec
		if s.Selector["app"] != app || ports[s.Ports[0].TargetPort] != fmt.Sprintf(":%v", s.Ports[0].Port) {
			t.Errorf("%s: selector %v, port %+v", name, s.Selector, s.Ports[0])
		}
	}
	for _, name := range []string{"PodDisruptionBudget futago", "StatefulSet futago"} {
		if match, _ := objects[name].Spec.Selector["matchLabels"].(map[string]any); match["app"] != app {
			t.Errorf("%s: selector %v, want app %s", name, objects[name].Spec.Selector, app)
		}
	}
	if objects["Service futago-peers"].Spec.ClusterIP != "None" || set.ServiceName != "futago-peers" {
		t.Errorf("the set is named by service %q", set.ServiceName)
	}
	for path, p := range map[string]probe{"/readyz": pod.ReadinessProbe, "/healthz": pod.LivenessProbe} {
		if p.HTTPGet.Path != path || p.HTTPGet.Port != "admin" {
			t.Errorf("probe %+v, want %s at admin", p, path)
		}
	}
	volumes := map[string]bool{}
	for _, v := range set.Template.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, v := range set.VolumeClaimTemplates {
		volumes[v.Metadata.Name] = true
	}
	for _, m := range pod.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
	}

	if set.Replicas != 2 || set.Ordinals.Start != 1 {
		t.Errorf("replicas %d from %d, want 2 from 1: ids of nodes begin with 1", set.Replicas, set.Ordinals.Start)
	}
	var peers []string
	for i := range set.Replicas {
		id := set.Ordinals.Start + i
		fields := map[string]string{"metadata.name": fmt.Sprintf("futago-%d", id), "metadata.labels['apps.kubernetes.io/pod-index']": fmt.Sprint(id)}
		var variables []string
		for _, e := range pod.Env {
			value := strings.ReplaceAll(e.Value, "$(POD)", fields["metadata.name"])
			if path := e.ValueFrom.FieldRef.FieldPath; path != "" {
				if value = fields[path]; value == "" {
					t.Errorf("%s: unknown field %s", e.Name, path)
				}
			}
			if e.Name != "POD" {
				variables = append(variables, e.Name+"="+value)
			}
		}
		n := checkNode(t, fields["metadata.name"], variables).Node
		peers = append(peers, n.PeerAdvertise)
		if n.Node != id || !slices.Contains(n.Peer, n.PeerAdvertise) {
			t.Errorf("node %d: id %d, peer %q, advertised %q", id, n.Node, n.Peer, n.PeerAdvertise)
		}
		if slices.Sort(n.Peer); i == set.Replicas-1 && !slices.Equal(n.Peer, peers) {
			t.Errorf("node %d follows %q, want %q", id, n.Peer, peers)
		}
	}
}

// readDeploy returns a file below deploy.
func readDeploy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
