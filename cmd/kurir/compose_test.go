//go:build linux

package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kurir/relay/config"
)

const composeFile = "../../compose.example.yaml"

// A compose runs services of compose.example.yaml.
type compose struct {
	engine   *engine
	secret   string // a file
	services map[string]service
}

// A service has all keys that the file may use: one that stands for nothing
// here would not be tested.
type service struct {
	Image, Build, Restart string
	Profiles              []string
	DependsOn             any `json:"depends_on"`
	Secrets               []string
	ReadOnly              bool `json:"read_only"`
	Tmpfs, Volumes        []string
	CapDrop               []string          `json:"cap_drop"`
	SecurityOpt           []string          `json:"security_opt"`
	StopGracePeriod       config.Duration   `json:"stop_grace_period"`
	NetworkMode           string            `json:"network_mode"`
	Networks              []string          `json:"networks"`
	Sysctls               map[string]string `json:"sysctls"`
	Environment           map[string]string `json:"environment"`
}

func newCompose(t *testing.T, e *engine) *compose {
	t.Helper()
	c := &compose{engine: e, secret: filepath.Join(e.dir, "smtp_password")}
	if err := os.WriteFile(c.secret, []byte("secret\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(c.secret, 65532, -1); err != nil { // as the file says
		t.Fatal(err)
	}
	var file struct{ Services json.RawMessage }
	decode(t, readYAML(t, composeFile)[0], &file)
	strict := json.NewDecoder(strings.NewReader(string(file.Services)))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&c.services); err != nil {
		t.Fatal(err)
	}
	return c
}

// up starts a service, and waits until it is healthy.
func (c *compose) up(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	s := c.services[name]
	flags := append([]string{"--detach", "--name", name}, c.flags(t, name)...)
	c.engine.command(ctx, t, `exec docker run "$@"`, append(append([]string{"docker"}, flags...), s.Image)...)
	c.engine.ready(ctx, t, name)
}

// flags are those of "podman run" for what stands in the file.
func (c *compose) flags(t *testing.T, name string) (flags []string) {
	t.Helper()
	s, ok := c.services[name]
	if !ok {
		t.Fatalf("%s has no service %s", composeFile, name)
	}
	add := func(flag string, values ...string) {
		for _, v := range values {
			flags = append(flags, flag, v)
		}
	}
	add("--volume", s.Volumes...)
	add("--tmpfs", s.Tmpfs...)
	add("--cap-drop", s.CapDrop...)
	add("--network", s.Networks...)
	for _, o := range s.SecurityOpt {
		add("--security-opt", strings.TrimSuffix(o, ":true"))
	}
	for _, secret := range s.Secrets {
		add("--volume", c.secret+":/run/secrets/"+secret+":ro")
	}
	for key, value := range s.Sysctls {
		add("--sysctl", key+"="+value)
	}
	for key, value := range s.Environment {
		add("--env", key+"="+strings.ReplaceAll(value, "smtp.example.com", "localhost"))
	}
	if owner, ok := strings.CutPrefix(s.NetworkMode, "service:"); ok {
		add("--network", "container:"+owner)
	}
	if s.ReadOnly {
		flags = append(flags, "--read-only")
	}
	if seconds := time.Duration(s.StopGracePeriod).Seconds(); seconds > 0 {
		add("--stop-timeout", strconv.Itoa(int(seconds)))
	}
	return flags
}

// The manifest cannot be run here; what it sets is at least what Kurir knows,
// and it is a sidecar that keeps its mail and may do nothing.
func TestKubernetes(t *testing.T) {
	var claim, deployment map[string]any
	documents := readYAML(t, "../../docs/kubernetes.yaml")
	if len(documents) != 2 {
		t.Fatalf("%d documents", len(documents))
	}
	decode(t, documents[0], &claim)
	decode(t, documents[1], &deployment)
	at := func(path ...any) any {
		var v any = deployment
		for _, step := range append([]any{"spec", "template", "spec"}, path...) {
			switch m := v.(type) {
			case map[string]any:
				v = m[fmt.Sprint(step)]
			case []any:
				i, ok := step.(int)
				if !ok || i >= len(m) {
					t.Fatalf("%v leads nowhere", path)
				}
				v = m[i]
			}
		}
		return v
	}
	for _, c := range []struct {
		path []any
		want any
	}{
		{[]any{"initContainers", 0, "restartPolicy"}, "Always"}, // this makes it a sidecar
		{[]any{"initContainers", 0, "startupProbe", "exec", "command"}, "[/usr/bin/kurir status]"},
		{[]any{"initContainers", 0, "livenessProbe", "exec", "command"}, "[/usr/bin/kurir status]"},
		{[]any{"initContainers", 0, "securityContext", "runAsNonRoot"}, true},
		{[]any{"initContainers", 0, "securityContext", "runAsUser"}, 65532},
		{[]any{"initContainers", 0, "securityContext", "readOnlyRootFilesystem"}, true},
		{[]any{"initContainers", 0, "securityContext", "allowPrivilegeEscalation"}, false},
		{[]any{"initContainers", 0, "securityContext", "capabilities", "drop"}, "[ALL]"},
		{[]any{"initContainers", 0, "volumeMounts", 0, "mountPath"}, "/var/lib/kurir"},
		{[]any{"initContainers", 0, "volumeMounts", 0, "name"}, at("volumes", 0, "name")},
		{[]any{"volumes", 0, "persistentVolumeClaim", "claimName"}, claim["metadata"].(map[string]any)["name"]},
		{[]any{"initContainers", 0, "volumeMounts", 2, "name"}, at("volumes", 2, "name")},
		{[]any{"volumes", 2, "secret", "defaultMode"}, 0o440},
		{[]any{"securityContext", "fsGroup"}, 65532},
		{[]any{"securityContext", "sysctls", 0, "name"}, "net.ipv4.ip_unprivileged_port_start"},
		{[]any{"securityContext", "sysctls", 0, "value"}, "0"},
	} {
		if got := at(c.path...); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v is %v, not %v", c.path, got, c.want)
		}
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	mounted := fmt.Sprint(at("initContainers", 0, "volumeMounts", 2, "mountPath")) + "/password"
	environ := []string{"HOME=" + t.TempDir()}
	for _, v := range at("initContainers", 0, "env").([]any) {
		v := v.(map[string]any)
		environ = append(environ, fmt.Sprintf("%s=%s", v["name"], strings.ReplaceAll(fmt.Sprint(v["value"]), mounted, password)))
	}
	if _, err := config.Load(config.Options{Environ: environ}); err != nil {
		t.Error(err)
	}
}

// readYAML gives the documents of a file as JSON. A key that is there twice is
// an error.
func readYAML(t *testing.T, file string) (documents [][]byte) {
	t.Helper()
	const program = `
import json, sys, yaml
class Strict(yaml.SafeLoader):
    def construct_mapping(self, node, deep=False):
        keys = [k.value for k, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return super().construct_mapping(node, deep)
for document in yaml.load_all(open(sys.argv[1]), Strict):
    print(json.dumps(document))
`
	if err := exec.Command("/usr/bin/python3", "-c", "import yaml").Run(); err != nil {
		missingPeer(t, "python3-yaml is not installed")
	}
	read := exec.Command("/usr/bin/python3", "-c", program, file)
	read.Stderr = os.Stderr
	out, err := read.Output()
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		documents = append(documents, []byte(lines.Text()))
	}
	return documents
}

func decode(t *testing.T, document []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(document, into); err != nil {
		t.Fatal(err)
	}
}
