# A cron job with mutt, for the sake of the attachment. usage: sh mutt.sh HOST PORT RECIPIENT
LC_ALL=C.UTF-8 exec mutt -n -F /dev/null -e "set smtp_url=smtp://$1:$2/ ssl_force_tls=no copy=no" \
	-e 'set from=app@example.com realname="Müller & Söhne"' -s 'Grüße & Küsse – Nº 5' -a octets.bin -- "$3" <text
