# nginx in front of several services, KT_IMAGES_SERVERS="10.0.0.1:8080 10.0.0.2:8080": the configuration is that for one,
# but for the line that says where the service listens. One that cannot be reached is left out for two seconds; what it
# has not begun to answer goes to another by nginx's own rule (proxy_next_upstream): a POST or PATCH only if nothing of it
# was sent, as it may have been carried out.
set -eu
servers=
for one in $KT_IMAGES_SERVERS; do
    servers="$servers server $one max_fails=1 fail_timeout=2s;"
done
here=${1:-/etc/nginx/kt-images} to=${2:-/tmp/kt-images}
mkdir -p "$to"
cp "$here/nginx.conf" "$to/"
sed "s|server api:8080 max_fails=0;.*|$servers|; s|proxy_connect_timeout .*|proxy_connect_timeout 2s; proxy_socket_keepalive on;|
    s|/var/cache/nginx/|/tmp/|" "$here/kt-images.conf" > "$to/kt-images.conf"
grep -q "max_fails=1" "$to/kt-images.conf"
if [ $# -lt 2 ]; then
    exec nginx -e stderr -c "$to/nginx.conf"
fi
