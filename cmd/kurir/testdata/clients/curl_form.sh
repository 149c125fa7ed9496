# A cron job that has curl write the MIME parts. usage: sh curl_form.sh HOST PORT RECIPIENT
exec curl --silent --show-error --mail-from app@example.com --mail-rcpt "$3" "smtp://$1:$2" \
	-H 'From: =?utf-8?Q?M=C3=BCller_&_S=C3=B6hne?= <app@example.com>' -H "To: $3" -H 'Subject: Grüße & Küsse – Nº 5' \
	-F '=<text;type=text/plain; charset=utf-8;encoder=quoted-printable' -F '=@octets.bin;encoder=base64'
