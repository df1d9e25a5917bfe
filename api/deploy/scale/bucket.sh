# SeaweedFS with one bucket, for those who know its key. /tmp/ready says that it is there.
set -eu
rm -f /tmp/ready
cat > /tmp/s3.json <<END
{"identities": [{"name": "kt-images", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                 "credentials": [{"accessKey": "$BUCKET_KEY", "secretKey": "$BUCKET_SECRET"}]}]}
END
(
    until echo "s3.bucket.create -name $BUCKET_NAME" | weed shell -master=127.0.0.1:9333 -filer=127.0.0.1:8888; do sleep 1; done
    touch /tmp/ready
) > /dev/null 2>&1 &
exec weed server -dir=/data -ip=127.0.0.1 -ip.bind=0.0.0.0 -master.telemetry=false -master.volumeSizeLimitMB=1024 \
    -volume.max=50 -filer -s3 -s3.config=/tmp/s3.json
