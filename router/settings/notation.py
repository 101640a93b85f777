"""How values are written in a configuration file: the types of settings, each read by a function of the grammar.

The law of the room: a type knows its notation, which the table of settings and the mends show.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from router.gateway.trust import Network
from router.model.region import PublicUrl
from router.routing.table import Template
from router.settings import control, grammar
from router.settings.directories import DirectoryUrl, PostgresUrl, read_directory_url, read_postgres_url
from router.settings.grammar import Address, GrammarError, Match, OriginUrl, SocketFile
from router.settings.id_pattern import read_id_pattern

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Notation:
    """How a value is written, for the table of settings and for mends."""

    text: str


def _reads(read: Callable[[str], Value]) -> PlainValidator:
    """A validator that reads text with a function of the grammar."""

    def validate(value: object) -> Value:
        if not isinstance(value, str):
            raise PydanticCustomError("string_type", "must be text")
        try:
            return read(value)
        except GrammarError as error:
            raise PydanticCustomError("grammar", "{text}", {"text": error.text, "mend": error.mend}) from error

    return PlainValidator(validate)


Seconds = Annotated[float, Field(gt=0, le=7 * 86400, allow_inf_nan=False), Notation("seconds")]
Fraction = Annotated[float, Field(gt=0, le=0.5, allow_inf_nan=False), Notation("fraction")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), Notation("0 … 1")]
Delay = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False), Notation("seconds")]
Count = Annotated[int, Field(ge=1, le=10_000_000), Notation("number")]
Bytes = Annotated[int, Field(ge=256, le=2**30), Notation("bytes")]
Rate = Annotated[int, Field(ge=0, le=2**20), Notation("bytes/s")]
Flag = Annotated[bool, Notation("`true` or `false`")]
ErrorStatus = Annotated[int, Field(ge=400, le=599), Notation("status")]

Listener = Annotated[
    Address | SocketFile, _reads(grammar.read_listener), Notation("`host:port` or `unix:/path[?mode=660]`")
]
TcpListener = Annotated[Address, _reads(grammar.read_address), Notation("`host:port`")]
Text = Annotated[str, _reads(grammar.read_text), Notation("text")]
FileName = Annotated[str, _reads(grammar.read_file_name), Notation("file")]
ControlName = Annotated[str, _reads(control.read_name), Notation("name")]
TokenHash = Annotated[str, _reads(control.read_digest), Notation("SHA-256")]
Moment = Annotated[float, _reads(control.read_moment), Notation("time")]
HookUrl = Annotated[str, _reads(control.read_hook), Notation("URL")]
DirectoryText = Annotated[DirectoryUrl, _reads(read_directory_url), Notation("directory URL")]
PostgresText = Annotated[PostgresUrl, _reads(read_postgres_url), Notation("PostgreSQL URL")]
IdPattern = Annotated[re.Pattern[str], _reads(read_id_pattern), Notation("pattern")]
IdTemplate = Annotated[Template, _reads(grammar.read_id_template), Notation("template")]
PathTemplate = Annotated[Template, _reads(grammar.read_template), Notation("template")]
Subdomains = Annotated[str, _reads(grammar.read_suffix), Notation("`*.suffix`")]
HeaderName = Annotated[str, _reads(grammar.read_header_name), Notation("field name")]
MatchText = Annotated[Match, _reads(grammar.read_match), Notation("`host[/prefix]`")]
Path = Annotated[bytes, _reads(grammar.read_path), Notation("path")]
Origin = Annotated[OriginUrl, _reads(grammar.read_origin), Notation("URL without path")]
Public = Annotated[PublicUrl, _reads(grammar.read_public_url), Notation("URL without path")]
ServerName = Annotated[str, _reads(grammar.read_server_name), Notation("host")]
Proxies = Annotated[Network, _reads(grammar.read_network), Notation("CIDR block")]
CollectorUrl = Annotated[str, _reads(grammar.read_collector), Notation("URL")]
WebOrigin = Annotated[str, _reads(grammar.read_web_origin), Notation("origin")]
FieldName = Annotated[str, _reads(grammar.read_field_name), Notation("field name")]
Method = Annotated[str, _reads(grammar.read_method), Notation("method")]
RegionKey = Annotated[str, Notation("region")]
ServiceKey = Annotated[str, Notation("service")]

Listeners = Annotated[tuple[Listener, ...], Field(strict=False)]


class Table(BaseModel):
    """A TOML table: unknown keys are refused, types are exact."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
