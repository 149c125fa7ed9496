package relay

import (
	"crypto/tls"
	"errors"
	"reflect"
	"time"

	"kurir/relay/config"
	"kurir/relay/dsn"
	"kurir/relay/listener"
	"kurir/relay/queue"
	"kurir/relay/rewrite"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// Reload goes on with another configuration, which is the relay's from then on.
// No session of an app and no delivery under way is lost; what waits is tried at
// once over the new routes. After an error nothing has changed. Settings that
// can only be changed by a restart are left as they are, and named.
func (r *Relay) Reload(c *config.Config) (needRestart []string, err error) {
	if r.scratch != "" && c.Delivery.Mode != string(queue.Direct) {
		return nil, errors.New("delivery.mode: restart Kurir to leave \"direct\": it runs without a spool that outlives it")
	}
	needRestart = keepUntilRestart(r.o.Config, c)
	settings, err := listenerSettings(c)
	if err != nil {
		return nil, err
	}
	hosts, err := r.smartHosts(c)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.stopping.Done():
		return nil, ErrEnded
	default:
	}
	if err := r.server.Configure(settings); err != nil {
		return nil, err
	}
	before := r.hosts
	r.hosts, r.config = hosts, c
	r.runHosts()
	r.queue.Configure(queueSettings(c, hosts.routes))
	r.spool.SetMaxSize(int64(c.Spool.MaxSize))
	r.notifier.Configure(noticeSettings(c))
	if before.cancel != nil {
		before.cancel()
	}
	r.o.Log.Configure(c.Log.Level, c.Log.Subject)
	r.o.Log.Reloaded(needRestart)
	return needRestart, nil
}

// keepUntilRestart sets the keys that are used only when a relay starts to what
// they were, and names those in which the configurations differ.
func keepUntilRestart(before, now *config.Config) (different []string) {
	for _, k := range []struct {
		name          string
		before, after any
	}{
		{"state_dir", &before.StateDir, &now.StateDir},
		{"hostname", &before.Hostname, &now.Hostname},
		{"listen.smtp", &before.Listen.SMTP, &now.Listen.SMTP},
		{"listen.legacy_line_ends", &before.Listen.LegacyLineEnds, &now.Listen.LegacyLineEnds},
		{"spool.dir", &before.Spool.Dir, &now.Spool.Dir},
		{"spool.drop", &before.Spool.Drop, &now.Spool.Drop},
		{"control.socket", &before.Control.Socket, &now.Control.Socket},
		{"control.http", &before.Control.HTTP, &now.Control.HTTP},
		{"log.language", &before.Log.Language, &now.Log.Language},
		{"log.format", &before.Log.Format, &now.Log.Format},
	} {
		if !reflect.DeepEqual(k.before, k.after) {
			different = append(different, k.name)
			reflect.ValueOf(k.after).Elem().Set(reflect.ValueOf(k.before).Elem())
		}
	}
	return different
}

func queueSettings(c *config.Config, routes []queue.Route) queue.Settings {
	_, from := c.Rewrite.Sender()
	return queue.Settings{
		Mode:        queue.Mode(c.Delivery.Mode),
		Wait:        time.Duration(c.Delivery.Wait),
		RetryMin:    time.Duration(c.Delivery.RetryMin),
		RetryMax:    time.Duration(c.Delivery.RetryMax),
		GiveUpAfter: time.Duration(c.Delivery.GiveUpAfter),
		KeepFailed:  time.Duration(c.Delivery.KeepFailed),
		Routes:      routes,
		Notify:      dsn.Policy(c.Notify.Bounce),
		NotifyFrom:  envelope.Path(from),
		Hostname:    ownName(c.Hostname),
		Language:    explain.Language(c.Log.Language),
	}
}

// listenerSettings compiles the rules of rewriting, and reads the certificate.
func listenerSettings(c *config.Config) (listener.Settings, error) {
	name, from := c.Rewrite.Sender()
	policy, err := rewrite.Compile(rewrite.Rules{
		Hostname: ownName(c.Hostname),
		From:     envelope.Path(from),
		Name:     name,
		When:     rewrite.When(c.Rewrite.When),
		Allowed:  c.Rewrite.Allowed,
		Aliases:  c.Rewrite.Aliases,
	})
	if err != nil {
		return listener.Settings{}, err
	}
	s := listener.Settings{
		MaxRecipients:  c.Listen.MaxRecipients,
		MaxConnections: c.Listen.MaxConnections,
		IdleTimeout:    time.Duration(c.Listen.IdleTimeout),
		Allow:          c.Listen.Allow,
		AnyLogin:       c.Listen.Auth == "any",
		Rewrite:        policy,
		Language:       explain.Language(c.Log.Language),
	}
	pairs, err := certificates("listen.tls_cert", c.Listen.TLSCert, c.Listen.TLSKey)
	if len(pairs) > 0 {
		s.TLS = &tls.Config{Certificates: pairs}
	}
	return s, err
}
