# backups.sh [once|check]: write an archive to /backups and keep the latest BACKUP_KEEP, once or every BACKUP_INTERVAL
# seconds; or say whether the latest is young enough. The compose file and the manifest of Kubernetes run it.
set -eu
umask 077 # an archive has all pictures, whoever may see them

back_up() {
    archive="/backups/kt-images-$(date -u +%Y%m%dT%H%M%SZ).tar"
    rm -f /backups/*.part # of a backup that was killed
    # Under its name only once it is whole and durable.
    python3 -m kt_images.manage.backup "$archive.part" && mv "$archive.part" "$archive" || return 1
    ls -r /backups/kt-images-*.tar | tail -n "+$((BACKUP_KEEP + 1))" | xargs -r rm --
}

case "${1:-}" in
once)
    back_up
    ;;
check)
    find /backups -name 'kt-images-*.tar' -mmin "-$((BACKUP_INTERVAL / 60 + 60))" | grep -q .
    ;;
*)
    trap 'exit 0' TERM INT
    while true; do
        pause=$BACKUP_INTERVAL
        if ! back_up; then
            pause=$((BACKUP_INTERVAL < 600 ? BACKUP_INTERVAL : 600))
            echo "There is no new backup; the next attempt is in $pause seconds" >&2
        fi
        sleep "$pause" & # in the background, so that a signal is heard
        wait $!
    done
    ;;
esac
