# No dumps of memory, and a shell that was forgotten ends after an hour.
ulimit -c 0
if [ -z "${TMOUT-}" ]; then
    export TMOUT=3600
    readonly TMOUT
fi
