// A service with nodemailer and its pool: three messages at a time.
// usage: node nodemailer.js PORT COUNT DIRECTORY

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const nodemailer = require('nodemailer');
const MailComposer = require('nodemailer/lib/mail-composer');

const [port, count, directory] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host: '127.0.0.1', port: Number(port), secure: false, ignoreTLS: true, pool: true, maxConnections: 3,
});
const pause = () => new Promise((done) => setTimeout(done, 50));

async function send(n) {
  const token = `node-${String(n).padStart(5, '0')}`;
  const raw = await new MailComposer({
    messageId: `<${token}@node.peers.test>`,
    from: 'app@peers.test', to: 'you@example.com', subject: `Rückmeldung ${n}`,
    text: 'Grüße aus Node\n.\n..\n.versteckt\nSchluss', textEncoding: 'quoted-printable',
    html: `<p>.${'läng'.repeat(400)}</p>`,
    attachments: [{ filename: 'Anhang.bin', content: crypto.randomBytes(9000) }],
    newline: 'windows',
  }).compile().build();
  const body = raw.toString('latin1').split(/\r\n\r\n(.*)/s)[1].replace(/(\r\n)*$/, '\r\n');
  fs.writeFileSync(path.join(directory, token), body, 'latin1');
  for (;;) {
    console.log(`try ${token}`);
    try {
      await transport.sendMail({ envelope: { from: 'app@peers.test', to: ['you@example.com'] }, raw });
      console.log(`ok ${token}`);
      return;
    } catch (e) {
      console.log(`no ${token} ${e.responseCode || '000'} ${String(e.message).replace(/\s+/g, ' ')}`);
      await pause();
    }
  }
}

async function worker(first) {
  for (let n = first; n < Number(count); n += 3) await send(n);
}

Promise.all([worker(0), worker(1), worker(2)]).then(() => transport.close());
