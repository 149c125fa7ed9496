package queue

import (
	"errors"
	"time"

	"kurir/relay/maillog"
	"kurir/relay/spool"
	"kurir/upstream/envelope"
	"kurir/upstream/explain"
)

// tellEvery is how often the log hears of trouble that lasts: room that comes
// and goes, a disk that fails each call.
const tellEvery = time.Minute

// Draft begins a message that Submit will be given; see spool.Spool.Draft.
func (q *Queue) Draft(env envelope.Envelope, client string) (*spool.Draft, error) {
	d, err := q.spool.Draft(env, client)
	q.NoRoom(err)
	return d, err
}

// Space tells whether a message of that size can be taken; see
// spool.Spool.Space.
func (q *Queue) Space(size int64) error {
	err := q.spool.Space(size)
	q.NoRoom(err)
	return err
}

// NoRoom is told why a message could not be taken, also by who writes into a
// draft, so that the log tells of a full spool; other errors do not count.
func (q *Queue) NoRoom(err error) {
	if !errors.Is(err, spool.ErrFull) {
		return
	}
	q.mu.Lock()
	news := !q.full && time.Since(q.fullSince) > tellEvery
	if news {
		q.full, q.fullSince = true, time.Now()
	}
	q.mu.Unlock()
	if news {
		q.log.SpoolFull(explain.Explain(explain.Failure{Cause: explain.SpoolFull, Err: err}))
	}
}

// commit makes a draft durable: from here on it is ours (promise P1). mail is
// what the log tells of it.
func (q *Queue) commit(d *spool.Draft, mail maillog.Mail) error {
	if err := d.Commit(); err != nil {
		q.NoRoom(err)
		return err
	}
	q.mu.Lock()
	over := q.full
	q.full = false
	q.mu.Unlock()
	if over {
		q.log.SpoolFree()
	}
	q.log.Accepted(mail)
	return nil
}

// tellTrouble logs that the spool could not do something, once a minute for
// the same thing.
func (q *Queue) tellTrouble(what string, err error) {
	q.mu.Lock()
	news := time.Since(q.told[what]) > tellEvery
	if news {
		q.told[what] = time.Now()
	}
	q.mu.Unlock()
	if news {
		q.log.SpoolTrouble(what, err)
	}
}
