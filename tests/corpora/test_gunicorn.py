"""gunicorn's corpus of raw requests, through a gateway that serves every host."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.corpora.raw_requests import read
from tests.gateway.origin import ok
from tests.gateway.stage import staged
from tests.strict_reader import read_answers, read_requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.corpora.raw_requests import RawRequest
    from tests.gateway.origin import Origin
    from tests.gateway.stage import Stage

INVALID: Final = read("invalid")
VALID: Final = read("valid")

EVERY_HOST: Final = '[services.any]\nmatch = ["*"]\npath = "/"'
SHORT: Final = {"head": 0.5, "body_idle": 0.5}


class Refused(NamedTuple):
    """A request that gunicorn takes and that is answered by the gateway itself, on purpose."""

    status: int
    why: str


CODINGS: Final = Refused(400, "chunked is the only coding that is taken, and only alone: others are read differently")
NO_HOST: Final = Refused(400, "its Host is not host[:port]")
FOLDED: Final = Refused(400, "folded lines are read differently by different readers (gunicorn needs a setting for it)")
METHOD: Final = Refused(501, "a method that llhttp does not know")
PROXY: Final = Refused(400, "no PROXY protocol is spoken here (gunicorn needs a setting for it)")

SHADOW: Final = Refused(400, "a name that shadows framing where `_` is read as `-` (gunicorn has a setting for it)")

REFUSED: Final = {
    "002": NO_HOST,
    "003": NO_HOST,
    "005": Refused(400, "a target has no fragment (RFC 9112 §3.2)"),
    "012": Refused(400, "Content-Type says how to read the body and comes too late in a trailer (RFC 9110 §6.5.1)"),
    "025": CODINGS,
    "025_line": CODINGS,
    "028": Refused(400, "a blank in front of the colon (gunicorn needs a setting for it)"),
    "029": CODINGS,
    "030": CODINGS,
    "031": METHOD,
    "031compat": METHOD,
    "031compat2": METHOD,
    "040": SHADOW,
    "040_compat": SHADOW,
    "099": Refused(408, "its Content-Length promises more bytes than the file has"),
    "100": Refused(400, "empty segments are read differently by different backends"),
    "compat_obs_fold": FOLDED,
    "compat_obs_fold_huge": FOLDED,
    "pp_01": PROXY,
    "pp_02": PROXY,
    "pp_04": PROXY,
    "pp_05": PROXY,
    "rfc9112_smuggle_gzip_chunked_01": CODINGS,
    "rfc9112_smuggle_te_identity_chunked_01": CODINGS,
    "rfc9112_target_absolute_userinfo_01": Refused(400, "an authority with user information names no host"),
    "rfc9112_target_asterisk_options_01": Refused(204, "OPTIONS * asks the gateway itself"),
    "rfc9112_target_authority_connect_01": Refused(501, "CONNECT is not offered"),
    "rfc9112_target_authority_ipv6_01": Refused(501, "CONNECT is not offered"),
}
"""Valid for gunicorn, but not forwarded."""

ORIGIN_FORM: Final = {
    "rfc9112_target_absolute_01": "/foo?q=1",
    "rfc9112_target_absolute_https_01": "/foo",
    "rfc9112_target_absolute_ipv6_01": "/foo",
}
"""An absolute-form goes out in origin-form, with its authority as Host (RFC 9112 §3.2.2)."""

LIMIT: Final = "our own limits are larger than the one that it exceeds"

TAKEN: Final = {
    "006": LIMIT,
    "007": LIMIT,
    "008": LIMIT,
    "009": LIMIT,
    "010": LIMIT,
    "017": LIMIT,
    "limit_header_default_01": LIMIT,
    "019": "X-Forwarded-Proto is replaced by ours, so nothing contradicts it",
    "041": "two Content-Types are passed on as they came: the region judges",
    "rfc9112_leading_crlf_02": "a few empty lines in front of a request are skipped (RFC 9112 §2.2)",
}
"""Invalid for gunicorn, but forwarded once it has a Host."""

STREAMED: Final = {"rfc9112_chunked_missing_final_crlf_01"}
"""Invalid only by its missing end: the region has its beginning by then, but never the whole."""


class Arrived:
    """What reaches an origin from now on."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._before = {id(connection): len(connection.received) for connection in origin.connections}

    @property
    def streams(self) -> list[bytes]:
        """The bytes of each connection that had any."""
        received = [
            bytes(connection.received[self._before.get(id(connection), 0) :]) for connection in self._origin.connections
        ]
        return [stream for stream in received if stream]

    @property
    def whole(self) -> list[tuple[str, str, bytes]]:
        """Method, target and body of each whole request, as h11 reads them. It must be able to."""
        readings = [read_requests(stream) for stream in self.streams]
        assert [reading.refusal for reading in readings if reading.refusal is not None] == []
        return [
            (request.method.decode(), request.target.decode("latin-1"), request.body)
            for reading in readings
            for request in reading.messages
            if request.whole
        ]


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("corpus"), policy=EVERY_HOST, timeouts=SHORT) as stage:
        stage.home.default = ok(b"fine")
        yield stage


def pieces(data: bytes) -> list[bytes]:
    """`data` cut at both sides of each CR and LF."""
    cuts = sorted({0, len(data)} | {at + side for at, byte in enumerate(data) if byte in b"\r\n" for side in (0, 1)})
    return [data[start:end] for start, end in pairwise(cuts)]


async def told(stage: Stage, *segments: bytes, answers: int = 1) -> list[int]:
    """The statuses that a client is told that sends `segments` and waits for so many answers."""
    client = await stage.client()
    got = b""
    try:
        await client.send(*segments)
        while len(read_answers(got).messages) < answers and (more := await client.receive()):
            got += more
    except ConnectionError:
        pass  # refused while it was still sending
    client.close()
    await stage.left()
    return [answer.status for answer in read_answers(got).messages]


async def told_variants(stage: Stage, raw: RawRequest) -> tuple[list[int], list[int]]:
    """As it is, and with a Host where there was none."""
    return await asyncio.gather(told(stage, raw.data), told(stage, raw.with_host()))


@pytest.mark.parametrize("name", [name for name in INVALID if name not in TAKEN])
async def test_an_invalid_request_is_refused_and_nothing_of_it_reaches_a_region(stage: Stage, name: str) -> None:
    arrived = Arrived(stage.home)
    for statuses in await told_variants(stage, INVALID[name]):
        assert len(statuses) == 1
        assert statuses[0] >= 400
    assert arrived.whole == []
    assert name in STREAMED or arrived.streams == []


@pytest.mark.parametrize("name", [name for name in INVALID if name not in TAKEN])
async def test_an_invalid_request_that_comes_in_pieces_is_never_whole_at_a_region(stage: Stage, name: str) -> None:
    arrived = Arrived(stage.home)
    statuses = await told(stage, *pieces(INVALID[name].with_host()))
    assert all(status >= 400 for status in statuses)
    assert arrived.whole == []


@pytest.mark.parametrize("name", TAKEN)
async def test_an_invalid_request_that_is_taken_on_purpose_arrives_as_h11_reads_it(stage: Stage, name: str) -> None:
    data = INVALID[name].with_host()
    arrived = Arrived(stage.home)
    assert await told(stage, data) == [200]
    sent = read_requests(data).messages[0]
    assert arrived.whole == [(sent.method.decode(), sent.target.decode("latin-1"), sent.body)]


@pytest.mark.parametrize("cut", [False, True], ids=["in one piece", "in pieces"])
@pytest.mark.parametrize("name", [name for name in VALID if name not in REFUSED])
async def test_a_valid_request_arrives_as_gunicorn_reads_it(stage: Stage, name: str, cut: bool) -> None:
    raw = VALID[name]
    data = raw.with_host()
    arrived = Arrived(stage.home)
    assert await told(stage, *(pieces(data) if cut else [data]), answers=len(raw.expected)) == [200] * len(raw.expected)
    assert arrived.whole == [
        (request.method, ORIGIN_FORM.get(name, request.target), request.body) for request in raw.expected
    ]


@pytest.mark.parametrize("name", REFUSED)
async def test_a_valid_request_that_is_refused_on_purpose_never_arrives(stage: Stage, name: str) -> None:
    arrived = Arrived(stage.home)
    assert await told(stage, VALID[name].with_host()) == [REFUSED[name].status]
    assert arrived.whole == []
