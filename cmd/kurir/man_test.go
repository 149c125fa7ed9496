package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// printed is what a command prints.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("kurir", args...).Output()
	if err != nil {
		t.Fatalf("kurir %q: %v", args, err)
	}
	return string(out)
}

// A manual that is torn apart by its own control characters misleads, and it
// is made, so that nobody sees that but those who read it: the two programs
// that format such pages must have nothing to say against them.
func TestManualPages(t *testing.T) {
	needPeers(t, "man", "mandoc", "groff")
	for page, has := range map[string][]string{
		"kurir":      {"kurir queue list", "--older TIME", "KURIR_UPSTREAM_HOST", "64"},
		"kurir.toml": {"[upstream.oauth2]", `legacy_line_ends = []`, "Where messages wait."},
	} {
		file := filepath.Join(t.TempDir(), page)
		if err := os.WriteFile(file, []byte(printed(t, "man", page)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mandoc", "-T", "lint", "-W", "style", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("mandoc: %v\n%s", err, out)
		}
		for _, locale := range []string{"C", "C.UTF-8"} {
			man := exec.Command("man", "--warnings", "-l", file)
			man.Env = append(os.Environ(), "LC_ALL="+locale, "MANWIDTH=200", "MAN_KEEP_FORMATTING=", "PAGER=cat")
			var warnings strings.Builder
			man.Stderr = &warnings
			out, err := man.Output()
			if err != nil || warnings.Len() > 0 {
				t.Errorf("man in %s: %v\n%s", locale, err, &warnings)
			}
			for _, text := range has {
				if !strings.Contains(strings.ReplaceAll(string(out), "‐", "-"), text) {
					t.Errorf("%s does not show %q:\n%s", page, text, out)
				}
			}
		}
	}
}

// Tab leads to what exists. What zsh would show can only be seen on a terminal,
// so that it has to be enough that it can read its file.
func TestCompletion(t *testing.T) {
	needPeers(t, "bash", "zsh", "fish")
	bash, fish := printed(t, "completion", "bash"), printed(t, "completion", "fish")
	dir := t.TempDir()
	for _, name := range []string{"kurir.toml", "kurir.log", "status"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ typed, want string }{
		{"kurir s", "serve status sendmail"},
		{"kurir que", "queue"},
		{"kurir queue ", "list show retry flush drop"},
		{"kurir queue dr", "drop"},
		{"kurir queue drop --a", "--address --all"},
		{"kurir serve --", "--config --sandbox"},
		{"kurir serve --config kurir.t", "kurir.toml"},
		{"kurir explain --language ", "en id"},
		{"kurir check --send ", ""},
		{"kurir completion ", "bash zsh fish"},
		{"kurir man kurir.", "kurir.toml"},
	} {
		script := bash + `
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_kurir
printf '%s\n' "${COMPREPLY[@]}"`
		for shell, args := range map[string][]string{
			"bash": append([]string{"-ec", script, "bash"}, strings.Split(c.typed, " ")...),
			"fish": {"--no-config", "-c", fish + "\ncomplete -C " + "'" + c.typed + "'"},
		} {
			cmd := exec.Command(shell, args...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
			out, err := cmd.CombinedOutput()
			var got []string
			for line := range strings.Lines(string(out)) {
				word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
				got = append(got, strings.Fields(word)...)
			}
			want := strings.Fields(c.want)
			slices.Sort(got)
			slices.Sort(want)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %q leads to %q, want %q (%v)", shell, c.typed, got, want, err)
			}
		}
	}
	file := filepath.Join(dir, "_kurir")
	if err := os.WriteFile(file, []byte(printed(t, "completion", "zsh")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("zsh", "-n", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("zsh: %v\n%s", err, out)
	}
}
