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
        openssl rand -hex 32 >"$file.new"
        mv -f "$file.new" "$file"
        echo "made $name"
    fi
    [ ! -s "$file" ] || echo "$name=$(cat "$file")"
done
