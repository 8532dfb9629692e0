"""A bound on request bodies, as ASGI middleware: the framework itself would read without end."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xfer.control.values import Problem, to_json


class BodyLimit:
    """Answers 413 where the body announces, or turns out to have, more octets than `limit`."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit
        self.sentence = f"expected a request body of at most {limit} octets, got a larger one"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self.limit:
            problem = {"error": to_json(Problem("TooLarge", self.sentence))}
            await JSONResponse(problem, 413)(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.limit:
                raise HTTPException(413, self.sentence)
            return message

        await self.app(scope, counted, send)
