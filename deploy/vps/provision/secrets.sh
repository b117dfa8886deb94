# Secrets of the fleet, made and kept on this server. Run as root: sh -s -- make|show NAME… < secrets.sh
# Prints NAME=VALUE of each that is there, after `made NAME` for each that was not.
set -eu
umask 077
folder=/etc/slipway/secrets
what=$1
shift
for name; do
    file=$folder/$name
    if [ ! -s "$file" ] && [ "$what" = make ]; then
        install -d -m 755 /etc/slipway
        install -d -m 700 "$folder"
        [ -s "$file" ] || rm -f "$file"
        new=$(mktemp "$folder/.$name.XXXXXXXX")
        openssl rand -hex 32 >"$new"
        sync "$new"
        # Of two who make it at once, one does: the other one's link is refused.
        if ln "$new" "$file" 2>/dev/null; then echo "made $name"; fi
        rm -f "$new"
    fi
    [ ! -s "$file" ] || echo "$name=$(cat "$file")"
done
