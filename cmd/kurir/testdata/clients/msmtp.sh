# A machine on which msmtp takes the part of sendmail. usage: sh msmtp.sh HOST PORT RECIPIENT
exec msmtp --file=/dev/null --host="$1" --port="$2" --from=app@example.com "$3" <message.eml
