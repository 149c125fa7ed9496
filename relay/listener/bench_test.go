package listener_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"kurir/relay/listener"
	"kurir/relay/queue"
	"kurir/relay/spool"
	"kurir/upstream/explain"
)

// Mails of 1 KB, and of 1 MB, pipelined, with nothing behind the listener;
// "bare" is go-smtp alone with a session that throws all away, the measure of
// what the listener adds or saves.
func BenchmarkSession(b *testing.B) {
	for _, c := range []struct {
		name string
		addr func(*testing.B) string
	}{{"listener", discardingRelay}, {"bare", discardingServer}} {
		for _, m := range []struct {
			name string
			size int
		}{{"1K", 1 << 10}, {"1M", 1 << 20}} {
			content := "Subject: x\r\nDate: x\r\nMessage-ID: <x@example.org>\r\n\r\n" +
				strings.Repeat(strings.Repeat("x", 74)+"\r\n", m.size/76) + ".\r\n"
			b.Run(c.name+"/"+m.name+"/kept", func(b *testing.B) {
				addr := c.addr(b)
				b.SetBytes(int64(len(content)))
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					p := newPeer(b, addr)
					defer p.conn.Close()
					for pb.Next() {
						p.mail(b, content)
					}
				})
			})
			b.Run(c.name+"/"+m.name+"/each", func(b *testing.B) {
				addr := c.addr(b)
				b.SetBytes(int64(len(content)))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						p := newPeer(b, addr)
						p.mail(b, content)
						p.conn.Close()
					}
				})
			})
		}
	}
}

// A peer is a client that allocates nothing.
type peer struct {
	conn net.Conn
	buf  [4096]byte
}

func newPeer(b *testing.B, addr string) *peer {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return nil
	}
	p := &peer{conn: conn}
	p.await(b, 1)
	io.WriteString(conn, "HELO x\r\n")
	p.await(b, 1)
	return p
}

func (p *peer) mail(b *testing.B, content string) {
	io.WriteString(p.conn, "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n")
	p.await(b, 3)
	io.WriteString(p.conn, content)
	p.await(b, 1)
}

// await reads so many reply lines.
func (p *peer) await(b *testing.B, lines int) {
	for lines > 0 {
		n, err := p.conn.Read(p.buf[:])
		if err != nil || p.buf[0] > '3' {
			b.Errorf("%v %q", err, p.buf[:n])
			return
		}
		for _, c := range p.buf[:n] {
			if c == '\n' {
				lines--
			}
		}
	}
}

func discardingRelay(b *testing.B) string {
	return start(b, func(o *listener.Options) {
		o.MaxMessageSize = func() int64 { return 25_000_000 }
		o.Submit = func(_ context.Context, d *spool.Draft) queue.Answer {
			d.Close()
			return queue.Answer{Code: 250, Enhanced: explain.EnhancedCode{2, 0, 0}, Text: "thrown away"}
		}
	}).addr
}

func discardingServer(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return discard{}, nil }))
	go s.Serve(listener.Port{Listener: l})
	b.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

type discard struct{}

func (discard) Reset()                               {}
func (discard) Logout() error                        { return nil }
func (discard) Mail(string, *smtp.MailOptions) error { return nil }
func (discard) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (discard) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
