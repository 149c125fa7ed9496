# A developer who sends patches. usage: sh git.sh HOST PORT RECIPIENT
GIT_CONFIG_GLOBAL=/dev/null exec git -c user.name=Müller -c user.email=app@example.com -c sendemail.validate=false send-email --quiet \
	--confirm=never --suppress-cc=all --smtp-server="$1" --smtp-server-port="$2" --transfer-encoding=8bit \
	--from='Müller & Söhne <app@example.com>' --to="$3" message.eml
