# An administrator with swaks. usage: sh swaks.sh HOST PORT RECIPIENT
exec swaks --silent 2 --server "$1" --port "$2" --from app@example.com --to "$3" --data @message.eml
