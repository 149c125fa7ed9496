# A cron job with mail(1). usage: sh s-nail.sh HOST PORT RECIPIENT
LC_ALL=C.UTF-8 exec s-nail -:/ -S v15-compat -S mta="smtp://$1:$2" -S smtp-auth=none \
	-r 'Müller & Söhne <app@example.com>' -s 'Grüße & Küsse – Nº 5' -a octets.bin "$3" <text
