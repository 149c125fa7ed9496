# A container in which ssmtp takes the part of sendmail. usage: sh ssmtp.sh HOST PORT RECIPIENT
printf 'mailhub=%s:%s\nFromLineOverride=YES\n' "$1" "$2" >ssmtp.conf
exec "$KURIR_PEER_ROOT/usr/sbin/ssmtp" -Cssmtp.conf -fapp@example.com "$3" <message.eml
