# A cron job with curl. usage: sh curl.sh HOST PORT RECIPIENT
exec curl --silent --show-error --crlf --upload-file message.eml \
	--mail-from app@example.com --mail-rcpt "$3" "smtp://$1:$2"
