# A machine with nullmailer and its queue: what its daemon runs for each message.
# usage: sh nullmailer.sh HOST PORT RECIPIENT
{ printf 'app@example.com\n%s\n\n' "$3"; cat message.eml; } >queued
printf 'host=%s\nport=%s\n\n' "$1" "$2" | HELOHOST=vm "$KURIR_PEER_ROOT/usr/lib/nullmailer/smtp" 3<queued
