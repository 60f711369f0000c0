"""Logs hold ids and places in the code, and nothing of a patient."""

import ast
import io
import json
import logging
import uuid
from datetime import date
from pathlib import Path

import pytest
from django.http import HttpResponse

from core.logs import KEYS, OURS, LineFormatter, LineHandler, PlacesFormatter
from core.requests import RequestIdMiddleware
from messaging.channels import Failure

ROOT = Path(__file__).resolve().parents[2]
GRACE, NUMBER = "Grace Okafor", "+16175550143"


@pytest.fixture
def lines():
    """Everything logged from now on, as the clinic server's log has it."""
    stream = io.StringIO()
    handler = LineHandler(stream)
    handler.setFormatter(LineFormatter(as_json=True))
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)


def test_an_error_is_shown_by_kind_and_place_only():
    try:
        try:
            raise ValueError(NUMBER)
        except ValueError as cause:
            raise KeyError(GRACE) from cause
    except KeyError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "", 1, "message %s", (7,), (KeyError, error, None)
        )
    for shown in (
        PlacesFormatter().format(record),
        LineFormatter(as_json=False).format(record),
        LineFormatter(as_json=True).format(record),
    ):
        assert "builtins.KeyError" in shown
        assert "builtins.ValueError" in shown
        assert "test_logs.py" in shown
        assert "Grace" not in shown
        assert "617" not in shown


def test_a_line_of_ours_holds_numbers_and_the_keys_that_are_named(lines):
    ref = uuid.UUID(int=7)
    logging.getLogger("messaging.dispatch").warning(
        "message %s of %s: %s, %s",
        5,
        ref,
        Failure.BAD_ADDRESS,
        GRACE,
        extra={"code": "21211", "what": "message 5: sending", "note": GRACE},
    )
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": f"message 5 of {ref}: bad address, …",
        "level": "warning",
        "logger": "messaging.dispatch",
        "code": "21211",
        "what": "message 5: sending",
    }


@pytest.mark.parametrize(
    "value",
    [
        NUMBER,
        "6175550143",
        "1959-03-14",
        date(1959, 3, 14),
        "grace@harbour.example",
        [GRACE],
        {"name": GRACE},
        "she says that her knee hurts again",
        "Tomás\nSilva",
    ],
)
def test_even_under_a_named_key_content_is_hidden(lines, value):
    logging.getLogger("messaging.dispatch").warning("seen", extra={"what": value})
    (line,) = lines()
    assert line["what"] == "…"


def test_a_library_says_what_its_author_wrote_and_nothing_put_into_it(lines):
    library = logging.getLogger("urllib3.connectionpool")
    library.warning("Retrying %(left)s after %(error)s", {"left": 1, "error": GRACE})
    library.warning('%s "%s %s"', NUMBER, "GET", 200)
    library.warning(f"Cannot reach {NUMBER}")
    library.warning("Connection pool is full")
    assert [line["event"] for line in lines()] == [
        "Retrying … after …",
        '… "… …"',
        "…",
        "Connection pool is full",
    ]
    assert lines()[0]["at"].startswith("test_logs:")
    assert all("what" not in line for line in lines())


def test_a_name_that_only_begins_like_ours_is_a_library(lines):
    logging.getLogger("messaging_toolkit").warning("to %s", 6175550143)
    assert lines()[0]["event"] == "to …"


def test_a_line_that_cannot_be_made_says_only_that():
    class Unreadable:
        def __str__(self):
            raise RuntimeError(GRACE)

    shown = [
        LineFormatter(as_json=True).format(
            logging.LogRecord("accounts", logging.ERROR, "", 1, text, (GRACE,), None)
        )
        for text in (Unreadable(), "%d patients")
    ]
    assert [json.loads(line)["event"] for line in shown] == [
        "a line could not be made",
        "%d patients",
    ]
    assert "Grace" not in str(shown)


def test_a_full_disk_does_not_print_the_line_elsewhere(capsys):
    stream = io.StringIO()
    handler = LineHandler(stream)
    stream.close()
    handler.handle(logging.LogRecord("x", 40, "", 1, GRACE, (), None))
    assert "Grace" not in capsys.readouterr().err


def test_a_request_is_one_line_under_its_own_id(lines, rf):
    def page(request):
        logging.getLogger("patients").info("within")
        return HttpResponse(status=204)

    request = rf.get(f"/patients/?q={GRACE}", headers={"X-Request-ID": "forged"})
    answer = RequestIdMiddleware(page)(request)
    within, after = lines()
    assert within["request_id"] == after["request_id"] == answer["X-Request-ID"]
    assert len(answer["X-Request-ID"]) == 8
    assert after.pop("ms") >= 0
    assert {key: after[key] for key in ("event", "method", "address", "status")} == {
        "event": "request",
        "method": "GET",
        "address": "none",
        "status": 204,
    }
    logging.getLogger("patients").info("later")
    assert "request_id" not in lines()[-1]


@pytest.mark.django_db
def test_the_line_names_the_page_and_who_asked(lines, client, django_user_model):
    maya = django_user_model.objects.create(username="maya")
    client.force_login(maya)
    client.get("/healthz?token=secret")
    client.get("/nowhere/secret/")
    said = [line for line in lines() if line["event"] == "request"]
    assert [(line["address"], line["status"]) for line in said] == [
        ("healthz", 200),
        ("none", 404),
    ]
    assert said[0]["user_id"] == maya.pk
    assert "secret" not in str(lines())


def _calls(path: Path):
    """Yield what is given to a logger's method, called now or later (``partial``)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            words = [node.func, *node.args]
            for place, word in enumerate(words):
                if ast.unparse(word).startswith("logger."):
                    yield node.lineno, words[place + 1], node.keywords


SOURCES = [path for app in sorted(OURS) for path in (ROOT / app).rglob("*.py")]


def test_what_we_log_is_a_constant_text_under_named_keys():
    found = 0
    for path in SOURCES:
        for line, text, keywords in _calls(path):
            where = f"{path.name}:{line}"
            assert isinstance(text, ast.Constant), where
            for word in keywords:
                if word.arg == "extra":
                    keys = {key.value for key in word.value.keys}
                    assert keys <= KEYS, where
            found += 1
    assert found > 10


def test_what_is_skipped_is_named_by_its_id():
    """``logged(f"message {message.pk}: …")`` and nothing else of the message."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"logged", "persistently"}
            ):
                continue
            what = node.args[-1]
            for put in ast.walk(what):
                if isinstance(put, ast.FormattedValue):
                    name = ast.unparse(put.value)
                    assert name.endswith(("pk", "id", "key")), f"{path.name}: {name}"


def test_every_package_of_ours_is_known_to_the_logs():
    ours = {
        path.parent.name
        for path in ROOT.glob("*/__init__.py")
        if path.parent.name not in {"tests", "embedded"}
    }
    assert ours == OURS


def test_the_head_of_the_audits_chain_is_written_whole(lines):
    """It is the only copy outside the database."""
    head = "sha256:" + "0f" * 32
    logging.getLogger("accounts.audit.chain").info("sealed", extra={"head": head})
    assert lines()[0]["head"] == head
