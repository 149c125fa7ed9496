package upstream

import (
	"regexp"

	"kurir/upstream/explain"
)

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
			return explain.Cut(m[1], 120)
		}
	}
	return ""
}
