"""Who may talk to the server: only the person who has the printed address, only from this machine, only from this page.

- The token comes once in the address and from then on in a cookie that scripts cannot read and that requests of other
  sites do not carry.
- The Host header must name this machine: a foreign name that resolves to 127.0.0.1 (DNS rebinding) is refused.
- A request that changes something must come from this page (Origin), and carry JSON, which plain forms of other pages
  cannot send.
- Cookies do not know ports: what a page of another server on this machine asks for is refused (Sec-Fetch-Site); it may
  only link here.
- The pages may load nothing from elsewhere (Content-Security-Policy), and may not be framed or held by the page that
  opened them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = ("127.0.0.1", "localhost", "[::1]")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "frame-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN = frozenset({"", "same-origin", "none"})
"""Sec-Fetch-Site of this page's requests, of typed addresses, and of programs that are no browser."""
MAX_BODY = 64 << 20
"""Bytes of a request; the captions of some ten thousand photos at once."""


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
        linked = scope["path"] == "/" and headers.get("sec-fetch-mode", "") == "navigate"
        if headers.get("sec-fetch-site", "") not in _OWN and not linked:
            return "Another page asked for this."
        return "" if scope["method"] in _SAFE else _refused_change(headers)

    def _welcome(self, scope: Scope, cookie: str) -> RedirectResponse:
        """Put the token into a cookie, and take it out of the address bar and the history."""
        query = {
            key: value for key, value in parse_qs(scope["query_string"].decode("latin-1")).items() if key != "token"
        }
        target = "/" + scope["path"].lstrip("/") + (f"?{urlencode(query, doseq=True)}" if query else "")
        response = RedirectResponse(target, 303)
        # "strict" would refuse the address where it is clicked in another page, such as a terminal in the browser
        response.set_cookie(cookie, self._token, httponly=True, samesite="lax", path="/")
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
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
        await send(message)

    return sending


def _refused_change(headers: Headers) -> str:
    if headers.get("origin", "") != f"http://{headers.get('host', '')}":
        return "Another page asked for this."
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return "Changes are sent as JSON."
    size = headers.get("content-length", "")
    if not (size.isdecimal() and size.isascii() and len(size) < 12 and int(size) <= MAX_BODY):
        return f"A change is at most {MAX_BODY >> 20} MB long, and says how long."
    return ""


def _host_name(host: str) -> str:
    return host.rsplit(":", 1)[0] if ":" in host.rsplit("]", 1)[-1] else host


def _query_token(scope: Scope) -> str:
    query: str = scope["query_string"].decode("latin-1")
    return parse_qs(query).get("token", [""])[0]


def _cookie(headers: Headers, name: str) -> str:
    """Read as browsers do: other servers on this machine set cookies, too, of any form, and none of them may hide this
    one.
    """
    return cookie_parser(headers.get("cookie", "")).get(name, "")
