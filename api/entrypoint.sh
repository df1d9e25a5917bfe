# Docker creates a missing bind-mounted folder and gives it to root. So a container with such a folder starts as root,
# gives this one folder to the service if the service cannot write to it, and gives up root.
set -e
if [ "$(id -u)" = 0 ]; then
    as_service="setpriv --reuid=kt-images --regid=kt-images --clear-groups"
    $as_service test -w "$KT_IMAGES_UPLOADS_DIR" || chown kt-images "$KT_IMAGES_UPLOADS_DIR"
    export HOME=/app # libpq looks for certificates there; root's home is closed to it
    exec $as_service "$@"
fi
exec "$@"
