package relay

import (
	"fmt"

	"kurir/relay/config"
	"kurir/upstream"
)

// UpstreamOptions are the smart hosts of a configuration as a relay of it
// would use them, for those who want to look at them without one. What was
// learned is neither used nor kept. Errors are those of reading certificates.
func UpstreamOptions(c *config.Config) ([]upstream.Options, error) {
	var all []upstream.Options
	for _, u := range c.Upstreams {
		o, err := upstreamOptions(u)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", o.Name(), err)
		}
		o.Hostname = helloName(c.Hostname)
		all = append(all, o)
	}
	return all, nil
}

// TryListen opens an address of Config.Listen.SMTP and closes it again. Its
// error is a *ListenError.
func TryListen(addr string) error {
	listeners, err := listen([]string{addr}, nil)
	for _, l := range listeners {
		_ = l.Close()
	}
	return err
}
