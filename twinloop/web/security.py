"""Who may talk to the server: only the person who has the printed address, only from this machine, only from this page.

- The token comes once in the address and from then on in a cookie that scripts cannot read and other sites do not send.
- The Host header must name this machine: a foreign name that resolves to 127.0.0.1 (DNS rebinding) is refused.
- A request that changes something must come from this page (Origin), and carry JSON, which plain forms of other pages cannot send.
- The pages may load nothing from elsewhere (Content-Security-Policy), and may not be framed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = ("127.0.0.1", "localhost", "[::1]")
POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:", "connect-src 'self'", "font-src 'self'",
        "frame-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'self'",
    )
)  # fmt: skip
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware in front of everything the server answers."""

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str] = LOCAL) -> None:
        self._app, self._token, self._hosts = app, token, tuple(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no websockets here
            return
        headers = Headers(scope=scope)
        cookie = f"twinloop_{scope['server'][1]}" if scope.get("server") else "twinloop"
        refusal = self._refusal(scope, headers, cookie)
        if refusal:
            await PlainTextResponse(refusal, 403)(scope, receive, send)
        elif _query_token(scope):
            await self._welcome(scope, cookie)(scope, receive, send)
        else:
            await self._app(scope, receive, _guarded(send))

    def _refusal(self, scope: Scope, headers: Headers, cookie: str) -> str:
        if _host_name(headers.get("host", "")) not in self._hosts:
            return "This server answers only on this machine."
        given = _query_token(scope) or _cookie(headers, cookie)
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return "Open the address that twinloop ui printed; it holds the key to this page."
        if scope["method"] in _SAFE:
            return ""
        origin = headers.get("origin", "")
        if urlsplit(origin).netloc != headers.get("host", ""):
            return "Another page asked for this."
        if not headers.get("content-type", "").startswith("application/json"):
            return "Changes are sent as JSON."
        return ""

    def _welcome(self, scope: Scope, cookie: str) -> RedirectResponse:
        """Put the token into a cookie, and take it out of the address bar and the history."""
        query = {key: value for key, value in parse_qs(scope["query_string"].decode()).items() if key != "token"}
        target = scope["path"] + (f"?{urlencode(query, doseq=True)}" if query else "")
        response = RedirectResponse(target, 303)
        response.set_cookie(cookie, self._token, httponly=True, samesite="strict", path="/")
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def _guarded(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", POLICY)
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
        await send(message)

    return sending


def _host_name(host: str) -> str:
    return host.rsplit(":", 1)[0] if ":" in host.rsplit("]", 1)[-1] else host


def _query_token(scope: Scope) -> str:
    query: str = scope["query_string"].decode("latin-1")
    return parse_qs(query).get("token", [""])[0]


def _cookie(headers: Headers, name: str) -> str:
    found = SimpleCookie(headers.get("cookie", "")).get(name)
    return str(found.value) if found is not None else ""
