package dsn_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"kurir/relay/dsn"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// TestNotify holds who hears of what: RFC 3461 where the sender does, and that
// nobody hears of a notification.
func TestNotify(t *testing.T) {
	to := []envelope.Recipient{
		{To: "default@x"}, {To: "never@x", Notify: "NEVER"}, {To: "failure@x", Notify: "FAILURE"},
		{To: "delay@x", Notify: "delay,Failure"}, {To: "success@x", Notify: "SUCCESS"},
	}
	for _, c := range []struct {
		policy dsn.Policy
		from   envelope.Path
		kind   dsn.Kind
		whom   envelope.Path
		told   string
	}{
		{dsn.Sender, "app@x", dsn.Failed, "app@x", "default@x failure@x delay@x"},
		{dsn.Sender, "app@x", dsn.Delayed, "app@x", "delay@x"},
		{dsn.Sender, "app@x", dsn.Relayed, "app@x", "success@x"},
		{dsn.Sender, "", dsn.Failed, "", ""},
		{dsn.Nobody, "app@x", dsn.Failed, "", ""},
		{"", "app@x", dsn.Failed, "", ""},
		{"boss@y", "app@x", dsn.Failed, "boss@y", "default@x never@x failure@x delay@x success@x"},
		{"boss@y", "app@x", dsn.Delayed, "", ""},
		{"boss@y", "app@x", dsn.Relayed, "", ""},
		{"boss@y", "", dsn.Failed, "", ""},
	} {
		var told []string
		for _, r := range to {
			switch whom := c.policy.Notify(c.from, r, c.kind); whom {
			case "":
			case c.whom:
				told = append(told, string(r.To))
			default:
				t.Errorf("%q, from %q, %s: %q hears of %q, want %q", c.policy, c.from, c.kind, whom, r.To, c.whom)
			}
		}
		if strings.Join(told, " ") != c.told {
			t.Errorf("%q, from %q, %s: %q hears of %q, want %q", c.policy, c.from, c.kind, c.whom, told, c.told)
		}
	}
}

// TestLimit keeps one fault from filling a mailbox, and shows that those kept
// back are told of later.
func TestLimit(t *testing.T) {
	var l dsn.Limit
	start := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		minute  int
		to      envelope.Path
		cause   explain.Cause
		ok      bool
		leftOut int
	}{
		{0, "a@x", explain.IPBlocked, true, 0},
		{1, "a@x", explain.IPBlocked, true, 0},
		{2, "a@x", explain.IPBlocked, true, 0},
		{3, "a@x", explain.IPBlocked, true, 0},
		{4, "a@x", explain.IPBlocked, true, 0},
		{5, "a@x", explain.IPBlocked, false, 0},
		{59, "a@x", explain.IPBlocked, false, 0},
		{59, "a@x", explain.MessageSpam, true, 0},
		{59, "b@x", explain.IPBlocked, true, 0},
		{60, "a@x", explain.IPBlocked, true, 2},
		{60, "a@x", explain.IPBlocked, false, 0},
		{61, "a@x", explain.IPBlocked, true, 1},
	} {
		ok, leftOut := l.Allow(start.Add(time.Duration(c.minute)*time.Minute), c.to, c.cause)
		if ok != c.ok || leftOut != c.leftOut {
			t.Errorf("minute %d, %s, %s: %t, %d left out", c.minute, c.to, c.cause, ok, leftOut)
		}
	}
}

// TestLimitForgets shows that memory is bounded, and that what was asked for
// last is remembered.
func TestLimitForgets(t *testing.T) {
	var l dsn.Limit
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	exhaust := func(to envelope.Path) {
		for range 5 {
			l.Allow(now, to, explain.Unknown)
		}
		if ok, _ := l.Allow(now, to, explain.Unknown); ok {
			t.Fatalf("a sixth to %s", to)
		}
	}
	exhaust("old@x")
	for i := range 9_999 {
		now = now.Add(time.Millisecond)
		l.Allow(now, envelope.Path("a"+strconv.Itoa(i)+"@x"), explain.Unknown)
	}
	now = now.Add(time.Millisecond)
	exhaust("new@x")
	if ok, _ := l.Allow(now, "new@x", explain.Unknown); ok {
		t.Error("the newest was forgotten")
	}
	if ok, leftOut := l.Allow(now, "old@x", explain.Unknown); !ok || leftOut != 0 {
		t.Error("the oldest was not forgotten")
	}
}
