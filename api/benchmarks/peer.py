"""The peer: FastAPI, asyncpg and orjson, as most would write it today, tuned in good faith.

uvloop and httptools below it, prepared statements, connections kept in a pool, the list read through a cursor in
chunks and streamed, JSON by orjson past FastAPI's own encoder, no access log. It checks less than the service does.

Below `/plain` stands the same on the same server as the documentations have it: answers are models that FastAPI checks
and renders, the cursor is read by `async for`.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from psycopg2.extensions import parse_dsn
from pydantic import BaseModel

CONNECTIONS = 16
CHUNK = 1000

SELECT_IMAGE = "select image_id, filename, tags from images where image_id = $1"
INSERT_IMAGE = "insert into images (filename, tags) values ($1, $2) returning image_id, filename, tags"
SELECT_LIST = "select image_id, filename, tags from images {where} order by image_id"
CONDITIONS = ("tags @> ${}::text[]", "tags && ${}::text[]", "not tags && ${}::text[]")

Tags = Annotated[list[str], Query(default_factory=list)]


class NewImage(BaseModel):
    """What is to be stored."""

    filename: str
    tags: list[str] = []


class Image(NewImage):
    """What is stored."""

    image_id: int


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep the pool as long as the application runs."""
    dsn = parse_dsn(os.environ["POSTGRES_DSN"])
    async with asyncpg.create_pool(
        host=dsn["host"], user=dsn["user"], database=dsn["dbname"], min_size=CONNECTIONS, max_size=CONNECTIONS
    ) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/healthz")
async def healthz() -> Response:
    """Tell that the process is up."""
    return Response()


@app.get("/plain/images/{image_id}", response_model=Image)
async def read_plain(image_id: int, request: Request) -> dict[str, object]:
    """Give one image."""
    row = await request.app.state.pool.fetchrow(SELECT_IMAGE, image_id)
    if row is None:
        raise HTTPException(404, f"Image <{image_id}> is not found")
    return dict(row)


@app.post("/plain/images", response_model=Image, status_code=201)
async def create_plain(image: NewImage, request: Request) -> dict[str, object]:
    """Store one image."""
    return dict(await request.app.state.pool.fetchrow(INSERT_IMAGE, image.filename, image.tags))


@app.get("/plain/images")
async def find_plain(request: Request) -> Response:
    """Stream all images."""
    return StreamingResponse(_plain_chunks(request.app.state.pool), media_type="application/json")


@app.get("/images/{image_id}")
async def read(image_id: int, request: Request) -> Response:
    """Give one image."""
    row = await request.app.state.pool.fetchrow(SELECT_IMAGE, image_id)
    if row is None:
        return Response(orjson.dumps({"error": f"Image <{image_id}> is not found"}), 404, media_type="application/json")
    return Response(orjson.dumps(_image(row)), media_type="application/json")


@app.post("/images")
async def create(image: NewImage, request: Request) -> Response:
    """Store one image."""
    row = await request.app.state.pool.fetchrow(INSERT_IMAGE, image.filename, image.tags)
    location = {"Location": f"/images/{row['image_id']}"}
    return Response(orjson.dumps(_image(row)), 201, location, media_type="application/json")


@app.get("/images")
async def find(request: Request, tags_all: Tags, tags_any: Tags, tags_none: Tags, tag: Tags) -> Response:
    """Stream the images in chunks."""
    wanted = [tags_all + tag, tags_any, tags_none]
    given = [(condition, tags) for condition, tags in zip(CONDITIONS, wanted, strict=True) if tags]
    where = " and ".join(condition.format(place) for place, (condition, _) in enumerate(given, 1))
    sql = SELECT_LIST.format(where=where and f"where {where}")
    body = _chunks(request.app.state.pool, sql, [tags for _, tags in given])
    return StreamingResponse(body, media_type="application/json")


async def _chunks(pool: asyncpg.Pool, sql: str, parameters: list[list[str]]) -> AsyncIterator[bytes]:
    images = chunks = 0
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute("set local cursor_tuple_fraction = 1.0")
        cursor = await connection.cursor(sql, *parameters)
        before = b"["
        while rows := await cursor.fetch(CHUNK):
            images += len(rows)
            chunks += 1
            yield before + orjson.dumps([_image(row) for row in rows])
            before = b","
    yield (b"," if chunks else b"[") + orjson.dumps({"totalImages": images, "totalChunks": chunks}) + b"]"


async def _plain_chunks(pool: asyncpg.Pool) -> AsyncIterator[bytes]:
    images = chunks = 0
    chunk = []
    async with pool.acquire() as connection, connection.transaction():
        yield b"["
        async for row in connection.cursor(SELECT_LIST.format(where="")):
            chunk.append(dict(row))
            if len(chunk) == CHUNK:
                images += CHUNK
                chunks += 1
                yield orjson.dumps(chunk) + b","
                chunk = []
    if chunk:
        images += len(chunk)
        chunks += 1
        yield orjson.dumps(chunk) + b","
    yield orjson.dumps({"totalImages": images, "totalChunks": chunks}) + b"]"


def _image(row: asyncpg.Record) -> dict[str, object]:
    return {"image_id": row["image_id"], "filename": row["filename"], "tags": row["tags"]}


if __name__ == "__main__":
    uvicorn.run(
        app, host=os.environ["KT_IMAGES_HOST"], port=int(os.environ["KT_IMAGES_PORT"]),
        loop="uvloop", http="httptools", access_log=False, log_level="warning",
    )  # fmt: skip
