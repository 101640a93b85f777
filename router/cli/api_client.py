"""A client of the control API: one request, its answer, and everything that can go wrong with it in one line each.

The law of the room: the token is read from a file or the environment, goes into one header field, and is never shown.
No redirect is followed, because it would carry the token elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from router.cli.errors import CommandError, UnansweredError, line, refused
from router.cli.output import say
from router.control.secret_files import LARGEST
from router.model.flaw import Flaw
from router.settings.grammar import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from router.cli.desk import Elsewhere

TOKEN_VARIABLE: Final = "REGION_ROUTER_TOKEN"  # noqa: S105 - where it stands, not the token
PREFIX: Final = "/control/v1"

_URL: Final = re.compile(r"https?://[^/?#@\\\s]+")
_TIMEOUT: Final = 60.0
"""Seconds for an answer; none has to wait for anything longer than a gateway is watched before it is forgotten."""
_LONGEST_TIMEOUT: Final = 1800.0
"""Seconds for an import."""
_ABSENT: Final = 404


class ProblemError(CommandError):
    """The API did not do it, and answered with `problem`."""

    def __init__(self, problem: Mapping[str, Any], told: CommandError) -> None:
        super().__init__(told.problems)
        self.problem = problem


class Reply(NamedTuple):
    """What was answered: the status, the JSON value (`None`: no body) and the ETag."""

    status: int
    value: Any
    tag: str | None


class ApiClient:
    """Asks one control API."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None) -> None:
        self._session = session
        self._url = url
        self._fields = {} if token is None else {"Authorization": f"Bearer {token}"}

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        fields: Mapping[str, str] | None = None,
        absent_is: str | None = None,
    ) -> Reply:
        """Ask for `path`, behind the API's prefix. A problem of the name `absent_is` is a reply without a value.

        Raises `CommandError` for every other problem, and where no control API answers.
        """
        sent = None if body is None else aiohttp.JsonPayload(body)
        return await self._send(
            method, path, query=query, content=sent, fields=fields or {}, absent_is=absent_is, seconds=_TIMEOUT
        )

    async def upload(self, path: str, content: AsyncIterator[bytes], content_type: str, name: str) -> Reply:
        """Send the rows of the file called `name`. Raises as `ask`."""
        fields = {"Content-Type": content_type}
        try:
            return await self._send("POST", path, content=content, fields=fields, seconds=_LONGEST_TIMEOUT)
        except ProblemError as error:
            raise _bad_rows(error.problem, name) or error from error

    async def _send(
        self,
        method: str,
        path: str,
        *,
        content: AsyncIterator[bytes] | aiohttp.JsonPayload | None,
        fields: Mapping[str, str],
        seconds: float,
        query: Mapping[str, str] | None = None,
        absent_is: str | None = None,
    ) -> Reply:
        try:
            async with self._session.request(
                method,
                self._url + PREFIX + path,
                params=query,
                data=content,
                headers={**self._fields, **fields},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as answer:
                return self._read(answer, await answer.read(), absent_is)
        except aiohttp.ClientSSLError as error:
            text = "its certificate cannot be verified"
            raise CommandError([Flaw(self._url, text, "trust its authority, by SSL_CERT_FILE")]) from error
        except aiohttp.ClientConnectorError as error:
            text = f"cannot be reached ({error.os_error.strerror or error.os_error})"
            raise UnansweredError(
                [Flaw(self._url, text, "see that it serves the control API, and correct --url")]
            ) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            text = f"gave no whole answer ({type(error).__name__}): what was asked for may have been done"
            raise UnansweredError([Flaw(self._url, text, "look before you repeat it")]) from error

    def _read(self, answer: aiohttp.ClientResponse, content: bytes, absent_is: str | None) -> Reply:
        kind: str | None = answer.content_type
        try:
            value = json.loads(content) if content else None
        except ValueError:
            value = kind = None
        if 200 <= answer.status < 300 and (value is None) == (not content) and kind != "text/html":
            return Reply(answer.status, value, answer.headers.get("ETag"))
        if kind != "application/problem+json" or not isinstance(value, dict):
            text = f"does not answer as a control API does (status {answer.status})"
            raise CommandError([Flaw(self._url, text, "correct --url")])
        reasons = list(_reasons(value))
        if answer.status == _ABSENT and [slug for slug, _ in reasons] == [absent_is]:
            return Reply(answer.status, None, None)
        raise ProblemError(value, refused(reasons))


@contextlib.asynccontextmanager
async def api_client(elsewhere: Elsewhere) -> AsyncIterator[ApiClient]:
    """A client of the control API at a URL, until the block ends. Raises `CommandError`, `OSError`."""
    url = read_url(elsewhere.url)
    token = read_token(elsewhere.token_file)
    if token is not None and _is_plain(url):
        say("warning: the token travels unencrypted; mend: use https")
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield ApiClient(session, url, token)


def read_url(text: str) -> str:
    """The URL of a control API, without the paths that it has anyway. Raises `CommandError`."""
    url = text.strip().rstrip("/").removesuffix(PREFIX)
    if not _URL.fullmatch(url):
        raise CommandError([Flaw("--url", "is no URL of a control API", 'write it as in "https://control.internal"')])
    return url


def _is_plain(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def read_token(file: Path | None) -> str | None:
    """The token in `file`, else in the environment; `None` if there is none. Raises `CommandError`, `OSError`."""
    if file is None:
        where, content = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE, "").encode("utf-8", "surrogateescape")
        if not content:
            return None
    else:
        where = str(file)
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    token = content.strip()
    if not token or len(token) > LARGEST or any(byte <= 0x20 or byte >= 0x7F for byte in token):
        raise CommandError([Flaw(where, "holds no token", "write the token there, and nothing else")])
    return token.decode("ascii")


def _reasons(problem: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in problem.get("refusals") or [problem]:
        yield str(one.get("type", "")).rpartition("/")[2], str(one.get("detail", ""))


def _bad_rows(problem: Mapping[str, Any], name: str) -> CommandError | None:
    """What is wrong with rows that were sent, by their lines."""
    if not str(problem.get("type", "")).endswith("/bad-rows"):
        return None
    places = [(f"{name}, {one['place']}" if "place" in one else name, one) for one in problem.get("errors", ())]
    return CommandError([line(place, one["detail"], one.get("mend")) for place, one in places])
