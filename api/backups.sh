# In the compose file's service `backup`: write an archive to /backups now and every BACKUP_INTERVAL seconds, and keep the
# latest BACKUP_KEEP. `backups.sh check` says whether the latest is young enough.
set -eu
umask 077 # an archive has all pictures, whoever may see them

if [ "${1:-}" = check ]; then
    find /backups -name 'kt-images-*.tar' -mmin "-$((BACKUP_INTERVAL / 60 + 60))" | grep -q .
    exit
fi

trap 'exit 0' TERM INT
while true; do
    archive="/backups/kt-images-$(date -u +%Y%m%dT%H%M%SZ).tar"
    rm -f /backups/*.part # of a backup that was killed
    # Under its name only once it is whole and durable.
    pause=$BACKUP_INTERVAL
    if python3 -m kt_images.manage.backup "$archive.part" && mv "$archive.part" "$archive"; then
        ls -r /backups/kt-images-*.tar | tail -n "+$((BACKUP_KEEP + 1))" | xargs -r rm --
    else
        pause=$((BACKUP_INTERVAL < 600 ? BACKUP_INTERVAL : 600))
        echo "There is no backup $archive; the next attempt is in $pause seconds" >&2
    fi
    sleep "$pause" & # in the background, so that a signal is heard
    wait $!
done
