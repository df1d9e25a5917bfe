"""A bare S3 client: a signature and a connection, for what is to be seen without the service's own client."""

import datetime
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Iterator

REGION = "us-east-1"


class S3:
    """A server by its port, and the keys of an account there."""

    def __init__(self, port: int, access_key: str, secret: str) -> None:
        self.port, self.access_key, self.secret = port, access_key, secret

    def call(self, method: str, path: str, body: bytes = b"", **query: str) -> tuple[int, bytes]:
        """Return the answer's status and body. Raises OSError and HTTPException."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            target = urllib.parse.quote(path)
            search = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote)
            connection.request(method, f"{target}?{search}", body, self._headers(method, target, search, body))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def make_bucket(self, bucket: str) -> None:
        status, body = self.call("PUT", f"/{bucket}")
        assert status == 200, body

    def remove_bucket(self, bucket: str) -> None:
        """Remove it with all that is in it."""
        for key, _ in self.objects(bucket):
            assert self.call("DELETE", f"/{bucket}/{key}")[0] == 204
        self.abort(bucket)
        status, body = self.call("DELETE", f"/{bucket}")
        assert status == 204, body

    def get(self, bucket: str, key: str) -> bytes | None:
        status, body = self.call("GET", f"/{bucket}/{key}")
        return body if status == 200 else None

    def put(self, bucket: str, key: str, body: bytes) -> None:
        status, answer = self.call("PUT", f"/{bucket}/{key}", body)
        assert status == 200, answer

    def objects(self, bucket: str) -> Iterator[tuple[str, int]]:
        """All keys with their sizes."""
        query = {"list-type": "2"}
        while True:
            page = self._page(bucket, query)
            for one in page.findall("{*}Contents"):
                yield one.findtext("{*}Key") or "", int(one.findtext("{*}Size") or 0)
            following = page.findtext("{*}NextContinuationToken")
            if not following:
                return
            query["continuation-token"] = following

    def unfinished(self, bucket: str) -> list[tuple[str, str]]:
        """The uploads in parts that were neither completed nor aborted: key and id, a thousand at most."""
        page = self._page(bucket, {"uploads": ""})
        return [(one.findtext("{*}Key") or "", one.findtext("{*}UploadId") or "") for one in page.findall("{*}Upload")]

    def abort(self, bucket: str) -> None:
        """Do to unfinished uploads what a rule of a bucket's does to old ones."""
        for key, upload in self.unfinished(bucket):
            assert self.call("DELETE", f"/{bucket}/{key}", uploadId=upload)[0] == 204

    def _page(self, bucket: str, query: dict[str, str]) -> ET.Element:
        status, body = self.call("GET", f"/{bucket}", **query)
        assert status == 200, body
        return ET.fromstring(body)

    def _headers(self, method: str, path: str, query: str, body: bytes) -> dict[str, str]:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
        moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(body).hexdigest()
        signed = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": digest, "x-amz-date": moment}
        names, lines = ";".join(signed), "".join(f"{name}:{value}\n" for name, value in signed.items())
        request = "\n".join([method, path, query, lines, names, digest])
        scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
        key = f"AWS4{self.secret}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        credential = f"Credential={self.access_key}/{scope}"
        return signed | {"Authorization": f"AWS4-HMAC-SHA256 {credential},SignedHeaders={names},Signature={key.hex()}"}
