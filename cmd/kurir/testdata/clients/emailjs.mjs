// A service with emailjs. usage: node emailjs.mjs HOST PORT RECIPIENT

import fs from 'fs';
import { createRequire } from 'module';

const { SMTPClient } = await import(createRequire(import.meta.url).resolve('emailjs')); // import alone knows no NODE_PATH
const [host, port, to] = process.argv.slice(2);

await new SMTPClient({ host, port: Number(port) }).sendAsync({
  from: 'Müller & Söhne <app@example.com>',
  to,
  subject: 'Grüße & Küsse – Nº 5',
  text: fs.readFileSync('text', 'utf8'),
  attachment: [{ path: 'octets.bin', type: 'application/octet-stream', name: 'octets.bin' }],
});
