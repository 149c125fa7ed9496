package explain_test

import (
	_ "embed"
	"regexp"
	"strings"
	"testing"

	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

//go:embed rules.toml
var rulesFile string

// A stranger chooses the address that a contact form writes to, or from, and
// the server repeats it: its words must not keep the mail of all others (P4).
func TestAddressesSayNothing(t *testing.T) {
	letters := regexp.MustCompile(`[^A-Za-z0-9 ]`)
	examples := regexp.MustCompile(`(?m)^example = "(.*)"$`).FindAllStringSubmatch(rulesFile, -1)
	if len(examples) < 100 {
		t.Fatalf("rules.toml has %d examples", len(examples))
	}
	for _, m := range examples {
		words := strings.Fields(letters.ReplaceAllString(strings.TrimLeft(m[1], "0123456789.- "), " "))
		for _, local := range []string{
			`"` + strings.Join(words, " ") + `"`, `"a \"` + strings.Join(words, " ") + `"`,
			strings.Join(words, ".") + "'x", strings.Join(words, "-"), strings.Join(words, "_"),
		} {
			path := envelope.Path(local + "@example.org")
			bare := strings.NewReplacer(`"`, "", `\`, "").Replace(string(path))
			for _, said := range []string{
				"5.1.1 <" + string(path) + ">: Recipient address rejected: User unknown in local recipient table",
				"<" + string(path) + ">: Recipient address rejected: User unknown in local recipient table",
				string(path) + " user unknown", strings.ToUpper(bare) + ": no such user here", "5.1.1 " + bare + " nobody",
			} {
				f := explain.Explain(explain.Failure{Stage: explain.StageRcpt, Recipient: path, Reply: explain.NewReply(550, []string{said})})
				if f.Cause != explain.RecipientUnknown || f.Scope() != explain.ScopeRecipient {
					t.Errorf("%s is about the %s, because of %s", said, f.Scope(), f.Cause)
				}
			}
			f := explain.Explain(explain.Failure{Stage: explain.StageRcpt, Sender: path, Recipient: "a@example.org", Reply: explain.NewReply(550, []string{"5.1.1 mail from " + string(path) + ": user unknown"})})
			if f.Scope() != explain.ScopeRecipient {
				t.Errorf("from %s: about the %s, because of %s", path, f.Scope(), f.Cause)
			}
		}
	}
}
