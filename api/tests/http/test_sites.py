"""Pages of other sites change nothing and see nothing, unless they are listed; what is no browser is not held up.

The requests are those that a browser would send; `test_browser.py` has a browser send them.
"""

import asyncio
import itertools
import json

import pytest

from kt_images.application import create_app
from kt_images.base_settings import Settings
from kt_images.http import sites

SITE = "https://gallery.example"
OTHER = "https://evil.example"
# Every call of the application, as its path for the image 1 and its attachment `a`.
CALLS = [
    (method, route.resource.canonical.replace("{image_id}", "1").replace("{filename}", "a"))
    for route in create_app(Settings()).router.routes()
    for method in sorted(getattr(route.handler, "allowed_methods", [route.method]))
]
CHANGING = [call for call in CALLS if call[0] not in {"GET", "HEAD"}]
READING = [call for call in CALLS if call[0] in {"GET", "HEAD"}]
NOTHING = [{"totalImages": 0, "totalChunks": 0}]


def own(client, scheme="http"):
    return f"{scheme}://{client.host}:{client.port}"


def test_the_calls_are_all_there():
    assert {method for method, _ in CALLS} == {"GET", "HEAD", "POST", "PATCH", "DELETE"}
    assert len(CHANGING) >= 8


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "nonsense"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "cross-site", "Origin": OTHER},
    {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    {"Origin": OTHER},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost:1"},
    {"Origin": "chrome-extension://abcdefgh"},
    {"Origin": "http://[", "Sec-Fetch-Mode": "cors"},
    {"Origin": f"{SITE}.evil.example"},
    {"Origin": SITE.upper()},
]


@pytest.mark.parametrize("call", CHANGING, ids=" ".join)
async def test_no_call_that_changes_something_is_for_a_page_of_another_site(serve, call):
    client = await serve(cors_origins=(SITE,))
    for headers in FOREIGN:
        answer = await client.request(*call, headers=headers)
        assert answer.status == 403, headers
        assert "other sites" in (await answer.json())["error"]
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "TRACE", "PROPFIND"])
async def test_a_method_that_nobody_knows_is_taken_for_one_that_changes_something(client, method):
    assert (await client.request(method, "/images", headers=FOREIGN[0])).status == 403
    assert (await client.request(method, "/images")).status == 405


@pytest.mark.parametrize("call", CHANGING, ids=" ".join)
async def test_what_is_no_page_of_another_site_passes(serve, call):
    client = await serve(cors_origins=(SITE,))
    for headers in (
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": own(client)},
        {"Sec-Fetch-Site": "none"},
        {"Origin": own(client)},
        {"Origin": own(client, "https")},  # a proxy speaks TLS
        {"Origin": SITE},
        {"Origin": SITE, "Sec-Fetch-Site": "cross-site"},
    ):
        assert (await client.request(*call, headers=headers)).status not in {403, 500}, headers


@pytest.mark.parametrize(
    ("host", "forwarded", "origin", "status"),
    [
        ("pics.example", None, "https://pics.example", 201),
        ("pics.example:443", None, "https://pics.example", 201),
        ("pics.example:80", None, "http://pics.example", 201),
        ("PICS.example", None, "http://pics.example", 201),
        ("[::1]:8080", None, "http://[::1]:8080", 201),
        ("127.0.0.1:8080", "pics.example", "https://pics.example", 201),
        ("127.0.0.1:8080", "a.example, pics.example", "https://pics.example", 201),
        ("pics.example:8080", None, "https://pics.example", 403),
        ("pics.example", None, "https://pics.example:8443", 403),
        ("pics.example:80", None, "https://pics.example", 403),
        ("pics.example", None, "https://evil.example/pics.example", 403),
        ("pics.example", None, "ftp://pics.example", 403),
        ("127.0.0.1:8080", "pics.example", "https://evil.example", 403),
    ],
)
async def test_an_origin_is_the_service_by_host_and_port(serve, host, forwarded, origin, status):
    client = await serve(host="0.0.0.0")
    headers = {"Host": host, "Origin": origin} | ({"X-Forwarded-Host": forwarded} if forwarded else {})
    assert (await client.post("/images", json={"filename": "a"}, headers=headers)).status == status


async def test_a_refused_page_is_not_asked_for_its_body(client):
    head = "POST /images/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 999\r\n"
    for last, line in (("Origin: null\r\n", b"HTTP/1.1 403"), ("", b"HTTP/1.1 100")):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(f"{head}{last}Expect: 100-continue\r\n\r\n".encode())
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(line)
        writer.close()


async def test_a_refused_page_is_answered_before_its_body_comes(client):
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /images HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\nContent-Length: 999999\r\n\r\n{")
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 403")
    writer.close()


@pytest.mark.parametrize("call", READING, ids=" ".join)
async def test_no_answer_can_be_embedded_framed_or_read_by_another_site(serve, call):
    client = await serve(cors_origins=(SITE,))
    answer = await client.request(*call, headers=FOREIGN[4], allow_redirects=False)
    assert answer.status != 403
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
async def test_a_listed_site_sees_every_answer_and_every_refusal(serve, call):
    client = await serve(cors_origins=("https://a.example", SITE))
    answer = await client.request(*call, headers={"Origin": SITE}, allow_redirects=False)
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    assert {"ETag", "Location", "Content-Range", "Retry-After", "X-Request-ID"} <= set(
        answer.headers["Access-Control-Expose-Headers"].split(", ")
    )
    assert "Origin" in answer.headers["Vary"].split(", ")
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("path", sorted({path for _, path in CALLS}))
async def test_a_listed_site_may_ask_first_and_learns_the_methods(serve, path):
    client = await serve(cors_origins=(SITE,))
    asked = {"Origin": SITE, "Access-Control-Request-Method": "PATCH", "Sec-Fetch-Site": "cross-site"}
    answer = await client.options(path, headers=asked)
    assert (answer.status, await answer.read()) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == SITE
    methods = {method for method, one in CALLS if one == path}
    assert methods <= set(answer.headers["Access-Control-Allow-Methods"].split(", ")) <= methods | {"HEAD"}
    sent = set(answer.headers["Access-Control-Allow-Headers"].split(", "))
    assert {"Authorization", "Content-Type", "If-Match", "Range", "Repr-Digest", "Content-Digest"} <= sent
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": SITE},
        {"Access-Control-Request-Method": "GET"},
        {"Origin": OTHER, "Access-Control-Request-Method": "GET"},
        {"Origin": "null", "Access-Control-Request-Method": "DELETE"},
    ],
)
async def test_any_other_options_is_a_method_that_is_not_allowed(serve, headers):
    client = await serve(cors_origins=(SITE,))
    for path in ("/images", "/oas"):
        answer = await client.options(path, headers=headers)
        assert answer.status == 405
        assert "GET" in answer.headers["Allow"]
        assert "Access-Control-Allow-Methods" not in answer.headers


async def test_an_unknown_url_is_not_found_for_a_listed_site_too(serve):
    client = await serve(cors_origins=(SITE,))
    answer = await client.options("/nowhere", headers={"Origin": SITE, "Access-Control-Request-Method": "GET"})
    assert answer.status == 404


async def test_without_a_list_nothing_is_said_of_origins(client):
    answer = await client.get("/images", headers={"Origin": SITE})
    assert answer.headers["Vary"] == "Accept"
    assert not any(name.startswith("Access-Control") for name in answer.headers)


async def test_a_cached_answer_to_nobody_s_page_is_not_for_a_listed_one(serve):
    client = await serve(cors_origins=(SITE,))
    answer = await client.get("/images")
    assert answer.headers["Vary"] == "Accept, Origin"
    assert "Access-Control-Allow-Origin" not in answer.headers


LOOPBACK = [
    "localhost",
    "LOCALHOST:80",
    "localhost.",
    "a.localhost:8080",
    "127.0.0.1",
    "127.9.9.9:1",
    "[::1]",
    "[::1]:8080",
]
ELSEWHERE = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1",
    "[::2]",
    "xlocalhost",
]
GARBLED = ["", " ", "a b", "a/b", "a:b", "a:1:2", "user@a", "[::1", "a,b", "a\u00e4", "a:123456", "%00", "<script>"]


@pytest.mark.parametrize("listening", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
async def test_on_the_loopback_only_names_of_the_loopback_are_answered(serve, listening):
    client = await serve(host=listening)
    for host, status in [*((one, 200) for one in LOOPBACK), *((one, 403) for one in ELSEWHERE)]:
        for path in ("/images", "/oas", "/oas/spec", "/tags"):
            answer = await client.get(path, headers={"Host": host})
            assert answer.status == status, host
    assert "KT_IMAGES_ALLOWED_HOSTS" in (await (await client.get("/images", headers={"Host": "evil"})).json())["error"]


async def test_beyond_the_loopback_any_name_is_answered(serve):
    client = await serve(host="0.0.0.0")
    for host in LOOPBACK + ELSEWHERE:
        assert (await client.get("/images", headers={"Host": host})).status == 200, host


@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
async def test_listed_names_are_answered_beside_those_of_the_loopback(serve, listening):
    client = await serve(host=listening, allowed_hosts=("pics.example", "10.0.0.1", "[::2]"))
    for host in [*LOOPBACK, "pics.example", "Pics.Example:8443", "10.0.0.1:8080", "[::2]"]:
        assert (await client.get("/images", headers={"Host": host})).status == 200, host
    for host in ["evil.example", "a.pics.example", "10.0.0.2", "[::3]"]:
        assert (await client.get("/images", headers={"Host": host})).status == 403, host


@pytest.mark.parametrize("path", sorted(sites.PROBES))
async def test_a_load_balancer_may_probe_by_any_name(serve, path):
    client = await serve(host="127.0.0.1", allowed_hosts=("pics.example",))
    for host in [*ELSEWHERE, *GARBLED]:
        assert (await client.get(path, headers={"Host": host})).status == 200, host


async def test_a_page_under_another_name_reads_and_changes_nothing(serve):
    """DNS rebinding: to the browser it is the service's own page."""
    client = await serve(host="127.0.0.1")
    rebound = {"Host": "evil.example:8080", "Origin": "http://evil.example:8080", "Sec-Fetch-Site": "same-origin"}
    for call in CALLS:
        if call[1] not in sites.PROBES:
            assert (await client.request(*call, headers=rebound)).status == 403, call
    assert await (await client.get("/images")).json() == NOTHING


@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
async def test_a_host_that_is_no_name_is_refused(serve, listening):
    client = await serve(host=listening)
    for host in GARBLED:
        answer = await client.get("/images", headers={"Host": host})
        assert answer.status == 400, host


@pytest.mark.parametrize(
    "lines", ["", "Host: localhost\r\nHost: evil.example\r\n", "Host: localhost\r\nHost: localhost\r\n"]
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_one_host_is_named_and_not_two(client, lines, version):
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(f"GET /images HTTP/{version}\r\n{lines}Connection: close\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    assert head.split()[1] == b"400"
    assert set(json.loads(body)) == {"error"}
    writer.close()


def test_every_listed_header_is_there_once():
    for names in (sites.SENT.split(", "), sites.SHOWN.split(", ")):
        assert all(a < b for a, b in itertools.pairwise(names))
