# A machine whose Exim has a smart host. Left alone, it would refuse long lines.
# usage: sh exim.sh HOST PORT RECIPIENT
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 0755 "$dir" # Exim does not stay root
cat >"$dir/conf" <<END
primary_hostname = vm.example.com
spool_directory = $dir/spool
log_file_path = $dir/spool/%slog
keep_environment =
exim_path = $KURIR_PEER_ROOT/usr/sbin/exim4
begin routers
smarthost:
  driver = manualroute
  route_list = * $1
  self = send
  transport = smarthost
begin transports
smarthost:
  driver = smtp
  port = $2
  message_linelength_limit = 1G
END
"$KURIR_PEER_ROOT/usr/sbin/exim4" \
	-C "$dir/conf" -odf -oi -f app@example.com "$3" <message.eml
cat "$dir/spool/mainlog"
grep -q " => $3 " "$dir/spool/mainlog"
