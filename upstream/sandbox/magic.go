package sandbox

import (
	"strings"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// A refusal is a reply and the stage at which providers give it.
type refusal struct {
	stage explain.Stage
	reply string
}

// refusals are the words that providers of different kinds use for each
// cause: with and without an enhanced code, in one line and in several, early
// and late, and now and then with a code that misleads.
var refusals = map[explain.Cause]refusal{
	explain.AuthRequired:          {explain.StageRcpt, "530 5.7.0 Authentication required"},
	explain.AuthLocked:            {explain.StageDot, "554 Message rejected: Sending suspended for this account"},
	explain.SenderNotAllowed:      {explain.StageDot, "554 5.2.252 SendAsDenied; the account is not allowed to send as this address"},
	explain.SenderDomain:          {explain.StageDot, "550 5.7.1 Unconfigured Sending Domain <sandbox.test>"},
	explain.RecipientUnknown:      {explain.StageRcpt, "550 5.1.1 The email account that you tried to reach does not exist"},
	explain.RecipientDomain:       {explain.StageRcpt, "550 5.1.2 Recipient address rejected: Domain not found"},
	explain.RecipientMailboxFull:  {explain.StageRcpt, "452-4.2.2 The recipient's inbox is out of storage space.\n452 4.2.2 Ask the recipient to make room, then try again"},
	explain.RecipientSyntax:       {explain.StageRcpt, "501 5.1.3 Bad recipient address syntax"},
	explain.RecipientBlocked:      {explain.StageRcpt, "550 5.2.1 This mailbox has been blocked due to inactivity"},
	explain.RelayDenied:           {explain.StageRcpt, "554 5.7.1 Relay access denied"},
	explain.LimitRate:             {explain.StageDot, "550 Domain sandbox.test has exceeded the max emails per hour (101/100 (101%)) allowed. Message discarded."},
	explain.LimitQuota:            {explain.StageDot, "550 5.4.5 Daily user sending limit exceeded"},
	explain.LimitConnections:      {explain.StageDot, "432 4.3.2 Concurrent connections limit exceeded"},
	explain.LimitRecipients:       {explain.StageRcpt, "452 4.5.3 Too many recipients"},
	explain.MessageTooLarge:       {explain.StageDot, tooLarge},
	explain.MessageSpam:           {explain.StageDot, "554 5.7.1 Message rejected under suspicion of SPAM"},
	explain.MessageAuthentication: {explain.StageDot, "550-5.7.26 This mail has been blocked because the sender is unauthenticated:\n550 5.7.26 neither SPF nor DKIM did pass"},
	explain.MessageMalformed:      {explain.StageDot, "554 5.6.0 Message is malformed: there are two Subject headers"},
	explain.IPBlocked:             {explain.StageRcpt, "550 5.7.1 Service unavailable, client host [192.0.2.25] blocked by a DNS block list"},
	explain.ServerBusy:            {explain.StageDot, "452 4.3.1 Insufficient system resources, try again later"},
	explain.ServerError:           {explain.StageDot, "554 5.4.6 Too many hops 27 (25 max)"},
}

// greylisting is said once for an address.
const greylisting = "450 4.2.0 Greylisted, please try again in a minute"

// greyRemembered bounds the memory for it; beyond, all start anew.
const greyRemembered = 1000

// wish reads from a local part what the sender of the mail wants to see,
// and at which stage; no stage means a mail like any other.
func (s *Server) wish(to envelope.Path) (explain.Stage, Act) {
	name, _, _ := strings.Cut(strings.ToLower(to.LocalPart()), "+")
	switch cause := explain.Cause(name); cause {
	case explain.ConnectClosed:
		return explain.StageRcpt, Act{End: HangUpNow}
	case explain.DeliveryUncertain:
		return explain.StageDot, Act{End: HangUp}
	case explain.Greylisted:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.grey[to] {
			return "", Act{}
		}
		if len(s.grey) >= greyRemembered {
			clear(s.grey)
		}
		s.grey[to] = true
		return explain.StageRcpt, Act{Reply: greylisting}
	default:
		if r, ok := refusals[cause]; ok {
			return r.stage, Act{Reply: r.reply}
		}
	}
	if words, ok := strings.CutPrefix(name, "reply-"); ok {
		return replyWish(strings.Split(words, "-"))
	}
	return "", Act{}
}

// replyWish reads code, enhanced code and stage, the last two as wanted:
// "451-4.3.0-dot".
func replyWish(words []string) (explain.Stage, Act) {
	if len(words[0]) != 3 || strings.Trim(words[0], "0123456789") != "" || !strings.Contains("45", words[0][:1]) {
		return "", Act{}
	}
	stage, text := explain.StageRcpt, words[0]
	for _, w := range words[1:] {
		switch s := explain.Stage(w); {
		case s == explain.StageRcpt || s == explain.StageData || s == explain.StageDot:
			stage = s
		case strings.Trim(w, "0123456789.") == "":
			text += " " + w
		default:
			return "", Act{}
		}
	}
	return stage, Act{Reply: text + " As you wished"}
}
