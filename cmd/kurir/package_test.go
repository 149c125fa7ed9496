//go:build linux

package main_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A package is run as root by people who have not read it: what it puts where,
// with which rights, what it keeps of theirs, and that it goes without a
// trace. KURIR_BOOT_ROOT is a tree that debootstrap made, with systemd; it is
// copied, and not changed.
func TestPackages(t *testing.T) {
	needPeers(t, "git", "jq", "dpkg-deb", "rpm", "chroot")
	root := os.Getenv("KURIR_BOOT_ROOT")
	if root == "" {
		missingPeer(t, "KURIR_BOOT_ROOT is not set")
	}
	if os.Geteuid() != 0 {
		missingPeer(t, "only root can install packages")
	}
	made, source := t.TempDir(), filepath.Join(t.TempDir(), "kurir")
	do := func(name string, args ...string) {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	do("cp", "-a", "../..", source)
	do(filepath.Join(source, ".ci/release"), filepath.Join(made, "0.9.0"), "0.9.0", "linux/"+runtime.GOARCH)
	// The next version comes with another configuration, as most do.
	do("sh", "-c", `echo "# new" >>"$0"`, filepath.Join(source, "config.example.toml"))
	do(filepath.Join(source, ".ci/release"), filepath.Join(made, "0.9.1"), "0.9.1", "linux/"+runtime.GOARCH)
	t.Run("deb", func(t *testing.T) { testDeb(t, newRootTree(t, root, made)) })
	t.Run("rpm", func(t *testing.T) { testRPM(t, newRootTree(t, root, made)) })
}

// what both kinds of package install: mode, owner, group, path.
const installed = `
0755 root root /usr/bin/kurir
0644 root root /usr/lib/systemd/system/kurir.service
0644 root root /usr/lib/systemd/system/kurir.socket
0644 root root /usr/lib/sysusers.d/kurir.conf
0755 root root /etc/kurir
0640 root kurir /etc/kurir/kurir.toml
0644 root root /usr/share/man/man1/kurir.1.gz
0644 root root /usr/share/man/man5/kurir.toml.5.gz
0644 root root /usr/share/bash-completion/completions/kurir
0644 root root /usr/share/fish/vendor_completions.d/kurir.fish
0644 root root /usr/share/doc/kurir/copyright
`

const ownConfig = "# mine\n[upstream]\nhost = \"smtp.example.org\"\n"

func testDeb(t *testing.T, m *rootTree) {
	before := m.traces()
	m.run("dpkg", "-i", m.pkg("0.9.0", "kurir_*.deb"))
	m.has(installed + "0644 root root /usr/share/zsh/vendor-completions/_kurir")
	m.says("kurir 0.9.0", "kurir", "version")
	if enabled, _ := filepath.Glob(m.path("/etc/systemd/system/*/kurir.*")); len(enabled) > 0 {
		t.Errorf("it is enabled before it is configured: %q", enabled)
	}

	// Another mail server may be there, but only one may be sendmail.
	other := m.otherMTA()
	m.run("dpkg", "-i", other)
	if out, err := m.try("dpkg", "-i", m.pkg("0.9.0", "kurir-mta_*.deb")); err == nil || !strings.Contains(out, "conflict") {
		t.Errorf("it takes the place of another mail server: %v\n%s", err, out)
	}
	m.run("dpkg", "--purge", "other-mta")
	m.run("dpkg", "-i", m.pkg("0.9.0", "kurir-mta_*.deb"))
	m.says("there is nothing to do", "newaliases")
	m.says("[rewrite]", "/usr/sbin/sendmail", "-bi")

	m.use()
	m.run("dpkg", "--force-confdef", "--force-confold", "-i", m.pkg("0.9.1", "kurir_*.deb"), m.pkg("0.9.1", "kurir-mta_*.deb"))
	m.says("kurir 0.9.1", "kurir", "version")
	m.keeps("/etc/kurir/kurir.toml.dpkg-dist")
	m.run("dpkg", "--remove", "kurir-mta", "kurir")
	m.gone("/usr/bin/kurir", "/usr/sbin/sendmail", "/etc/systemd/system/sockets.target.wants/kurir.socket")
	if text, err := os.ReadFile(m.path("/etc/kurir/kurir.toml")); string(text) != ownConfig {
		t.Errorf("to remove it changes the configuration: %q, %v", text, err)
	}
	m.run("dpkg", "--purge", "kurir-mta", "kurir")
	after := m.traces()
	for path, is := range after {
		if before[path] != is {
			t.Errorf("%s is left, or not what it was", path)
		}
	}
	for path := range before {
		if _, still := after[path]; !still {
			t.Errorf("%s is gone", path)
		}
	}
}

func testRPM(t *testing.T, m *rootTree) {
	rpm := func(want string, args ...string) {
		t.Helper()
		out, err := exec.Command("rpm", append([]string{"--force-debian", "--root", m.root}, args...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) || want == "" && len(out) > 0 {
			t.Fatalf("rpm %q: %v\n%s", args, err, out)
		}
	}
	// --force-debian, for Debian's rpm warns of itself; it knows no package of the tree.
	rpm("", "-i", "--nodeps", m.host("0.9.0", "kurir-0*.rpm"))
	m.has(installed + "0644 root root /usr/share/zsh/site-functions/_kurir")
	m.says("kurir 0.9.0", "kurir", "version")
	rpm("", "-i", "--nodeps", m.host("0.9.0", "kurir-mta-0*.rpm"))
	m.says("there is nothing to do", "newaliases")
	m.says("[rewrite]", "/usr/sbin/sendmail", "-bi")
	m.use()
	rpm(".rpmnew", "-U", "--nodeps", m.host("0.9.1", "kurir-0*.rpm"), m.host("0.9.1", "kurir-mta-0*.rpm"))
	m.says("kurir 0.9.1", "kurir", "version")
	m.says("there is nothing to do", "newaliases")
	m.keeps("/etc/kurir/kurir.toml.rpmnew")
	rpm(".rpmsave", "-e", "kurir-mta", "kurir")
	m.gone("/usr/bin/kurir", "/usr/sbin/sendmail", "/etc/systemd/system/sockets.target.wants/kurir.socket")
	if text, err := os.ReadFile(m.path("/etc/kurir/kurir.toml.rpmsave")); string(text) != ownConfig {
		t.Errorf("the configuration is lost: %q, %v", text, err)
	}
}

// A rootTree is a copy of the tree, in which programs run by chroot.
type rootTree struct {
	t          *testing.T
	root, made string
}

func newRootTree(t *testing.T, tree, made string) *rootTree {
	t.Helper()
	m := &rootTree{t: t, root: filepath.Join(t.TempDir(), "root"), made: made}
	for _, args := range [][]string{{"cp", "-a", "--reflink=auto", tree, m.root}, {"cp", "-r", made, filepath.Join(m.root, "made")}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	return m
}

func (m *rootTree) path(path string) string { return filepath.Join(m.root, path) }

// host is a package where the host has it.
func (m *rootTree) host(version, pattern string) string {
	m.t.Helper()
	found, err := filepath.Glob(filepath.Join(m.made, version, pattern))
	if err != nil || len(found) != 1 {
		m.t.Fatalf("%s: %q, %v", pattern, found, err)
	}
	return found[0]
}

// pkg is a package where the copy has it.
func (m *rootTree) pkg(version, pattern string) string {
	m.t.Helper()
	return filepath.Join("/made", version, filepath.Base(m.host(version, pattern)))
}

func (m *rootTree) try(args ...string) (string, error) {
	cmd := exec.Command("chroot", append([]string{m.root}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *rootTree) run(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

func (m *rootTree) says(want string, args ...string) {
	m.t.Helper()
	if out := m.run(args...); !strings.Contains(out, want) {
		m.t.Errorf("%q says %q, want %q", args, out, want)
	}
}

// has compares mode, owner and group of files.
func (m *rootTree) has(list string) {
	m.t.Helper()
	for line := range strings.Lines(strings.TrimSpace(list)) {
		f := strings.Fields(line)
		out := strings.Fields(m.run("stat", "-c", "%a %U %G", f[3]))
		mode, err := strconv.Atoi(f[0])
		if err != nil {
			m.t.Fatal(err)
		}
		if want := []string{strconv.Itoa(mode), f[1], f[2]}; !slices.Equal(out, want) {
			m.t.Errorf("%s is %q, want %q", f[3], out, want)
		}
	}
}

func (m *rootTree) gone(paths ...string) {
	m.t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(m.path(path)); err == nil {
			m.t.Errorf("%s is still there", path)
		}
	}
}

// use does what a person does who sets Kurir up, and what Kurir does then.
func (m *rootTree) use() {
	m.t.Helper()
	for path, text := range map[string]string{"/etc/kurir/kurir.toml": ownConfig, "/etc/kurir/password": "secret\n"} {
		if err := os.WriteFile(m.path(path), []byte(text), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	m.run("systemctl", "enable", "kurir.socket", "kurir.service")
	m.run("install", "-d", "-o", "kurir", "-g", "kurir", "-m", "0711", "/var/lib/kurir", "/var/lib/kurir/spool")
}

// keeps sees that an upgrade has changed nothing of that, and has put what is
// new beside it.
func (m *rootTree) keeps(beside string) {
	m.t.Helper()
	m.has("0640 root kurir /etc/kurir/kurir.toml\n0600 root root /etc/kurir/password\n0711 kurir kurir /var/lib/kurir/spool")
	text, err := os.ReadFile(m.path("/etc/kurir/kurir.toml"))
	if string(text) != ownConfig {
		m.t.Errorf("the configuration is now %q, %v", text, err)
	}
	if text, err := os.ReadFile(m.path(beside)); !strings.HasSuffix(string(text), "# new\n") {
		m.t.Errorf("the new configuration is not in %s: %v", beside, err)
	}
	if _, err := os.Lstat(m.path("/etc/systemd/system/sockets.target.wants/kurir.socket")); err != nil {
		m.t.Errorf("it is no longer enabled: %v", err)
	}
}

// otherMTA makes a package that is a mail server as Debian has them.
func (m *rootTree) otherMTA() string {
	m.t.Helper()
	const control = `Package: other-mta
Version: 1
Architecture: all
Maintainer: nobody
Provides: mail-transport-agent
Conflicts: mail-transport-agent
Replaces: mail-transport-agent
Description: another mail server
`
	dir := m.path("/made/other-mta")
	if err := os.MkdirAll(filepath.Join(dir, "DEBIAN"), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "DEBIAN", "control"), []byte(control), 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.run("dpkg-deb", "--build", "/made/other-mta", "/made/other-mta.deb")
	return "/made/other-mta.deb"
}

// traces are the files of the machine and what they are, without those that
// dpkg and useradd keep for themselves.
func (m *rootTree) traces() map[string]string {
	m.t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(m.root, path)
		switch {
		case name == "made", name == "var/lib/dpkg", name == "var/log", name == "var/cache", name == "proc", name == "sys", name == "dev":
			return fs.SkipDir
		case strings.HasSuffix(name, "-") && filepath.Dir(name) == "etc", name == "etc/.pwd.lock":
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		is := fmt.Sprint(info.Mode(), owner.Uid, owner.Gid)
		if info.Mode().IsRegular() && filepath.Dir(name) == "etc" {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			is += fmt.Sprintf(" %x", sha256.Sum256(text))
		}
		found[name] = is
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return found
}
