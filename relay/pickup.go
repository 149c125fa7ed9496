package relay

import (
	"context"
	"fmt"
	"io"
	"strings"

	"kurir/relay/drop"
	"kurir/upstream/envelope"
)

// leastRecipients is what every relay takes at once (RFC 5321, section
// 4.5.3.1.8), so that who leaves mail for one that does not run can know it.
const leastRecipients = 100

// makeDrop makes the directory where sendmail leaves mail. A relay without
// one works, except for that.
func (r *Relay) makeDrop() error {
	dir := r.o.Config.DropDir()
	if dir == "" {
		return nil
	}
	if err := drop.Make(dir); err != nil {
		return fmt.Errorf("what kurir sendmail is given while Kurir does not run is refused: %w", err)
	}
	r.drop = dir
	return nil
}

// runPickup takes what was left there until stop is called.
func (r *Relay) runPickup() (stop func()) {
	if r.drop == "" {
		return func() {}
	}
	taker := drop.NewTaker(drop.Options{
		Dir:           r.drop,
		MaxSize:       r.maxMessageSize,
		MaxRecipients: r.maxRecipients,
		Address:       r.server.Address,
		Room:          r.queue.Space,
		Take:          r.pickUp,
		Log:           r.o.Log,
	})
	return background(taker.Run)
}

func (r *Relay) maxRecipients() int {
	c, _ := r.present()
	return max(c.Listen.MaxRecipients, leastRecipients)
}

// pickUp sends a message that was left, as if an app had just handed it in.
func (r *Relay) pickUp(ctx context.Context, env envelope.Envelope, content io.Reader) (drop.Fate, string) {
	a := r.server.HandIn(ctx, env, "sendmail", content, r.queue.Keep)
	why := fmt.Sprintf("%d %s %s", a.Code, a.Enhanced, strings.ReplaceAll(a.Text, "\n", " "))
	switch a.Code / 100 {
	case 2:
		return drop.Taken, ""
	case 5:
		return drop.Refused, why
	}
	return drop.Later, why
}
