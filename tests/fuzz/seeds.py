"""What mutations start from: streams of requests and of answers, whole and sound, and the tokens that break them."""

from __future__ import annotations

from typing import Final

from tests.corpora.raw_requests import read
from tests.gateway.stage import AT_HOME, GET, IN_EU, IN_US, UNKNOWN, path, request

_CHUNKS: Final = b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n"
_TRAILED: Final = b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nEtag: x\r\n\r\n"

_SOUND: Final = (
    GET,
    GET + request("HEAD", path(AT_HOME)) + GET,
    request("POST", path(IN_US), "X-Api-Key: secret", "Content-Type: text/plain", body=b"twelve bytes"),
    request("POST", path(), "Transfer-Encoding: chunked") + _CHUNKS + GET,
    request("PUT", path(), "Transfer-Encoding: chunked", "Trailer: X-Sum", "TE: trailers") + _TRAILED,
    request("GET", path(UNKNOWN), "Connection: keep-alive", version="1.0") + GET,
    request("GET", path(), version="1.0"),
    request("POST", path(), "Expect: 100-continue", body=b"expected"),
    request("DELETE", path(), "Connection: close, X-Gone", "X-Gone: 1", "X-A: 1", "x-a: 2", "X-A: 1"),
    request("GET", "http://app.clockify.me/workspaces/" + IN_EU),
    request("GET", "https://clockify.me" + path(rest="a?b=%2F&c=%zz")),
    request("OPTIONS", "*") + GET,
    request(
        "GET", path(), "Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: a"
    )
    + GET,
    request("POST", path(), "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA", body=b"abc")
    + GET,
    request("GET", path(), "Cookie: a=1; b=2", "Authorization: Basic eA==", "X-Latin: caf\xe9", "Via: 1.1 else") + GET,
    request("POST", path(AT_HOME), body=b"x" * 20_000) + GET,
    b"\r\n\r\n" + GET + b"\r\n" + GET,
)

REQUESTS: Final = (
    *(_SOUND * 8),  # as many as the corpus has, half of which is refused whatever is done to it
    *(raw.with_host() for kind in ("valid", "invalid") for raw in read(kind).values() if len(raw.data) < 2000),
)

_HEAD: Final = b"HTTP/1.1 200 OK\r\n"

ANSWERS: Final = (
    _HEAD + b"Content-Length: 5\r\n\r\nhello",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + _CHUNKS,
    _HEAD + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + _TRAILED,
    _HEAD + b"\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    + _HEAD
    + b"Content-Length: 2\r\n\r\nok",
    b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: x\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    _HEAD + b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nset-cookie: a=1\r\nConnection: X-Gone\r\nX-Gone: 1\r\n"
    b"Content-Length: 1\r\n\r\nx",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    _HEAD + b"Content-Length: 20000\r\n\r\n" + b"x" * 20_000,
    _HEAD + b"Content-Length: 2\r\n\r\nok" + _HEAD + b"Content-Length: 6\r\n\r\nbehind",
)

TOKENS: Final = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"\t",
        b" ",
        b":",
        b",",
        b";",
        b"\r\n\r\n",
        b"\r\n ",
        b"\x7f",
        b"\xe9",
        b"\x0b",
        b"/",
        b"#",
    ),
    *(
        b"0",
        b"1",
        b"5",
        b"-1",
        b"+5",
        b"0x5",
        b"00",
        b"5, 5",
        b"99999999999999999999",
        b"ffffffffffffffff",
        b"0\r\n\r\n",
    ),
    *(
        b"5\r\nhello\r\n",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"HTTP/2.0",
        b"HTTP/1.2",
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"CONNECT ",
        b"TRACE ",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
    ),
    *(
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\r\n",
        b"Content_Length: 5\r\n",
        b"Host: evil.example\r\n",
    ),
    *(
        b"Host: clockify.me\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: host, cookie\r\n",
    ),
    *(
        b"Expect: 100-continue\r\n",
        b"Expect: x\r\n",
        b"Upgrade: websocket\r\n",
        b"TE: trailers\r\n",
        b"Trailer: Host\r\n",
    ),
    *(
        b"X-Workspace-Epoch: 9\r\n",
        b"X-Forwarded-For: 1.2.3.4\r\n",
        b"Via: 1.1 region-router-global\r\n",
        b"X-Api-Key: b\r\n",
    ),
    *(
        b"GET / HTTP/1.1\r\nHost: clockify.me\r\n\r\n",
        b"/../",
        b"//",
        b"%2f",
        b"%00",
        b"\\",
        b"?",
        b"http://",
        b"*",
        b"@",
    ),
    *(
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"204",
        b"304",
        b"101",
        b"099",
        b"600",
        b"chunked",
        b"close",
    ),
)
