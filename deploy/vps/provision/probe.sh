# What `vps provision` asks a server before it touches anything. Run as root: sh -s < probe.sh
# Prints NAME=VALUE lines; changes nothing.
LC_ALL=C
export LC_ALL

. /etc/os-release
echo "distribution=$ID"
echo "version=$VERSION_ID"
echo "machine=$(uname -m)"
echo "init=$(cat /proc/1/comm)"
# On a machine of its own it says "none", and exits with 1.
container=$(systemd-detect-virt --container 2>/dev/null) || container=
echo "container=$container"
echo "python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)"
echo "clock=$(date +%s)"
echo "known=$(tr -d '\n' 2>/dev/null </etc/slipway/server.json)"
echo "disk=$(df -Pk / /var /srv 2>/dev/null | awk 'NR > 1 { print $4 }' | sort -n | head -n1)"
echo "inodes=$(df -Pi / /var 2>/dev/null | awk 'NR > 1 && $2 > 0 { print $4 }' | sort -n | head -n1)"

# KiB of memory: the machine's, or what a container may have of it.
memory=$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)
limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null)
case $limit in
    '' | max) ;;
    *) [ $((limit / 1024)) -ge "$memory" ] || memory=$((limit / 1024)) ;;
esac
echo "memory=$memory"
echo "swap=$(awk '/^SwapTotal/ { print $2 }' /proc/meminfo)"

# Can apt's servers be found? A proxy resolves for us, if there is one.
hosts=$(apt-config dump 2>/dev/null | sed -n 's#^Acquire::https\?::Proxy ".*://\([^:/"]*\).*#\1#p')
[ -n "$hosts" ] || hosts=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
    /etc/apt/sources.list.d/*.sources 2>/dev/null | grep -v '^ *#' \
    | sed -n 's#.*https\?://\([^:/ ]*\).*#\1#p' | sort -u)
for host in $hosts; do
    timeout 10 getent ahosts "$host" >/dev/null || echo "unresolved=$host"
done

# Who holds a lock of apt or dpkg: a number of /proc/locks is the file's inode.
for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock; do
    inode=$(stat -c %i "$lock" 2>/dev/null) || continue
    pid=$(awk -v inode=":$inode\$" '$6 ~ inode { print $5; exit }' /proc/locks)
    [ -z "$pid" ] || echo "locked=$(cat "/proc/$pid/comm" 2>/dev/null || echo 'a program') ($pid)"
done
[ -z "$(ls /var/lib/dpkg/updates 2>/dev/null)" ] && [ -z "$(dpkg --audit 2>&1)" ] \
    || echo "unfinished=yes"
