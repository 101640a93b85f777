"""The control plane's settings: every problem with its place and mend, and what is built of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from router.control.access import Scope
from router.settings.load import load_text

if TYPE_CHECKING:
    from pathlib import Path

    from router.settings.values import ControlSettings
    from tests.settings.conftest import ProblemsOf

HASH = "0" * 64
TOKEN = f'[[control.tokens]]\nname = "backend"\nhash = "{HASH}"\nscopes = ["workspaces"]\n'
HOOK = '[[control.webhooks]]\nname = "hook"\nurl = "https://api.example.com/hook"\nsecret_file = "whsec"\n'
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

CASES = {
    "listener without a token": (
        '[control]\nlisten = ["127.0.0.1:9091"]\n',
        "control.tokens: the control API has a listener and nobody has a token; mend: declare one",
    ),
    "token without a name": (
        TOKEN.replace('name = "backend"\n', ""),
        "control.tokens[0].name: the token has no name",
    ),
    "two tokens of one name": (TOKEN + TOKEN, "control.tokens[1].name: another token has this name"),
    "token without a secret": (
        TOKEN.replace(f'hash = "{HASH}"\n', ""),
        "control.tokens[0]: the token has no hash and no file",
    ),
    "token with two secrets": (
        TOKEN + 'file = "token"\n',
        "control.tokens[0]: the token has a hash and a file",
    ),
    "token for nothing": (
        TOKEN.replace('["workspaces"]', "[]"),
        "control.tokens[0].scopes: the token may do nothing",
    ),
    "token for something unknown": (
        TOKEN.replace('["workspaces"]', '["everything"]'),
        "control.tokens[0].scopes[0]: is not one of the values that are known",
    ),
    "token itself instead of its hash": (
        TOKEN.replace(HASH, "my-secret-token-that-must-not-show"),
        "control.tokens[0].hash: this is not a SHA-256 in hex",
    ),
    "expiry without a zone": (
        TOKEN + 'expires = "2027-01-01T00:00:00"\n',
        "control.tokens[0].expires: the time has no zone",
    ),
    "short token in a file": (
        TOKEN.replace(f'hash = "{HASH}"', 'file = "short"'),
        "control.tokens[0].file: the token in the file is shorter than 20 characters",
    ),
    "no file": (
        TOKEN.replace(f'hash = "{HASH}"', 'file = "nowhere"'),
        "control.tokens[0].file: the file cannot be read, or holds no secret",
    ),
    "key without its certificate": (
        TOKEN + '[control]\nlisten = ["127.0.0.1:9091"]\n[control.tls]\nkey = "token"\n',
        "control.tls.cert: there is a key without its certificate",
    ),
    "listener that is taken": (
        TOKEN + '[control]\nlisten = ["127.0.0.1:9090"]\n',
        "control.listen[0]: 127.0.0.1:9090 is taken by ops.listen[0]",
    ),
    "destination without a name": (
        HOOK.replace('name = "hook"\n', ""),
        "control.webhooks[0].name: the destination has no name",
    ),
    "destination without a URL": (
        HOOK.replace('url = "https://api.example.com/hook"\n', ""),
        "control.webhooks[0].url: the destination has no URL",
    ),
    "destination with a password": (
        HOOK.replace("api.example.com", "user:secret@api.example.com"),
        "control.webhooks[0].url: this is not a URL that events can be sent to",
    ),
    "destination with a port that is none": (
        HOOK.replace("api.example.com", "api.example.com:99999"),
        "control.webhooks[0].url: this is not a URL that events can be sent to",
    ),
    "destination with a host that is none": (
        HOOK.replace("api.example.com", "api..example.com"),
        "control.webhooks[0].url: this is not a URL that events can be sent to",
    ),
    "destination without a secret": (
        HOOK.replace('secret_file = "whsec"\n', ""),
        "control.webhooks[0].secret_file: the destination has no secret",
    ),
    "destination whose secret is no key": (
        HOOK.replace('"whsec"', '"token"'),
        "control.webhooks[0].secret_file: a key is not",
    ),
    "no plan at all": ("[control]\nplans = []\n", "control.plans: must not be empty"),
}


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    """Secrets, as they are mounted beside a configuration."""
    for name, text in (("whsec", KEY), ("token", "t" * 32), ("short", "t" * 19)):
        (tmp_path / name).write_text(f"{text}\n")


def control_of(base: str, more: str, folder: Path) -> ControlSettings:
    return load_text(base + more, {}, folder=folder).control


@pytest.mark.parametrize("name", CASES)
def test_each_problem_has_its_place_and_its_mend(name: str, base: str, problems_of: ProblemsOf) -> None:
    more, expected = CASES[name]
    found = [str(problem) for problem in problems_of(base + more)]
    assert len(found) == 1, found
    assert found[0].startswith(expected), found
    assert "; mend: " in found[0]
    assert "secret" not in found[0].replace("secret_file", "").replace("no secret", "").replace("a secret", "")


def test_nobody_can_use_it_by_default(base: str, tmp_path: Path) -> None:
    control = control_of(base, "", tmp_path)
    assert (control.serves, control.tokens, control.listen) == (False, (), ())


def test_a_token_opens_it_on_the_ops_listener_which_must_be_on_loopback(
    base: str, problems_of: ProblemsOf, tmp_path: Path
) -> None:
    assert control_of(base, TOKEN, tmp_path).serves
    public = base.replace('listen = ["127.0.0.1:9090"]', 'listen = ["0.0.0.0:9090"]')
    (problem,) = problems_of(public + TOKEN)
    assert str(problem).startswith(
        "control.listen: the control API would share ops.listen[0], which is not on loopback"
    )


def test_tokens_in_the_clear_are_warned_of(base: str, tmp_path: Path) -> None:
    settings = load_text(base + TOKEN + '[control]\nlisten = ["0.0.0.0:9091"]\n', {}, folder=tmp_path)
    assert "control.listen[0]: tokens travel to it unencrypted" in [
        str(one).partition(";")[0] for one in settings.warnings
    ]


def test_a_token_has_its_scopes_and_its_end(base: str, tmp_path: Path) -> None:
    more = (
        TOKEN
        + TOKEN.replace("backend", "job").replace("workspaces", "transfers")
        + 'expires = "2027-01-01T00:00:00Z"\n'
    )
    first, second = control_of(base, more, tmp_path).tokens
    assert (first.name, first.scopes, first.digest, first.expires_at) == (
        "backend",
        frozenset({Scope.WORKSPACES}),
        HASH,
        math.inf,
    )
    assert (second.scopes, second.expires_at) == (frozenset({Scope.TRANSFERS}), 1798761600.0)


def test_a_destination_s_secret_stays_in_its_file(base: str, tmp_path: Path) -> None:
    (hook,) = control_of(base, HOOK, tmp_path).destinations
    assert (hook.name, hook.url, hook.secret.read()) == ("hook", "https://api.example.com/hook", KEY.encode())


def test_regions_are_offered_as_they_are_configured(base: str, tmp_path: Path) -> None:
    closed = base.replace("[regions.eu]", "[regions.eu]\naccepting = false")
    options = control_of(closed, HOOK, tmp_path).options
    offer = next(offer for name, offer in options.regions.items() if name == "eu")
    assert (offer.label, offer.accepting, offer.public_url) == ("EU (Germany)", False, "https://euc1.clockify.me")
    assert options.destinations == ("hook",)


def test_tokens_can_come_from_the_environment(base: str, tmp_path: Path) -> None:
    text = f'[{{name = "backend", hash = "{HASH}", scopes = ["admin"]}}]'
    settings = load_text(base, {"REGION_ROUTER__CONTROL__TOKENS": text}, folder=tmp_path)
    assert [token.name for token in settings.control.tokens] == ["backend"]
