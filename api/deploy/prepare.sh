# Before the services of the compose file: refuse what would be careless, and give each its folder. Docker makes the
# folders of the host that are missing, and gives them to root.
set -eu
sleep 1 # podman takes a container that has ended before it looks for one that could not be started

beyond_this_machine() {
    case "$1" in
    127.* | localhost | ::1 | \[::1\]) return 1 ;;
    esac
}

if beyond_this_machine "$POSTGRES_BIND" && [ "$POSTGRES_PASSWORD" = postgres ]; then
    echo "PostgreSQL is not published on $POSTGRES_BIND with the password that everybody knows:" \
        "put another POSTGRES_PASSWORD into .env, or leave POSTGRES_BIND at 127.0.0.1" >&2
    exit 1
fi
if beyond_this_machine "$KT_IMAGES_BIND" && [ "$KT_IMAGES_ACCESS" = open ]; then
    echo "Whoever reaches $KT_IMAGES_BIND may read, change and delete all images: put KT_IMAGES_ACCESS=keys into .env" \
        "after docker-compose exec api python3 -m kt_images.manage.keys create NAME --scopes read,write" >&2
fi

chown postgres: /folders/db
chown 10001:10001 /folders/images /folders/backups # the account of api/Dockerfile
