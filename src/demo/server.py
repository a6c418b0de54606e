"""The demo's server: its page, and what a model says of the pictures that the page sends.

Every site that is open in a browser can send requests to this machine. So what does not come from
the page itself is refused, and so is a name that somebody has made to point here.
"""

import asyncio
import base64
import hashlib
import io
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from PIL import Image
from starlette.requests import ClientDisconnect

from src.core.errors import UserError
from src.demo.occlusion import cell, occlusion
from src.inference.answers import answers
from src.inference.engines import Engine
from src.inference.pictures import decoded
from src.inference.preparation import prepare

PAGE = Path(__file__).with_name("draw.html")
MOST = 20_000_000  # bytes of a picture as it is sent; photos of phones have fewer


def app(engine: Engine, port: int) -> FastAPI:
    """The server of the page at 127.0.0.1:port."""
    served = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    page, busy = PAGE.read_text("utf-8"), asyncio.Lock()
    headers, hosts = _headers(page), (f"127.0.0.1:{port}", f"localhost:{port}")

    @served.middleware("http")
    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = _refusal(request, hosts) or await answer(request)
        response.headers.update(headers)
        return response

    @served.get("/")
    async def draw() -> HTMLResponse:
        return HTMLResponse(page)

    @served.get("/model")
    async def model() -> dict[str, Any]:
        usage = engine.usage
        return {"classes": usage.classes, "calibrated": usage.is_evaluated}

    @served.post("/answer")
    async def answer(request: Request) -> Response:
        content = await _content(request)
        if content is None:
            return _error(413, f"the picture has more than {MOST // 1_000_000} MB")
        try:
            async with busy:  # a picture of a few bytes can take a gigabyte while it is prepared
                return JSONResponse(await asyncio.to_thread(_told, engine, content))
        except UserError as error:
            return _error(400, str(error))

    return served


def _headers(page: str) -> dict[str, str]:
    """They let the page's own style and script do what they do, and nothing else."""
    style, script = (
        base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        for inner in re.findall(r"<(?:style|script)>(.*?)</", page, re.DOTALL)
    )
    policy = (
        "default-src 'none'; connect-src 'self'; img-src data: blob:; "
        f"style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _refusal(request: Request, hosts: tuple[str, ...]) -> Response | None:
    if (host := request.headers.get("host")) not in hosts:
        return _error(403, "this machine answers to its own name only")
    if request.headers.get("origin", f"http://{host}") != f"http://{host}":
        return _error(403, "other pages may not ask")
    return None


def _error(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status)


async def _content(request: Request) -> bytes | None:
    """What is sent; None, as soon as that is too much."""
    content = bytearray()
    with suppress(ClientDisconnect):  # a page that was closed; nobody waits for the answer
        async for part in request.stream():
            content += part
            if len(content) > MOST:
                return None
    return bytes(content)


def _told(engine: Engine, content: bytes) -> dict[str, Any]:
    """Ready for JSON; pictures are data: addresses. Raises UserError for a damaged picture."""
    prepared = prepare(decoded(io.BytesIO(content), "the picture"), engine.usage)
    pixels = prepared.pixels
    [answer] = answers(engine, pixels[None])
    return {
        "ranked": answer.ranked,
        "unlike": answer.unlike,
        "others": prepared.others,
        "image": _png(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2)),
        "cell": cell(*pixels.shape[1:]),
        "falls": occlusion(engine, pixels).tolist(),
        "steps": [{"did": step.did, "image": _png(step.image)} for step in prepared.steps],
    }


def _png(image: np.ndarray) -> str:
    """image: uint8 [H, W] or [H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
