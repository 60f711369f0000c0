"""A small IMAP server on loopback: one folder, real sockets, the commands we use."""

import base64
import re
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Self, cast

from django.utils import timezone

USER, PASSWORD = "clinic@example.org", "pass word/é"


@dataclass
class StoredMail:
    """A mail in the folder."""

    uid: int
    raw: bytes
    at: datetime
    flags: set[str] = field(default_factory=set)


class ImapServer:
    """An IMAP server with an INBOX.

    Use as a context manager. ``renumber`` plays a server that begins its numbers anew;
    ``stop`` and ``start`` an outage on the same port. Set ``password`` to another one,
    ``cut_at`` to the name of a command that cuts the connection, or ``hang_at`` to one
    that is never answered. ``fetched`` counts the bytes of mails handed out.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        """Prepare the server; it listens only once started."""
        self.port = 0
        self.password = PASSWORD
        self.uid_validity = 1
        self.next_uid = 1
        self.mails: list[StoredMail] = []
        self.cut_at = ""
        self.hang_at = ""
        self.fetched = 0
        self.commands: list[str] = []
        self._server: socketserver.ThreadingTCPServer | None = None
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """The address in the form the MAIL_IN_URL setting takes."""
        return f"imap://clinic%40example.org:pass%20word%2F%C3%A9@{self.host}:{self.port}/INBOX"

    def start(self) -> Self:
        """Listen, from now on, on a port that stays the same."""

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            imap = self

        self._server = Server((self.host, self.port), _Session)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()
        return self

    def stop(self) -> None:
        """Stop listening and cut every open connection."""
        if self._server is None:
            return
        self._server.shutdown()
        for connection in list(self._open):
            connection.close()
        self._server.server_close()
        self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def put(self, mail: EmailMessage | bytes, at: datetime | None = None) -> int:
        """Put a mail into the folder; return its number."""
        raw = mail if isinstance(mail, bytes) else mail.as_bytes()
        raw = re.sub(rb"\r?\n", b"\r\n", raw)
        stored = StoredMail(self.next_uid, raw, at or timezone.now())
        self.mails.append(stored)
        self.next_uid += 1
        return stored.uid

    def renumber(self) -> None:
        """Begin the numbers anew, as after a server was moved."""
        self.uid_validity += 1
        for uid, mail in enumerate(self.mails, 1):
            mail.uid = uid
        self.next_uid = len(self.mails) + 1


class _Session(socketserver.StreamRequestHandler):
    """One connection."""

    @property
    def imap(self) -> ImapServer:
        return cast(ImapServer, cast(Any, self.server).imap)

    def handle(self) -> None:
        self.imap._open.add(self.connection)
        try:
            self._say(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready")
            while line := self.rfile.readline():
                tag, _blank, command = line.decode().strip().partition(" ")
                if not self._answer(tag, command):
                    break
        except (OSError, ValueError):
            pass
        finally:
            self.imap._open.discard(self.connection)

    def _say(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")

    def _answer(self, tag: str, command: str) -> bool:
        words = command.split()
        name = " ".join(words[:2] if words[0].upper() == "UID" else words[:1]).upper()
        self.imap.commands.append(name)
        if name == self.imap.cut_at:
            self.connection.shutdown(socket.SHUT_RDWR)
            return False
        if name == self.imap.hang_at:
            self.rfile.readline()
            return False
        handler = getattr(self, "_" + name.replace(" ", "_").lower(), None)
        verdict = handler(command) if handler else "BAD unknown"
        self._say(f"{tag} {verdict or 'OK done'}".encode())
        return name != "LOGOUT"

    def _capability(self, command: str) -> None:
        self._say(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN")

    def _login(self, command: str) -> str | None:
        user, password = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', command)[1:3]
        return self._enter(user[0] or user[1], password[0] or password[1])

    def _authenticate(self, command: str) -> str | None:
        self._say(b"+ ")
        said = base64.b64decode(self.rfile.readline()).decode().split("\0")
        return self._enter(said[1], said[2])

    def _enter(self, user: str, password: str) -> str | None:
        right = (user, password) == (USER, self.imap.password)
        return None if right else "NO [AUTHENTICATIONFAILED] wrong"

    def _select(self, command: str) -> None:
        for line in (
            f"{len(self.imap.mails)} EXISTS",
            f"OK [UIDVALIDITY {self.imap.uid_validity}] numbers",
            f"OK [UIDNEXT {self.imap.next_uid}] next",
        ):
            self._say(f"* {line}".encode())

    def _uid_search(self, command: str) -> None:
        if found := re.search(r"SINCE (\S+?)\)?$", command):
            day = datetime.strptime(found[1], "%d-%b-%Y").replace(tzinfo=UTC)
            uids = [m.uid for m in self.imap.mails if m.at >= day]
        else:
            first = int(re.search(r"UID (\d+):", command)[1])  # type: ignore[index]
            uids = [m.uid for m in self.imap.mails if m.uid >= first]
            # As RFC 3501 has it: the last one is always in "n:*".
            uids = uids or [m.uid for m in self.imap.mails[-1:]]
        self._say(("* SEARCH " + " ".join(map(str, uids))).strip().encode())

    def _uid_fetch(self, command: str) -> None:
        uid, most = re.search(  # type: ignore[union-attr]
            r"(\d+) \(BODY\.PEEK\[\]<0\.(\d+)>\)", command
        ).groups()
        for number, mail in enumerate(self.imap.mails, 1):
            if mail.uid == int(uid):
                part = mail.raw[: int(most)]
                self.imap.fetched += len(part)
                head = f"* {number} FETCH (UID {uid} BODY[]<0> {{{len(part)}}}\r\n"
                self.wfile.write(head.encode() + part + b")\r\n")

    def _uid_store(self, command: str) -> None:
        numbers, flag = re.search(r"STORE (\S+) \+FLAGS \((\S+)\)", command).groups()  # type: ignore[union-attr]
        for mail in self.imap.mails:
            if str(mail.uid) in numbers.split(","):
                mail.flags.add(flag)

    def _logout(self, command: str) -> None:
        self._say(b"* BYE")
