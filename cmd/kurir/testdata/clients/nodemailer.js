// A service with nodemailer. usage: node nodemailer.js HOST PORT RECIPIENT

const fs = require('fs');
const nodemailer = require('nodemailer');

const [host, port, to] = process.argv.slice(2);

nodemailer.createTransport({ host, port: Number(port) }).sendMail({
  from: { name: 'Müller & Söhne', address: 'app@example.com' },
  to,
  subject: 'Grüße & Küsse – Nº 5',
  text: fs.readFileSync('text', 'utf8'),
  attachments: [{ path: 'octets.bin' }],
});
