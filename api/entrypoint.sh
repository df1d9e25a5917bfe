# Docker makes a bind-mounted folder that is missing, and makes it root's. So a container with such a folder starts as
# root, hands over this one folder where the service could not write to it, and is root no more.
set -e
if [ "$(id -u)" = 0 ]; then
    as_service="setpriv --reuid=kt-images --regid=kt-images --clear-groups"
    $as_service test -w "$KT_IMAGES_UPLOADS_DIR" || chown kt-images "$KT_IMAGES_UPLOADS_DIR"
    export HOME=/app # libpq looks for certificates there; root's home is closed to it
    exec $as_service "$@"
fi
exec "$@"
