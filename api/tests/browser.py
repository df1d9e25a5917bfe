"""A real Chromium without a window, told what to do by its DevTools protocol."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")

SECONDS = 30
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """A tab, or a frame of another site in it."""

    def __init__(self, session: aiohttp.ClientSession, address: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._session, self._address, self._socket = session, address, socket
        self._numbers = itertools.count(1)

    async def open(self, url: str) -> None:
        """Go to the URL and wait until it is loaded."""
        await self._command("Page.enable")
        await self._command("Page.navigate", url=url)
        await self._message(lambda message: message.get("method") == "Page.loadEventFired")

    async def run(self, script: str) -> Any:
        """Run a script of the page, an async function's body; return what it returns."""
        expression = f"(async () => {{ {script} }})()"
        answer = await self._command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def frames(self, script: str) -> list[Any]:
        """Run a script in each frame that has a process of its own, as those of other sites have."""
        answers = []
        for url in await _targets(self._session, self._address, "iframe"):
            async with self._session.ws_connect(url, max_msg_size=0) as socket:
                answers.append(await Page(self._session, self._address, socket).run(script))
        return answers

    async def _command(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        answer = await self._message(lambda message: message.get("id") == number)
        assert "error" not in answer, answer
        return answer["result"]

    async def _message(self, is_wanted: Any) -> Any:
        while not is_wanted(message := await self._socket.receive_json(timeout=SECONDS)):
            pass
        return message


@contextlib.asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Page]:
    """Give a tab of a new browser, to which every name that ends in `.example` is 127.0.0.1."""
    assert CHROMIUM
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", "--host-resolver-rules=MAP *.example 127.0.0.1"]
    process = await asyncio.create_subprocess_exec(
        *command,
        "about:blank",
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "HOME": str(folder)},
    )
    try:
        address = await _address(folder / "DevToolsActivePort", process)
        async with aiohttp.ClientSession() as session:
            [url] = await _targets(session, address, "page")
            async with session.ws_connect(url, max_msg_size=0) as socket:
                yield Page(session, address, socket)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _targets(session: aiohttp.ClientSession, address: str, kind: str) -> list[str]:
    targets = await (await session.get(f"{address}/json/list")).json()
    return [target["webSocketDebuggerUrl"] for target in targets if target["type"] == kind]


async def _address(file: Path, process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(SECONDS):
        while not file.exists() or not file.read_text():
            assert process.returncode is None, "Chromium has ended"
            await asyncio.sleep(0.05)
    return f"http://127.0.0.1:{file.read_text().split()[0]}"
