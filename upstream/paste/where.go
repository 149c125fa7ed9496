package paste

import (
	"net"
	"regexp"
	"strconv"
	"strings"

	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

// The forms of a server's name in the patterns below.
const (
	fullName  = `(localhost|(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,24}\b)`
	ipAddress = `(\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]{2,45}\]|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})`
	anyPort   = `(?::(\d{1,5})\b)?`
	mailPort  = `:(25|465|587|2525|2465|2587|8025|1025)\b`
)

// servers are the ways in which programs name the server in their error
// lines, those that leave no doubt first: its name or address, and the port if
// it follows. What is not said in one of them is no server: a line is full of
// other names, such as those of recipients and of web pages.
var servers = patterns(
	`\brelay=([a-z0-9_.-]+)\[[^\]]*\]`+anyPort,
	`\b(?:host|server|to|with|from|trying|H=) ?`+fullName+` ?\[[0-9a-f.:]+\]`+anyPort,
	`\bH=`+fullName,
	`\bname=`+fullName+` type=`,
	`\blookup ([a-z0-9_.-]+)(?: on [^ ]+)?:`,
	`\b(?:enotfound|eai_[a-z]+|enodata|eservfail) ([a-z0-9][a-z0-9_.-]*[a-z0-9])`+anyPort,
	`\b(?:getaddrinfo for|resolv[a-z]+(?: the)?(?: (?:server|host|smtp|remote|address))*(?: ?names?)?(?: of| for)?:?|cannot locate host|unknown ?host(?:exception)?:?|lookup (?:of|for|failed for)) ["'(]?`+fullName,
	`\b(?:ssl|tls|tcp|smtps?|submissions?)(?:v1\.\d)?://`+fullName+anyPort,
	`\b(?:ssl|tls|tcp|smtps?|submissions?)(?:v1\.\d)?://`+ipAddress+anyPort,
	`\bhost, port: `+fullName+`, (\d{1,5})`,
	`\bvalid for .{1,200}, not `+fullName,
	`\bexpected cn=["'`+"`"+`]?`+fullName,
	`\bhost: `+fullName+`\.? is not`,
	`\b(?:connect(?:ion|ed|ing)?|conversation|connect\(2\)|mailserver|trying|open(?:ing)?|dial|reach|greeting from|handshake)(?: (?:could not be established|to|with|for|tcp|smtp|the|server|host|at|connection|refused|failed|timed out|e[a-z]+))*:? ["'(]?`+fullName+anyPort,
	`\b(?:smtp_?|mail_?)?(?:host|hostname|server)["']?\s?[:=]>?\s?["']?`+fullName+anyPort,
	fullName+mailPort,
	`(?:->|\bdial tcp |\bconnect e[a-z]+ |\b(?:connect(?:ion|ing|ed)?|trying)(?: (?:to|with|host|server|refused|timed out))* )`+ipAddress+anyPort,
	ipAddress+mailPort,
)

func patterns(list ...string) []*regexp.Regexp {
	compiled := make([]*regexp.Regexp, len(list))
	for i, p := range list {
		compiled[i] = regexp.MustCompile("(?i)" + p)
	}
	return compiled
}

var (
	spelledPort = regexp.MustCompile(`(?i)\bport["']?\s?(?:[:=]>?)?\s?["']?(\d{1,5})\b`)
	portBehind  = regexp.MustCompile(`(?i)(\]|[a-z0-9-]\.[a-z]{2,24}|\blocalhost|\d\.\d{1,3}|\bhost)` + mailPort)
	addressPort = regexp.MustCompile(`^([0-9a-f:]*:[0-9a-f]{0,4})` + mailPort) // Node.js puts no brackets around IPv6
	sourceFile  = regexp.MustCompile(`(?i)\.(?:php|phtml|inc|js|mjs|cjs|ts|py|rb|go|java|kt|cs|pl|pm|c|cc|cpp|rs|html?|log|conf|cf|ini|so|service)$`)
	hostName    = regexp.MustCompile(`(?i)\b` + fullName)
)

// where is the server that an error line names, "" and 0 where it names none.
func (a *asked) where(text string) (host string, port int) {
	for _, re := range servers {
		m := re.FindStringSubmatchIndex(text)
		if m == nil {
			continue
		}
		name := text[m[2]:m[3]]
		if strings.HasPrefix(text[m[3]:], "@") || m[2] > 0 && text[m[2]-1] == '@' || sourceFile.MatchString(name) {
			continue
		}
		if len(m) > 4 && m[4] >= 0 {
			port = portOf(text[m[4]:m[5]])
		}
		host = strings.ToLower(strings.Trim(name, "[]."))
		if v6 := addressPort.FindStringSubmatch(host); v6 != nil {
			host, port = v6[1], portOf(v6[2])
		}
		break
	}
	if host == "" {
		host = a.knownHost(text)
	}
	if port == 0 {
		port = portIn(text)
	}
	return host, port
}

func portIn(text string) int {
	if m := spelledPort.FindStringSubmatch(text); m != nil {
		return portOf(m[1])
	}
	if m := portBehind.FindStringSubmatch(text); m != nil && !sourceFile.MatchString(m[1]) {
		return portOf(m[2])
	}
	return 0
}

// portOf reads a port, 0 for what is none.
func portOf(digits string) int {
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

func splitHost(hostPort string) (string, int) {
	host, service, err := net.SplitHostPort(hostPort)
	if err != nil {
		return strings.ToLower(hostPort), 0
	}
	return strings.ToLower(host), portOf(service)
}

// knownHost is the first name in an error line that is a provider's host, or
// nearly.
func (a *asked) knownHost(text string) string {
	for _, at := range hostName.FindAllStringIndex(text, 20) {
		host := text[at[0]:at[1]]
		if at[0] > 0 && text[at[0]-1] == '@' || strings.HasPrefix(text[at[1]:], "@") {
			continue
		}
		if provider.ByHost(host) != nil || a.nearest(host) != "" {
			return strings.ToLower(host)
		}
	}
	return ""
}

// nearest is provider.Nearest, which is slow, asked once for each name.
func (a *asked) nearest(host string) string {
	near, known := a.near[host]
	if !known {
		near = provider.Nearest(host)
		a.near[host] = near
	}
	return near
}

// locate fills in the server of f and what is known of it.
func (a *asked) locate(f *explain.Failure, host string, port int, p *provider.Provider) {
	f.Candidate.Host, f.Candidate.Port = host, port
	if p != nil {
		f.Facts = append(f.Facts, p.Facts()...)
	} else if near := a.nearest(host); near != "" {
		f.Facts = append(f.Facts, explain.Fact{Name: explain.FactNearestHost, Value: near})
	}
}
