package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// oneFlightSize is the largest content that is sent together with its envelope
// by BDAT, before the envelope was accepted: small enough for the buffers of
// both sides, so that neither waits for the other.
const oneFlightSize = 64 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// errStale is a kept session that ended before anything of the transaction
// was answered and before its content was sent: safe to try once more.
var errStale = errors.New("the kept connection was closed")

// A transaction is MAIL, RCPT and the content of one message on one session
// (RFC 5321, section 3.3).
type transaction struct {
	*session
	m       *envelope.Message
	to      []envelope.Recipient
	refused []*explain.Failure
	tail    []byte // the end of the content, held back until BeforeDot has agreed
	whole   bool   // the whole content was handed to the network
}

// deliver carries out one transaction for the recipients to. An error is an
// *explain.Failure for all of them, explain.Refusals, errStale, or trouble on
// our side.
func (s *session) deliver(ctx context.Context, m *envelope.Message, to []envelope.Recipient) (*explain.Receipt, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.wire.conn.Close() })
	t := &transaction{session: s, m: m, to: to}
	receipt, err := t.run()
	s.transactions++
	if !stop() {
		s.broken = true
		return receipt, endedBy(ctx, err)
	}
	return receipt, err
}

// endedBy is the reason why ctx ended, where err is only what that did to the
// connection: the server has said nothing, and its outcome is not in doubt.
func endedBy(ctx context.Context, err error) error {
	var f *explain.Failure
	if errors.As(err, &f) && f.Reply == nil && f.Cause != explain.DeliveryUncertain {
		return context.Cause(ctx)
	}
	return err
}

func (t *transaction) run() (*explain.Receipt, error) {
	if err := t.fits(); err != nil {
		return nil, err
	}
	switch chunking := t.offers("CHUNKING"); {
	case chunking && t.offers("PIPELINING") && t.m.Size <= oneFlightSize && !t.m.Revocable:
		return t.oneFlight()
	case chunking:
		if err := t.envelope(); err != nil {
			return nil, err
		}
		return t.bdat()
	case t.offers("PIPELINING"):
		return t.pipelinedData()
	default:
		return t.stepwiseData()
	}
}

// fits refuses early what the server has said it will not take.
func (t *transaction) fits() error {
	t.at(explain.StageMail)
	if limit := t.announcedSize(); limit > 0 && t.m.Size > limit {
		f := t.describe(nil, fmt.Errorf("the message has %d octets, the server takes %d", t.m.Size, limit))
		f.Cause = explain.MessageTooLarge
		return explain.Explain(f)
	}
	if t.m.UTF8 && !t.offers("SMTPUTF8") {
		f := t.describe(nil, errors.New("an address is not ASCII, and the server does not offer SMTPUTF8"))
		f.Cause = explain.RecipientSyntax
		return explain.Explain(f)
	}
	return nil
}

// mailCommand is MAIL with the parameters that the server understands.
func (t *transaction) mailCommand() string {
	var b strings.Builder
	b.WriteString("MAIL FROM:" + t.m.From.String())
	if t.offers("SIZE") {
		b.WriteString(" SIZE=" + strconv.FormatInt(t.m.Size, 10))
	}
	if t.m.EightBit && t.offers("8BITMIME") {
		b.WriteString(" BODY=8BITMIME")
	}
	if t.m.UTF8 {
		b.WriteString(" SMTPUTF8")
	}
	if t.offers("DSN") {
		if t.m.Return != "" {
			b.WriteString(" RET=" + t.m.Return)
		}
		if t.m.Envelope.ID != "" {
			b.WriteString(" ENVID=" + t.m.Envelope.ID)
		}
	}
	return b.String()
}

func (t *transaction) rcptCommand(r envelope.Recipient) string {
	line := "RCPT TO:" + r.To.String()
	if t.offers("DSN") {
		if r.Notify != "" {
			line += " NOTIFY=" + r.Notify
		}
		if r.Original != "" {
			line += " ORCPT=" + r.Original
		}
	}
	return line
}

// oneFlight sends envelope and content at once and reads all replies: one
// round trip a message.
func (t *transaction) oneFlight() (*explain.Receipt, error) {
	t.sendEnvelope()
	t.sendBDAT()
	if err := t.content(t.plain); err != nil {
		return nil, err
	}
	t.at(explain.StageMail)
	if err := t.wire.flush(); err != nil {
		r, err := t.lastWords(err) // its end never left, so the server cannot have the message
		return nil, t.lost(r, err)
	}
	t.whole = true
	err := t.envelopeReplies()
	if err == nil {
		err = t.noneAccepted()
	}
	if err == nil {
		return t.final()
	}
	if !t.broken { // the reply to BDAT is still to come, and says nothing new
		_, _ = t.answer(timeouts.dot)
	}
	return nil, err
}

// envelope says MAIL and RCPT, all at once where the server takes pipelined
// commands (RFC 2920).
func (t *transaction) envelope() error {
	if !t.offers("PIPELINING") {
		return t.stepwiseEnvelope()
	}
	t.sendEnvelope()
	if err := t.envelopeReplies(); err != nil {
		return err
	}
	return t.noneAccepted()
}

func (t *transaction) sendEnvelope() {
	if t.unclean {
		t.wire.send("RSET")
	}
	t.wire.send(t.mailCommand())
	for _, r := range t.to {
		t.wire.send(t.rcptCommand(r))
	}
}

// envelopeReplies reads the replies to sendEnvelope. A refused MAIL counts
// only after the replies to RCPT were read, so that the session stays in step.
func (t *transaction) envelopeReplies() error {
	if err := t.resetReply(); err != nil {
		return err
	}
	refusal := t.mailReply()
	if t.broken {
		return refusal
	}
	for _, r := range t.to {
		if err := t.rcptReply(r); err != nil {
			return err
		}
	}
	return refusal
}

// stepwiseEnvelope waits for each reply, and stops at a refused MAIL.
func (t *transaction) stepwiseEnvelope() error {
	if t.unclean {
		t.wire.send("RSET")
		if err := t.resetReply(); err != nil {
			return err
		}
	}
	t.wire.send(t.mailCommand())
	if err := t.mailReply(); err != nil {
		return err
	}
	for _, r := range t.to {
		t.wire.send(t.rcptCommand(r))
		if err := t.rcptReply(r); err != nil {
			return err
		}
	}
	return t.noneAccepted()
}

func (t *transaction) resetReply() error {
	t.at(explain.StageMail)
	if !t.unclean {
		return nil
	}
	if _, err := t.answer(timeouts.ehlo); err != nil {
		return t.lost(nil, err)
	}
	t.unclean = false
	return nil
}

func (t *transaction) mailReply() error {
	t.at(explain.StageMail)
	r, err := t.answer(timeouts.mail)
	if err != nil || r.Class() != 2 {
		t.unclean = true
		return t.lost(r, err)
	}
	return nil
}

// lost is a reply that refuses the whole transaction, or that never came. A
// server may close a kept session at any time: before anything of this message
// was said to matter, that is no failure but errStale.
func (t *transaction) lost(r *explain.Reply, err error) error {
	switch {
	case t.whole && r == nil:
		return t.uncertain(err)
	case t.transactions > 0 && t.stage == explain.StageMail && t.broken && !isTimeout(err):
		return errStale
	}
	return t.failure(r, err)
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

func (t *transaction) rcptReply(to envelope.Recipient) error {
	t.at(explain.StageRcpt)
	r, err := t.answer(timeouts.rcpt)
	if err != nil {
		return t.lost(nil, err)
	}
	if r.Class() != 2 {
		f := t.describe(r, nil)
		f.Recipient = to.To
		t.refused = append(t.refused, explain.Explain(f))
	}
	return nil
}

// noneAccepted is the error of a transaction whose recipients were all refused.
func (t *transaction) noneAccepted() error {
	if len(t.refused) < len(t.to) {
		return nil
	}
	t.unclean = true
	return explain.Refusals(t.refused)
}

// pipelinedData sends MAIL, RCPT and DATA at once: two round trips a message.
func (t *transaction) pipelinedData() (*explain.Receipt, error) {
	t.sendEnvelope()
	t.wire.send("DATA")
	err := t.envelopeReplies()
	if err == nil {
		err = t.noneAccepted()
	}
	if t.broken {
		return nil, err
	}
	t.at(explain.StageData)
	r, lost := t.answer(timeouts.data)
	switch {
	case err != nil && lost == nil && r.Code == 354:
		// DATA was taken although there is nobody to send to (RFC 2920,
		// section 3.1): an empty message goes to nobody.
		t.wire.send(".")
		_, _ = t.answer(timeouts.dot)
		return nil, err
	case err != nil:
		return nil, err
	}
	return t.data(r, lost)
}

func (t *transaction) stepwiseData() (*explain.Receipt, error) {
	if err := t.stepwiseEnvelope(); err != nil {
		return nil, err
	}
	t.wire.send("DATA")
	t.at(explain.StageData)
	return t.data(t.answer(timeouts.data))
}

// data sends the content after the reply to DATA.
func (t *transaction) data(r *explain.Reply, err error) (*explain.Receipt, error) {
	if err != nil || r.Code != 354 {
		t.unclean = true
		return nil, t.failure(r, err)
	}
	if err := t.content(t.stuffed); err != nil {
		return nil, err
	}
	return t.finish()
}

func (t *transaction) sendBDAT() {
	t.wire.send("BDAT " + strconv.FormatInt(t.m.Size, 10) + " LAST")
}

// bdat sends the content as one chunk (RFC 3030).
func (t *transaction) bdat() (*explain.Receipt, error) {
	t.sendBDAT()
	if err := t.content(t.plain); err != nil {
		return nil, err
	}
	return t.finish()
}

// content copies the message to the server by way of write, all but its tail.
// Before that is let go, whoever waits for the outcome is asked once more.
func (t *transaction) content(write func(io.Reader) error) error {
	t.at(explain.StageData)
	err := t.copyContent(write)
	if err == nil && t.m.BeforeDot != nil {
		err = t.m.BeforeDot()
	}
	if err != nil {
		t.broken = true // content that was begun can only be taken back by closing
		return err
	}
	t.wire.script.content(t.m.Size)
	_, _ = t.wire.bw.Write(t.tail) // flush tells of its error
	return nil
}

func (t *transaction) copyContent(write func(io.Reader) error) error {
	r, err := t.m.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", errNotRead, err)
	}
	defer r.Close()
	if err := write(r); err != nil {
		if errors.Is(err, errNotRead) {
			return err
		}
		reply, err := t.lastWords(err)
		return t.failure(reply, err)
	}
	return nil
}

// errNotRead is trouble on our side of the copy.
var errNotRead = errors.New("the message could not be read")

// plain copies the content as it is, up to its last line end, which is the tail.
func (t *transaction) plain(r io.Reader) error {
	t.tail = make([]byte, min(t.m.Size, 2))
	body := t.m.Size - int64(len(t.tail))
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for body > 0 {
		n, err := r.Read((*buf)[:min(body, int64(len(*buf)))])
		body -= int64(n)
		if _, err := t.wire.bw.Write((*buf)[:n]); err != nil {
			return err
		}
		if err != nil && body > 0 {
			return fmt.Errorf("%w: %d octets before its end: %w", errNotRead, body, err)
		}
	}
	if _, err := io.ReadFull(r, t.tail); err != nil {
		return fmt.Errorf("%w: its last octets: %w", errNotRead, err)
	}
	return nil
}

// stuffed copies the content with a dot before each dot that begins a line
// (RFC 5321, section 4.5.2); the tail is the final dot.
func (t *transaction) stuffed(r io.Reader) error {
	t.tail = finalDot
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	lineStart := true
	for {
		n, err := r.Read(*buf)
		if n > 0 {
			if lineStart && (*buf)[0] == '.' {
				_ = t.wire.bw.WriteByte('.') // the next Write tells of its error
			}
			if err := stuff(t.wire.bw, (*buf)[:n]); err != nil {
				return err
			}
			lineStart = (*buf)[n-1] == '\n'
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errNotRead, err)
		}
	}
}

var (
	finalDot = []byte(".\r\n")
	lineDot  = []byte("\n.")
)

// stuff writes p with each dot doubled that follows a line feed in it.
func stuff(w io.Writer, p []byte) error {
	for {
		i := bytes.Index(p, lineDot)
		if i < 0 {
			_, err := w.Write(p)
			return err
		}
		if _, err := w.Write(p[:i+2]); err != nil {
			return err
		}
		p = p[i+1:] // from the dot on, which makes it two
	}
}

// finish lets the tail go and reads the reply that decides.
func (t *transaction) finish() (*explain.Receipt, error) {
	if err := t.wire.flush(); err != nil {
		r, err := t.lastWords(err) // the tail never left, so the message is not whole there
		return nil, t.failure(r, err)
	}
	t.whole = true
	return t.final()
}

// final reads the last reply. Without one, nobody can know whether the server
// took the message.
func (t *transaction) final() (*explain.Receipt, error) {
	t.at(explain.StageDot)
	r, err := t.answer(timeouts.dot)
	switch {
	case err != nil:
		return nil, t.uncertain(err)
	case r.Class() != 2:
		return nil, t.failure(r, nil)
	}
	return &explain.Receipt{
		Candidate: t.candidate, Reply: *r, ID: receiptID(r), Refused: t.refused,
	}, nil
}

func (t *transaction) uncertain(err error) *explain.Failure {
	t.at(explain.StageDot)
	f := t.describe(nil, err)
	f.Cause = explain.DeliveryUncertain
	return explain.Explain(f)
}

// receiptIDs find a provider's own name for a message in its final words:
// "queued as 4Rk2", "id=1qxyz" (Exim), "OK <token> - gsmtp", "Ok 0100018c…".
var receiptIDs = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\bqueued as <?([^\s<>]+)`),
	regexp.MustCompile(`(?i)\b(?:id|msgid|message-id)[=:]\s*<?([^\s<>;,]+)`),
	regexp.MustCompile(`(?i)\s([^\s<>]+) - gsmtp$`),
	regexp.MustCompile(`<([^\s<>@]+@[^\s<>]+)>`),
	regexp.MustCompile(`(?i)^ok:? ([0-9a-f][^\s]{7,})$`),
}

func receiptID(r *explain.Reply) string {
	text := r.Text()
	for _, re := range receiptIDs {
		if m := re.FindStringSubmatch(text); m != nil {
			return clip(m[1], 120)
		}
	}
	return ""
}
