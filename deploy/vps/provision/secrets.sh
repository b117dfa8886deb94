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
        # Of two who make it at once, one waits for the other, and finds it made.
        exec 9<"$folder"
        flock 9
        if [ ! -s "$file" ]; then
            new=$(mktemp "$folder/.$name.XXXXXXXX")
            openssl rand -hex 32 >"$new"
            sync "$new"
            mv "$new" "$file"
            echo "made $name"
        fi
        exec 9<&-
    fi
    [ ! -s "$file" ] || echo "$name=$(cat "$file")"
done
