"""Whatever a client sends: a clear answer, nothing lost, and never a failure of the service."""

import asyncio
import json
from contextlib import asynccontextmanager
from io import BytesIO

import pytest
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from kt_images.application import create_app

JSON = {"Content-Type": "application/json"}

# No test of speed: a busy machine may take its time for an example.
PATIENT = effort(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nonsense", b"[]", b"null", b"1", b'"text"', b'[["filename", "a.jpg"]]', b"\xff\xfe", b'{"filename": "\xff"}',
        b'{"filename": NaN}', b'{"filename": Infinity}', b'{"filename": ' + b"9" * 5000 + b"}", b"[" * 100_000, b'{"a":' * 100_000,
        b'{"filename": "a\\u0000b"}', b'{"filename": "\\ud800"}', b'{"filename": "a.jpg", "tags": "x"}',
        b'{"filename": "a.jpg", "tags": [["x"]]}', b'{"filename": "a.jpg", "tags": null}', b'{"filename": "a.jpg", "tag": ["x"]}',
        b'{"filename": "a.jpg", "image_id": 7}', b'{"filename": "a.jpg", "tags": ["\\udfff"]}', b'{"tags": []}', b'{"filename": 7}',
        json.dumps({"filename": "a.jpg", "tags": [f"{n}" for n in range(1000)]}).encode(),
        json.dumps({"filename": "a.jpg", "tags": ["x" * 1000_000]}).encode(),
        json.dumps({"filename": "a.jpg", "x" * 100_000: 1}).encode(),
    ],
)  # fmt: skip
async def test_a_body_that_is_no_image_is_refused_and_leaves_nothing(client, body):
    answer = await client.post("/images", data=body, headers=JSON)
    assert answer.status == 400, await answer.text()
    assert len(await answer.text()) < 1000
    assert await (await client.get("/images")).json() == [{"totalImages": 0, "totalChunks": 0}]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=nonsense"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "deflate"},
    ],
)
async def test_a_body_in_a_form_that_cannot_be_read_is_refused(client, headers, caplog):
    for _ in range(3):
        answer = await client.post("/images", data=b'{"filename": "a.jpg"}', headers=headers)
        assert answer.status == 400, await answer.text()
    assert caplog.messages == []


@pytest.mark.parametrize("encoding", ["br", "zstd"])
@pytest.mark.parametrize("url", ["/images", "/images/upload"])
async def test_a_body_in_an_unknown_encoding_is_refused_with_a_word_on_it(client, url, encoding):
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = await client.post(url, data=b'{"filename": "a.jpg"}', headers=headers)
    assert answer.status == 415
    assert "Content-Encoding" in (await answer.json())["error"]


@pytest.mark.parametrize("url", ["/", "/oas", "/oas/spec", "/oas/index.js"])
async def test_a_page_takes_no_parameters_either(client, url):
    answer = await client.get(f"{url}?x=1", allow_redirects=False)
    sentence = "x: This call has no such parameter; it takes none"
    assert (answer.status, (await answer.json())["error"]) == (400, sentence)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_json_that_is_not_called_json_is_refused(client, content_type):
    """A form on another site can send these without asking."""
    answer = await client.post("/images", data=b'{"filename": "a.jpg"}', headers={"Content-Type": content_type})
    assert answer.status == 415


async def test_a_body_beyond_the_limit_is_too_large(client):
    answer = await client.post("/images", data=BytesIO(b" " * 2**21), headers=JSON)
    assert answer.status == 413


@pytest.mark.parametrize(
    "image_id",
    [
        "0",
        "-1",
        "01",
        "1_000",
        "%201",
        "1.0",
        "1e3",
        "x",
        "%00",
        "%D9%A1",
        "9223372036854775808",
        "9" * 4000,
        "%ff",
        "1%0d%0aX:y",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_id_that_is_none_is_refused(client, method, image_id):
    answer = await client.request(
        method, f"/images/{image_id}", data=b"{}" if method == "PATCH" else None, headers=JSON
    )
    assert answer.status == (400 if image_id == "%ff" else 404), await answer.text()


@pytest.mark.parametrize("image_id", ["abc", "0", "01", "1.5", "9223372036854775808", "{}"])
@pytest.mark.parametrize(
    "url", ["/images/{}", "/images/{}/attachments", "/images/{}/attachment/a.png", "/media/{}/a.png"]
)
async def test_a_url_with_an_id_that_is_no_number_says_what_an_id_is(client, url, image_id):
    answer = await client.get(url.replace("{}", image_id))
    sentence = "There is no such URL: an image's id is a number, digits only, from 1 to 9223372036854775807"
    assert (answer.status, await answer.json()) == (404, {"error": sentence})


@pytest.mark.parametrize(
    "tag",
    [
        "%",
        "_",
        "a\\b",
        "'",
        '"',
        "{}",
        "{a,b}",
        "$$",
        ";",
        "--",
        "%s",
        "%(x)s",
        "NULL",
        "a,b",
        "*",
        "a\u2028b",
        "\u202e",
    ],
)
async def test_a_tag_is_data_and_nothing_else(client, tag):
    await client.post("/images", json={"filename": tag.replace("\\", "x"), "tags": ["decoy", "decoy2"]})
    created = await client.post("/images", json={"filename": tag.replace("\\", "x"), "tags": [tag]})
    for kind in ("tag", "tags_all", "tags_any"):
        found = await (await client.get("/images", params={kind: tag})).json()
        assert found == [[await created.json()], {"totalImages": 1, "totalChunks": 1}]


@asynccontextmanager
async def raw(settings):
    """Give a function that sends raw bytes on a connection of its own and returns all that comes back."""
    async with TestServer(create_app(settings)) as server:

        async def say(request: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return answer

        yield say


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /images/\0 HTTP/1.1", b"GET /images\xff HTTP/1.1", b"GET /images?tag=\0 HTTP/1.1", b"GET /%zz HTTP/1.1", b"nonsense",
        b"GET http://[::1 HTTP/1.1", b"GET //images HTTP/1.1", b"GET /images HTTP/9.9", b"GET /" + b"x" * 9000 + b" HTTP/1.1",
        b"TRACE /images HTTP/1.1", b"BREW /images HTTP/1.1", b"GET /images/%00 HTTP/1.1", b"GET http://evil/images/0 HTTP/1.1",
        b"GET /media/1/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1", b"GET /media/1/..%5c..%5cx HTTP/1.1",
        b"GET /media/../../etc/passwd HTTP/1.1", b"GET /media/1/%252e%252e HTTP/1.1", b"GET * HTTP/1.1",
    ],
)  # fmt: skip
async def test_a_line_that_no_client_should_send_is_answered_all_the_same(settings, request_line):
    async with raw(settings) as say:
        answer = await say(request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) in {400, 404, 405}, answer
    assert set(json.loads(body)) <= {"error", "details"}


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked", b"Content-Length: 2\r\nContent-Length: 3", b"Content-Length: -1",
        b"Transfer-Encoding: nonsense", b"X: " + b"x" * 9000, b"X y: z", b": z", b"Host: y\r\nX:\x00",
    ],
)  # fmt: skip
async def test_headers_that_contradict_each_other_are_refused(settings, headers):
    async with raw(settings) as say:
        answer = await say(
            b"POST /images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
            + headers
            + b"\r\n\r\n{}"
        )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == 400, answer
    assert set(json.loads(body)) <= {"error", "details"}


NASTY = st.text(max_size=30) | st.sampled_from(["\0", "\ud800", "a/b", "..", "é", "e\u0301", " x ", "x" * 101])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NASTY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=10,
)
ALMOST_AN_IMAGE = st.fixed_dictionaries({"filename": NASTY, "tags": st.lists(NASTY, max_size=5)})


async def test_any_json_is_refused_or_found_again_by_exactly_its_tags(client):
    loop = asyncio.get_running_loop()

    async def tried(body):
        answer = await client.post("/images", data=json.dumps(body).encode(), headers=JSON)
        assert answer.status in {201, 400}, await answer.text()
        if answer.status == 201:
            image = await answer.json()
            where = {"after": image["image_id"] - 1, "limit": 1}
            for tag in image["tags"]:
                assert await (await client.get("/images", params={"tag": tag, **where})).json() == [
                    [image],
                    {"totalImages": 1, "totalChunks": 1},
                ]

    @PATIENT
    @given(ANYTHING | ALMOST_AN_IMAGE)
    def any_json(body):
        asyncio.run_coroutine_threadsafe(tried(body), loop).result()

    await asyncio.to_thread(any_json)


async def test_any_url_is_answered(client):
    loop = asyncio.get_running_loop()
    parameter = st.sampled_from(["tag", "tags_all", "tags_any", "tags_none", "after", "limit"]) | NASTY
    unicode = st.characters(exclude_categories=("Cs",))

    async def tried(method, path, query):
        answer = await client.request(method, f"/images{path}", params=query)
        assert answer.status < 500, await answer.text()

    @PATIENT
    @given(
        st.sampled_from(["GET", "DELETE", "PATCH", "POST"]),
        st.just("") | st.text(unicode, max_size=20).map(lambda text: f"/{text}"),
        st.lists(
            st.tuples(parameter, NASTY).filter(lambda pair: not any("\ud800" in part for part in pair)), max_size=4
        ),
    )
    def any_url(method, path, query):
        asyncio.run_coroutine_threadsafe(tried(method, path, query), loop).result()

    await asyncio.to_thread(any_url)


@pytest.mark.parametrize(
    "body",
    [
        b'{"filename":"a","tags":[' + b",".join([b'""'] * 300_000) + b"]}",
        b'{"filename":"a","tags":[' + b",".join([b"1"] * 400_000) + b"]}",
        b"{" + b",".join(b'"%d":1' % n for n in range(80_000)) + b"}",
    ],
    ids=["empty tags", "numbers", "keys"],
)
async def test_a_body_with_a_hundred_thousand_faults_gets_a_short_answer(client, body):
    for method, url in (("POST", "/images"), ("PATCH", "/images/1")):
        answer = await client.request(
            method, url, data=BytesIO(body.replace(b"tags", b"add_tags") if method == "PATCH" else body), headers=JSON
        )
        assert answer.status == 400
        assert len(await answer.read()) < 5000


@pytest.mark.parametrize(
    "body", [{"filename": ""}, {"add_tags": [""]}, {"tags": "x"}, {"filename": 7}, {"remove_tags": [1]}]
)
async def test_an_error_names_the_field_as_the_client_knows_it(client, body):
    await client.post("/images", json={"filename": "a"})
    answer = await (await client.patch("/images/1", json=body)).json()
    assert [detail["loc"][0] for detail in answer["details"]] == list(body)
    assert not set("([<") & set(answer["error"].split(":")[0])


@pytest.mark.parametrize(
    ("method", "url", "body", "sentence"),
    [
        ("GET", "/images?tag=x&tag=", None, "tag: A tag is 1 to 100 characters, without control characters"),
        ("GET", "/images?limit=x", None, "limit: Give one number, digits only, from 1 to 9223372036854775807"),
        ("GET", "/images?after=1&after=2", None, "after: Give one number, digits only, from 0 to 9223372036854775807"),
        ("GET", "/readyz?x=1", None, "x: This call has no such parameter; it takes none"),
        ("GET", "/attachments", None, "sha256: This is required"),
        ("GET", "/attachments?" + f"sha256={'0' * 64}&" * 101, None, "sha256: Give at most 100"),
        ("POST", "/images/upload?on_duplicate=x", None, "on_duplicate: This must be 'create', 'reject' or 'merge_tags'"),
        ("POST", "/images", {"tags": []}, "filename: This is required"),
        ("POST", "/images", {"filename": "a", "tag": ["x"]}, "tag: There is no such key; this body takes filename, tags"),
        ("POST", "/images", {"filename": "a", "tags": "x"}, "tags: This must be a list"),
        ("POST", "/images", {"filename": "a", "tags": None}, "tags: Give it a value other than null, or leave the key out"),
        ("PATCH", "/images/1", {"filename": 7}, "filename: This must be a string"),
        ("PATCH", "/images/1", {"add_tags": ["x"], "remove_tags": ["x"]}, "The same tag is in add_tags and in remove_tags; keep it in one"),
        ("POST", "/images", {"filename": None}, "filename: Give it a value other than null"),
        ("POST", "/images", [], 'The body must be a JSON object, as in {"filename": "example.jpg"}'),
    ],
)  # fmt: skip
async def test_an_error_says_which_field_is_at_fault_and_what_it_has_to_be(client, method, url, body, sentence):
    answer = await client.request(method, url, json=body)
    assert (answer.status, (await answer.json())["error"]) == (400, sentence)


@pytest.mark.parametrize("body", [b"{bad", b'{"filename": "\xff"}', b""])
async def test_a_body_that_is_not_json_is_told_apart_from_json_that_is_no_object(client, body):
    answer = await client.post("/images", data=body, headers={"Content-Type": "application/json"})
    assert (answer.status, await answer.json()) == (400, {"error": "The body cannot be read; send valid JSON in UTF-8"})


async def test_an_error_keeps_the_place_of_each_fault(client):
    answer = await client.post("/images", json={"filename": "a", "tags": ["x", "", ""]})
    msg = "A tag is 1 to 100 characters, without control characters"
    assert (await answer.json())["details"] == [{"in": "body", "loc": ["tags", n], "msg": msg} for n in (1, 2)]
    answer = await client.post("/images", json={"filename": "a", "b": 1, "a": 1})
    assert [detail["loc"] for detail in (await answer.json())["details"]] == [["a"], ["b"]]


@pytest.mark.parametrize("url", [b"/images", b"/nowhere", b"/oas"])
async def test_an_unknown_expectation_is_refused_in_our_words(settings, url):
    async with raw(settings) as say:
        answer = await say(
            b"POST "
            + url
            + b" HTTP/1.1\r\nHost: localhost\r\nExpect: 200-ok\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        welcome = await say(
            b"POST /images HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Type: application/json\r\n"
            b'Content-Length: 16\r\n\r\n{"filename":"a"}'
        )
    assert answer.startswith(b"HTTP/1.1 417")
    assert b"200-ok" not in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert welcome.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201")


async def test_an_answer_to_what_is_no_request_is_safe_too(settings):
    async with raw(settings) as say:
        answer = await say(b"GET /media/1/\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"x-content-type-options: nosniff" in answer.lower()


async def test_a_method_is_looked_at_before_its_parameters(client):
    assert (await client.put("/images?x=1")).status == 405


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "utf-16", "nonsense", "rot13"])
@pytest.mark.parametrize("call", [("POST", "/images"), ("PATCH", "/images?tag=a"), ("DELETE", "/images?tag=a")])
async def test_json_is_utf_8_whatever_a_client_calls_it(client, call, charset):
    headers = {"Content-Type": f"application/json; charset={charset}"}
    answer = await client.request(*call, data=b"a" * 100_000, headers=headers)
    assert (answer.status, await answer.json()) == (400, {"error": "The body cannot be read; send valid JSON in UTF-8"})


async def test_utf_8_may_be_named(client):
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    assert (await client.post("/images", data=b'{"filename": "a.jpg"}', headers=headers)).status == 201
