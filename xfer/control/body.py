"""A bound on request bodies, as ASGI middleware: the framework itself would read without end."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xfer.control.values import Problem, to_json


class BodyLimit:
    """Answers 413 where the body announces, or turns out to have, more octets than its limit.

    limit: limits.control_body; import_limit: limits.import_body, for zone files.
    """

    def __init__(self, app: ASGIApp, limit: int, import_limit: int) -> None:
        self.app = app
        self.limit = limit
        self.import_limit = import_limit

    def _limit(self, path: str) -> tuple[int, str]:
        """The limit of a request, and the sentence for what is above it."""
        limit, key, what = self.limit, "control_body", "request body"
        if path.endswith("/import"):
            limit, key, what = self.import_limit, "import_body", "zone file"
        return (
            limit,
            f"expected a {what} of at most {limit} octets (limits.{key}), got a larger one",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit, sentence = self._limit(scope["path"])
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > limit:
            problem = {"error": to_json(Problem("TooLarge", sentence))}
            await JSONResponse(problem, 413)(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, sentence)
            return message

        await self.app(scope, counted, send)
