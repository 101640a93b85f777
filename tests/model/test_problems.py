"""The catalogue of problems is a contract: slugs and codes are unique, in range, and mean what they always meant."""

from __future__ import annotations

import re
from http import HTTPStatus

import pytest

from router.model.fault import Fault, Side
from router.model.problem import TYPE_BASE, Problem

# Told by hand: what clients have been promised. A change here breaks somebody.
PROMISED = {
    "workspace-locked": (423, 9423),
    "workspace-unknown": (404, 9404),
    "directory-unavailable": (503, 9503),
    "region-unreachable": (502, 9502),
    "region-protocol-error": (502, 9512),
    "region-timeout": (504, 9504),
    "region-unavailable": (503, 9513),
    "client-busy": (503, 9523),
    "misdirected": (421, 9421),
    "no-service": (404, 9414),
    "workspace-conflict": (400, 9401),
    "ambiguous-path": (400, 9402),
    "bad-request": (400, 9400),
    "head-too-large": (431, 9431),
    "target-too-long": (414, 9415),
    "body-too-large": (413, 9413),
    "client-too-slow": (408, 9408),
    "loop-detected": (508, 9508),
    "method-not-allowed": (405, 9405),
    "not-implemented": (501, 9501),
    "version-not-supported": (505, 9505),
    "expectation-failed": (417, 9417),
    "internal-error": (500, 9500),
}
EACH = pytest.mark.parametrize("problem", Problem, ids=lambda problem: problem.spec.slug)


def test_every_problem_has_a_code_of_its_own() -> None:
    codes = [problem.spec.code for problem in Problem]
    assert len(codes) == len(set(codes))


def test_every_problem_has_a_type_of_its_own() -> None:
    types = [problem.type for problem in Problem]
    assert len(types) == len(set(types))


def test_slugs_statuses_and_codes_are_those_that_were_promised() -> None:
    told = {problem.spec.slug: (problem.spec.status, problem.spec.code) for problem in Problem}
    assert told == PROMISED


@EACH
def test_a_code_lies_in_the_routers_own_range(problem: Problem) -> None:
    assert 9400 <= problem.spec.code < 9600


@EACH
def test_a_status_is_a_registered_error(problem: Problem) -> None:
    assert HTTPStatus(problem.spec.status) >= 400


def test_no_problem_is_a_401_which_would_log_clients_users_out() -> None:
    assert 401 not in {problem.spec.status for problem in Problem}


@EACH
def test_a_type_is_a_uri_of_the_slug(problem: Problem) -> None:
    assert problem.type == TYPE_BASE + problem.spec.slug


@EACH
def test_a_slug_is_made_of_words_and_hyphens(problem: Problem) -> None:
    assert re.fullmatch(r"[a-z]+(?:-[a-z]+)*", problem.spec.slug)


@EACH
def test_a_message_is_one_whole_sentence_at_least(problem: Problem) -> None:
    assert re.fullmatch(r"[A-Z][^\n]*\.", problem.spec.message)


@EACH
def test_only_what_passes_by_itself_says_when_to_come_back(problem: Problem) -> None:
    assert (problem.spec.retry_after is not None) is (problem.spec.status in {423, 503})


@pytest.mark.parametrize(
    "problem",
    [
        Problem.BAD_REQUEST,
        Problem.HEAD_TOO_LARGE,
        Problem.TARGET_TOO_LONG,
        Problem.BODY_TOO_LARGE,
        Problem.CLIENT_TOO_SLOW,
        Problem.NOT_IMPLEMENTED,
        Problem.VERSION_NOT_SUPPORTED,
    ],
)
def test_what_leaves_the_place_of_the_next_request_in_doubt_closes_the_connection(problem: Problem) -> None:
    assert problem.spec.closes


@pytest.mark.parametrize(
    "problem",
    [
        Problem.WORKSPACE_LOCKED,
        Problem.WORKSPACE_UNKNOWN,
        Problem.WORKSPACE_CONFLICT,
        Problem.AMBIGUOUS_PATH,
        Problem.DIRECTORY_UNAVAILABLE,
        Problem.CLIENT_BUSY,
        Problem.MISDIRECTED,
        Problem.NO_SERVICE,
    ],
)
def test_what_is_decided_on_a_sane_head_leaves_the_connection_open(problem: Problem) -> None:
    assert not problem.spec.closes


def test_every_fault_has_a_label_of_its_own() -> None:
    labels = [fault.label for fault in Fault]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.side is Side.REGION], ids=lambda f: f.label)
def test_a_fault_of_a_region_is_told_as_a_gateways_error(fault: Fault) -> None:
    assert fault.problem.spec.status in {502, 503, 504}


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.side is Side.CLIENT], ids=lambda f: f.label)
def test_a_fault_of_the_client_is_told_as_its_own(fault: Fault) -> None:
    assert 400 <= fault.problem.spec.status < 500


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault.side is Side.ROUTER], ids=lambda f: f.label)
def test_a_fault_of_the_router_is_never_blamed_on_the_client(fault: Fault) -> None:
    assert fault.problem.spec.status >= 500
