package explain

// A Cause is the stable name of why a delivery failed: one a failure, the
// same in log, reply, metrics and commands. It is an error, so that
// errors.Is(err, AuthRejected) works on a Failure.
type Cause string

func (c Cause) Error() string { return string(c) }

// The causes. What each means, what to do and who must act stands in the
// catalogue.
const (
	DNSNotFound             Cause = "dns.not_found"
	DNSFailure              Cause = "dns.failure"
	ConnectRefused          Cause = "connect.refused"
	ConnectTimeout          Cause = "connect.timeout"
	ConnectUnreachable      Cause = "connect.unreachable"
	ConnectClosed           Cause = "connect.closed"
	ProtocolWrongPort       Cause = "protocol.wrong_port"
	GreetingRejected        Cause = "greeting.rejected"
	TLSNotOffered           Cause = "tls.not_offered"
	TLSVersion              Cause = "tls.version"
	TLSCertificateExpired   Cause = "tls.certificate_expired"
	TLSCertificateName      Cause = "tls.certificate_name"
	TLSCertificateUntrusted Cause = "tls.certificate_untrusted"
	TLSRequired             Cause = "tls.required"
	AuthRejected            Cause = "auth.rejected"
	AuthAppPassword         Cause = "auth.app_password"
	AuthDisabled            Cause = "auth.disabled"
	AuthRequired            Cause = "auth.required"
	AuthMechanism           Cause = "auth.mechanism"
	AuthToken               Cause = "auth.token"
	AuthTemporary           Cause = "auth.temporary"
	AuthLocked              Cause = "auth.locked"
	SenderNotAllowed        Cause = "sender.not_allowed"
	SenderDomain            Cause = "sender.domain"
	RecipientUnknown        Cause = "recipient.unknown"
	RecipientDomain         Cause = "recipient.domain"
	RecipientMailboxFull    Cause = "recipient.mailbox_full"
	RecipientSyntax         Cause = "recipient.syntax"
	RecipientBlocked        Cause = "recipient.blocked"
	RelayDenied             Cause = "relay.denied"
	LimitRate               Cause = "limit.rate"
	LimitQuota              Cause = "limit.quota"
	LimitConnections        Cause = "limit.connections"
	LimitRecipients         Cause = "limit.recipients"
	MessageTooLarge         Cause = "message.too_large"
	MessageSpam             Cause = "message.spam"
	MessageAuthentication   Cause = "message.authentication"
	MessageMalformed        Cause = "message.malformed"
	IPBlocked               Cause = "ip.blocked"
	Greylisted              Cause = "greylisted"
	ServerBusy              Cause = "server.busy"
	ServerError             Cause = "server.error"
	DeliveryUncertain       Cause = "delivery.uncertain"
	SpoolFull               Cause = "spool.full"
	Unknown                 Cause = "unknown"
)
