package queue

import (
	"errors"
	"slices"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// An outcome is what one attempt means for a message: every recipient is in
// exactly one of delivered, returned and kept.
type outcome struct {
	receipt   *explain.Receipt // the provider's words, if it took the message for anyone
	delivered []envelope.Recipient
	returned  []refusal // refused for good
	kept      []refusal // to be tried again

	route  *explain.Failure // trouble of the route, nil if it is well
	sender *explain.Failure // trouble of the sender's domain, nil if it is well
	idle   bool             // the attempt did not come to the message at all
	ours   bool             // the trouble is on our side and says nothing of the route
}

// A refusal is a recipient with the reason why it was not delivered.
type refusal struct {
	envelope.Recipient
	failure *explain.Failure
}

// judge finds out what Deliver's result means for the recipients to. The
// verdicts are the catalogue's.
func judge(to []envelope.Recipient, receipt *explain.Receipt, err error) outcome {
	o := outcome{receipt: receipt}
	var (
		all     explain.Refusals
		failure *explain.Failure
	)
	switch {
	case err == nil:
		o.sort(to, receipt.Refused)
	case errors.As(err, &all):
		o.sort(to, all)
		switch scope := all[0].Scope(); {
		case slices.ContainsFunc(all, func(f *explain.Failure) bool { return f.Scope() != scope }):
		case scope == explain.ScopeRoute:
			o.route = all[0]
		case scope == explain.ScopeSender:
			o.sender = all[0]
		}
	case errors.As(err, &failure):
		o.sort(to, failureForAll(to, failure))
		switch failure.Scope() {
		case explain.ScopeRoute:
			o.route = failure
			o.idle = failure.BeforeMail()
		case explain.ScopeSender:
			o.sender = failure
		}
	default:
		// Trouble on our side: the content could not be read, or we are
		// being stopped. The message waits.
		o.ours = true
		f := explain.Explain(explain.Failure{Cause: explain.Unknown, Err: err})
		for _, r := range to {
			o.kept = append(o.kept, refusal{r, f})
		}
	}
	return o
}

// uncertain tells that the message may have been accepted for someone for whom
// it is kept.
func (o *outcome) uncertain() bool {
	return slices.ContainsFunc(o.kept, func(r refusal) bool { return r.failure.Cause == explain.DeliveryUncertain })
}

// sort puts each recipient where its failure's verdict sends it.
func (o *outcome) sort(to []envelope.Recipient, failures []*explain.Failure) {
	failed := make(map[envelope.Path]*explain.Failure, len(failures))
	for _, f := range failures {
		failed[f.Recipient] = f
	}
	for _, r := range to {
		switch f := failed[r.To]; {
		case f == nil:
			o.delivered = append(o.delivered, r)
		case f.Verdict() == explain.Return:
			o.returned = append(o.returned, refusal{r, f})
		default:
			o.kept = append(o.kept, refusal{r, f})
		}
	}
}

func failureForAll(to []envelope.Recipient, f *explain.Failure) []*explain.Failure {
	failures := make([]*explain.Failure, len(to))
	for i, r := range to {
		failures[i] = f.For(r.To)
	}
	return failures
}

// refusedAlike gives the recipients another reason.
func refusedAlike(refusals []refusal, f *explain.Failure) []refusal {
	alike := make([]refusal, len(refusals))
	for i, r := range refusals {
		alike[i] = refusal{r.Recipient, f}
	}
	return alike
}

func recipients(refusals []refusal) []envelope.Recipient {
	to := make([]envelope.Recipient, len(refusals))
	for i, r := range refusals {
		to[i] = r.Recipient
	}
	return to
}
