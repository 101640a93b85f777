"""Certificate files that can't be used are told when the configuration is checked, each by its own setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from tests.certificates import write_authority, write_identity

if TYPE_CHECKING:
    from pathlib import Path

    from tests.settings.conftest import ProblemsOf

TLS = 'tls = { ca = "ca.pem", cert = "gw.pem", key = "gw.key" }'


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with files that fit."""
    write_authority(tmp_path / "ca.pem")
    write_identity(tmp_path / "gw.pem", tmp_path / "gw.key")
    return tmp_path


def told(base: str, problems_of: ProblemsOf, tls: str = TLS) -> list[str]:
    return [f"{problem.path}: {problem.text}" for problem in problems_of(base + tls)]


def encrypt(key: Path) -> None:
    plain = serialization.load_pem_private_key(key.read_bytes(), None)
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key.write_bytes(plain.private_bytes(*kinds, serialization.BestAvailableEncryption(b"secret")))


def test_files_that_fit_are_no_problem(base: str, problems_of: ProblemsOf, files: Path) -> None:
    assert told(base, problems_of) == []


def test_the_key_may_be_in_the_certificate_s_file(base: str, problems_of: ProblemsOf, files: Path) -> None:
    (files / "both.pem").write_text((files / "gw.pem").read_text() + (files / "gw.key").read_text())
    assert told(base, problems_of, 'tls = { cert = "both.pem" }') == []


@pytest.mark.parametrize("content", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"])
def test_authorities_that_are_no_certificates_are_a_problem(
    base: str, problems_of: ProblemsOf, files: Path, content: str
) -> None:
    (files / "ca.pem").write_text(content)
    assert told(base, problems_of) == ["regions.eu.tls.ca: the file holds no certificate in PEM form"]


def test_a_certificate_that_is_none_is_a_problem(base: str, problems_of: ProblemsOf, files: Path) -> None:
    (files / "gw.pem").write_text("no PEM")
    assert told(base, problems_of) == ["regions.eu.tls.cert: the file holds no certificate in PEM form"]


def test_a_key_that_is_none_is_a_problem(base: str, problems_of: ProblemsOf, files: Path) -> None:
    (files / "gw.key").write_text("no PEM")
    assert told(base, problems_of) == ["regions.eu.tls.key: the file holds no private key in PEM form"]


def test_the_key_of_another_certificate_is_a_problem(base: str, problems_of: ProblemsOf, files: Path) -> None:
    write_identity(files / "other.pem", files / "gw.key")
    assert told(base, problems_of) == ["regions.eu.tls.key: the private key is not that of the certificate"]


def test_a_certificate_without_any_key_is_a_problem(base: str, problems_of: ProblemsOf, files: Path) -> None:
    assert told(base, problems_of, 'tls = { cert = "gw.pem" }') == [
        "regions.eu.tls.cert: the file holds no private key in PEM form beside the certificate"
    ]


def test_an_encrypted_key_is_a_problem_and_nobody_is_asked(base: str, problems_of: ProblemsOf, files: Path) -> None:
    encrypt(files / "gw.key")
    assert told(base, problems_of) == [
        "regions.eu.tls.key: the private key is encrypted, and nobody can be asked for its passphrase"
    ]


def test_a_missing_key_is_one_problem(base: str, problems_of: ProblemsOf, files: Path) -> None:
    (files / "gw.key").unlink()
    assert told(base, problems_of) == ["regions.eu.tls.key: the file cannot be read (no such file)"]


def test_all_files_are_judged_at_once(base: str, problems_of: ProblemsOf, files: Path) -> None:
    (files / "ca.pem").write_text("no PEM")
    (files / "gw.key").write_text("no PEM")
    assert len(told(base, problems_of)) == 2
