package upstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// oneFlightSize is the largest content that is sent together with its envelope
// by BDAT, before the envelope was accepted: small enough for the buffers of
// both sides, so that neither waits for the other.
const oneFlightSize = 64 << 10

// errStale is a kept session that ended before anything of the transaction
// was answered and before its content was sent: safe to try once more.
var errStale = errors.New("the kept connection was closed")

// A transaction is MAIL, RCPT and the content of one message on one session
// (RFC 5321, section 3.3).
type transaction struct {
	*session
	m        *envelope.Message
	to       []envelope.Recipient
	commands []string // MAIL and each RCPT
	accepted int      // recipients
	refused  []*explain.Failure
	tail     []byte // the end of the content, held back until BeforeDot has agreed
	whole    bool   // the whole content was handed to the network
}

// deliver carries out one transaction for the recipients to. An error is an
// *explain.Failure for all of them, explain.Refusals, errStale, or trouble on
// our side.
func (s *session) deliver(ctx context.Context, m *envelope.Message, to []envelope.Recipient) (*explain.Receipt, error) {
	stop := context.AfterFunc(ctx, func() { _ = s.wire.conn.Close() })
	s.wire.script.begin(m.ID)
	t := &transaction{session: s, m: m, to: to}
	receipt, err := t.run()
	s.transactions++
	s.unclean = err != nil
	if !stop() {
		s.broken = true
		err = endedBy(ctx, err)
	}
	return receipt, err
}

// endedBy blames ctx, which has closed the connection, and not the server for
// the end of what was under way. A reply and an unknown outcome stay true.
func endedBy(ctx context.Context, err error) error {
	var f *explain.Failure
	if errors.Is(err, errStale) || errors.As(err, &f) && f.Reply == nil && f.Cause != explain.DeliveryUncertain {
		return context.Cause(ctx)
	}
	return err
}

func (t *transaction) run() (*explain.Receipt, error) {
	if err := t.prepare(); err != nil {
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

// describe is the session's, of a transaction.
func (t *transaction) describe(r *explain.Reply, err error) explain.Failure {
	f := t.session.describe(r, err)
	f.Sender = t.m.From
	return f
}

func (t *transaction) failure(r *explain.Reply, err error) *explain.Failure {
	return explain.Explain(t.describe(r, err))
}

// prepare refuses early what the server has said it will not take, and makes
// the commands of the envelope.
func (t *transaction) prepare() error {
	t.at(explain.StageMail)
	if err := t.fits(); err != nil {
		return err
	}
	t.commands = append(t.commands, t.m.MailCommand(t.offers, t.m.Size, t.m.EightBit))
	for _, r := range t.to {
		t.commands = append(t.commands, r.RcptCommand(t.offers))
	}
	for _, c := range t.commands {
		if strings.ContainsFunc(c, unicode.IsControl) {
			return fmt.Errorf("the command %q would be more than one", explain.Cut(c, 200))
		}
	}
	return nil
}

func (t *transaction) fits() error {
	if limit := t.announcedSize(); limit > 0 && t.m.Size > limit {
		f := t.describe(nil, fmt.Errorf("the message has %d octets, the server takes %d", t.m.Size, limit))
		f.Cause = explain.MessageTooLarge
		return explain.Explain(f)
	}
	if t.offers("SMTPUTF8") {
		return nil
	}
	if !t.m.From.IsASCII() {
		return explain.Explain(t.notASCII())
	}
	var ascii []envelope.Recipient
	for _, r := range t.to {
		if r.To.IsASCII() {
			ascii = append(ascii, r)
			continue
		}
		f := t.notASCII()
		f.Recipient = r.To
		t.refused = append(t.refused, explain.Explain(f))
	}
	if t.to = ascii; len(ascii) == 0 {
		return explain.Refusals(t.refused)
	}
	return nil
}

func (t *transaction) notASCII() explain.Failure {
	f := t.describe(nil, errors.New("an address is not ASCII, and the server does not offer SMTPUTF8"))
	f.Cause = explain.RecipientSyntax
	return f
}

// oneFlight sends envelope and content at once and reads all replies: one
// round trip a message.
func (t *transaction) oneFlight() (*explain.Receipt, error) {
	t.sendEnvelope()
	t.sendBDAT()
	t.at(explain.StageMail)
	if err := t.content(t.plain); err != nil {
		return nil, err
	}
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
	for _, c := range t.commands {
		t.wire.send(c)
	}
}

// envelopeReplies reads the replies to sendEnvelope. A refused MAIL counts
// only after the replies to RCPT were read, so that the session stays in step.
func (t *transaction) envelopeReplies() error {
	refusal := t.mailReply()
	if t.broken {
		return refusal
	}
	for _, r := range t.to {
		if err := t.rcptReply(r); err != nil {
			if refusal != nil { // what was refused is not uncertain
				return refusal
			}
			return err
		}
	}
	return refusal
}

// stepwiseEnvelope waits for each reply, and stops at a refused MAIL.
func (t *transaction) stepwiseEnvelope() error {
	t.wire.send(t.commands[0])
	if err := t.mailReply(); err != nil {
		return err
	}
	for i, r := range t.to {
		t.wire.send(t.commands[i+1])
		if err := t.rcptReply(r); err != nil {
			return err
		}
	}
	return t.noneAccepted()
}

func (t *transaction) mailReply() error {
	t.at(explain.StageMail)
	r, err := t.answer(timeouts.mail)
	if err != nil || r.Class() != 2 {
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
	if r.Class() == 2 {
		t.accepted++
	} else {
		f := t.describe(r, nil)
		f.Recipient = to.To
		if len(t.refused) > 0 { // the first has it
			f.Transcript = nil
		}
		t.refused = append(t.refused, explain.Explain(f))
	}
	return nil
}

// noneAccepted is the error of a transaction whose recipients were all refused.
func (t *transaction) noneAccepted() error {
	if t.accepted > 0 {
		return nil
	}
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
	if t.broken && err != nil {
		return nil, err
	}
	t.at(explain.StageData)
	r, lost := t.answer(timeouts.data)
	switch {
	case err != nil && lost == nil && r.Code == 354:
		if t.accepted > 0 { // MAIL was refused, and yet somebody would get it
			t.broken = true
			return nil, err
		}
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
		t.broken = t.broken || r.Class() < 4 // consent to what was not asked: we are out of step
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
	t.at(explain.StageData)
	if err := t.content(t.plain); err != nil {
		return nil, err
	}
	return t.finish()
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
		t.broken = t.broken || r.Class() < 4
		return nil, t.failure(r, nil)
	}
	return &explain.Receipt{
		DSN:       t.offers("DSN"),
		Candidate: t.candidate, Reply: *r, ID: receiptID(r), Refused: t.refused,
	}, nil
}

func (t *transaction) uncertain(err error) *explain.Failure {
	t.at(explain.StageDot)
	f := t.describe(nil, err)
	f.Cause = explain.DeliveryUncertain
	return explain.Explain(f)
}
