"""Logs hold ids and places in the code, and nothing of a patient.

Every logger of the process ends here, those of libraries too. A line holds the keys
named below and no others. What our own code says is a constant text with numbers in
it; what a library says may quote an address, a number or a row, and is reduced to the
text as its author wrote it.
"""

import enum
import linecache
import logging
import re
import traceback
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

#: Every key a line may have. A new one is added here, and never for content.
KEYS = frozenset(
    {
        "timestamp",
        "level",
        "logger",
        "event",
        "at",  # where in a library: file and line
        "exception",  # kinds and places of an error, never its message
        "request_id",
        "task",
        "task_id",
        "user_id",
        "address",  # the name of an address: its path may hold a token
        "method",
        "status",
        "ms",
        "what",  # a row, by its id: "message 5: recording"
        "tick",
        "job",
        "message_id",
        "count",
        "head",  # the hash at the end of the audit's chain
        "failure",
        "code",
        "provider",
    }
)
#: Loggers of ours. They are trusted with a constant text and numbers, not with words.
OURS = frozenset(
    {
        "clinic_crm",
        "appointments",
        "messaging",
        "worklist",
        "patients",
        "accounts",
        "core",
    }
)
#: In place of what is not shown.
HIDDEN = "…"

#: What says nothing of anybody by its type alone. A date is not among them: people
#: are born on dates.
_PLAIN = (bool, int, float, uuid.UUID, datetime, timedelta, enum.Enum, type(None))
#: What a value of a key may look like: words of the code with numbers in them.
_WORDS = re.compile(
    r"[A-Za-z_][\w.:/-]*( [\w.:/-]+){0,4}|\d[\d.]{0,6}|[0-9a-f]{8}(-[0-9a-f]{4,12}){4}"
)
#: Keys whose text is made here or by logging, not by whoever logs.
_MADE_HERE = frozenset({"timestamp", "level", "logger", "event", "at", "exception"})
_PLACEHOLDER = re.compile(r"%(\(\w+\))?[#0 +-]*\d*(\.\d+)?[a-zA-Z]")


class PlacesFormatter(logging.Formatter):
    """Shows of an error its kind and where it was raised, but not its message.

    A database names the row that broke a constraint, and a parser the text it could
    not read: both may be a patient's.
    """

    def formatException(  # noqa: N802 - logging finds it by this name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return the traceback, and the kinds of the error and of its causes."""
        lines = []
        error = ei[1]
        while error is not None:
            lines.append("".join(traceback.format_tb(error.__traceback__)).rstrip())
            lines.append(f"{type(error).__module__}.{type(error).__qualname__}")
            error = error.__cause__ or error.__context__
        return "\n".join(lines)


class LineFormatter(structlog.stdlib.ProcessorFormatter):
    """Makes of every record one line of allowed keys; never raises.

    ``as_json`` renders for a machine; otherwise for a person at a terminal.
    """

    def __init__(self, *, as_json: bool) -> None:
        renderer: Processor = (
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if as_json
            else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
        )
        super().__init__(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _said,
            ],
            processors=[_allowed, renderer],
            pass_foreign_args=True,
            use_get_message=False,
        )

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; of a record that cannot be read, only whose it was."""
        try:
            return super().format(record)
        except Exception:
            # Logging itself would print the record with all that it holds.
            unread = logging.makeLogRecord(
                {
                    "name": "core.logs",
                    "levelno": logging.ERROR,
                    "levelname": "ERROR",
                    "msg": "a line could not be made",
                }
            )
            return super().format(unread)


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines to standard error, and keeps quiet about one it could not write."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name
        """Print nothing: logging's own way would print what the record holds."""


def _said(_logger: Any, _level: str, line: EventDict) -> EventDict:
    """Replace what a record says by what may be shown of it."""
    record: logging.LogRecord = line["_record"]
    args = line.get("positional_args")
    if record.name.split(".", 1)[0] in OURS:
        line["event"] = _with_numbers(str(record.msg), args)
        line.update({key: value for key, value in vars(record).items() if key in KEYS})
    else:
        line["event"] = _as_written(record, args)
        line["at"] = f"{record.module}:{record.lineno}"
    error = line.get("exc_info")
    if error and error[1] is not None:
        line["exception"] = PlacesFormatter().formatException(error)
    return line


def _with_numbers(text: str, args: Any) -> str:
    """Put numbers and ids into a text of ours, and nothing else that came with it."""
    if not args:
        return text
    shown: Any = (
        {key: _plain(value) for key, value in args.items()}
        if isinstance(args, Mapping)
        else tuple(_plain(value) for value in args)
    )
    try:
        return str(text % shown)
    except (TypeError, ValueError, KeyError):
        return text


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return value if isinstance(value, _PLAIN) else HIDDEN


def _as_written(record: logging.LogRecord, args: Any) -> str:
    """Return a library's text as its author wrote it, without what was put into it.

    One without placeholders may have been put together before it came here: it is
    shown only where it stands so in the source.
    """
    text = str(record.msg) if isinstance(record.msg, str) else ""
    if args:
        return _PLACEHOLDER.sub(HIDDEN, text)
    lines = linecache.getlines(record.pathname)
    return text if text and any(text in line for line in lines) else HIDDEN


def _allowed(_logger: Any, _level: str, line: EventDict) -> EventDict:
    """Keep the keys that are named, and hide what looks like content in them."""
    return {
        key: _value(key, value)
        for key, value in line.items()
        if key in KEYS and value is not None
    }


def _value(key: str, value: Any) -> Any:
    if key in _MADE_HERE:
        return value
    plain = _plain(value)
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        plain = value if _WORDS.fullmatch(value) else HIDDEN
    return str(plain) if isinstance(plain, uuid.UUID | datetime | timedelta) else plain
