package config_test

import (
	"path/filepath"
	"slices"
	"testing"

	"kurir/relay/config"
)

// A relay and the person who asks it find each other by the state_dir, with or
// without the environment that the service manager gives to the relay alone.
func TestControlSockets(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	for _, c := range []struct {
		name    string
		environ []string
		want    []string
	}{
		{"own directory", []string{"KURIR_STATE_DIR=" + state}, []string{filepath.Join(state, "control.sock")}},
		{"system, by hand", []string{"KURIR_STATE_DIR=/var/lib/kurir"},
			[]string{"/run/kurir/control.sock", "/var/lib/kurir/control.sock"}},
		{"system, as a service", []string{"STATE_DIRECTORY=/var/lib/kurir", "RUNTIME_DIRECTORY=/run/kurir"},
			[]string{"/run/kurir/control.sock", "/var/lib/kurir/control.sock"}},
		{"chosen", []string{"KURIR_STATE_DIR=" + state, "KURIR_CONTROL_SOCKET=here.sock"}, []string{filepath.Join(dir, "here.sock")}},
	} {
		cfg, err := config.Load(config.Options{Dir: dir, Environ: append(c.environ, "KURIR_UPSTREAM_HOST=smtp.example.com")})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := cfg.ControlSockets(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
