"""Notices, messages, replies and work of the demo, kept in memory and written at once.

Texts are composed in the order in which they went out, by the product's own causes: so
an opt-out footer stands in the first text to a number, and a question gets the digits
that the ones before it left free.
"""

import random
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from appointments.models import Appointment
from clinic_crm.demo.diary import Visit
from clinic_crm.demo.scribe import Line, Scribe
from messaging.models import (
    Conversation,
    CurrentSuppression,
    Message,
    Notice,
    NoticeMessage,
    Question,
    Suppression,
)
from messaging.purposes import PURPOSES, RANKS
from patients.models import Channel, Patient
from worklist.models import WorkEvent, WorkItem

#: Every message of the demo came and went by the simulated phone and mailbox.
PROVIDER = "simulated"
_OUT, _IN = Message.Direction.OUT, Message.Direction.IN
_MS = Message.State
_NEVER_LEFT = (_MS.QUEUED, _MS.CLAIMED, _MS.WITHDRAWN)
_NO_ID = (*_NEVER_LEFT, _MS.SUBMITTING, _MS.UNKNOWN, _MS.FAILED)


class Ledger:
    """What was promised, said, heard and done. Nothing is stored before ``save``."""

    def __init__(self, now: datetime, seed: int) -> None:
        self.now = now
        self._rng = random.Random(f"ledger:{seed}")  # noqa: S311 - a demo, no secret
        self._lines: list[Line] = []
        self._notices: list[tuple[Notice, Callable[[], str]]] = []
        self._items: list[tuple[WorkItem, Callable[[], tuple[int, str]]]] = []
        self._work_events: list[WorkEvent] = []
        self._suppressions: list[Suppression] = []
        self._conversations: dict[int | str, Conversation] = {}
        self._ended: dict[int, datetime] = {}

    def owe(
        self,
        visit: Visit,
        purpose: str,
        template_key: str,
        *,
        at: datetime,
        deadline: datetime,
        key: str = "",
        version: int = 0,
        **fields: Any,
    ) -> Notice:
        """Promise the patient, or who answers for them, a word about a visit."""
        known, row = visit.known, visit.row
        version = version or row.version
        notice = Notice(
            purpose=purpose,
            template_key=template_key,
            patient=None if known.guardian else known.patient,
            contact_person=known.guardian,
            about_patient=known.patient,
            cause_kind="appointment",
            cause_id=row.pk,
            cause_version=version,
            zone=known.patient.zone or row.zone,
            not_before=at,
            deadline=deadline,
            matters=PURPOSES[purpose].matters,
            **({"created_at": at, "state": Notice.State.REACHED} | fields),
        )
        key = f"visit:{row.pk}:v{version}:{key or template_key}"
        self._notices.append((notice, lambda: key))
        return notice

    def echo(
        self,
        visit: Visit,
        template_key: str,
        heard: Line,
        *,
        version: int = 0,
        sent: Message.State = _MS.DELIVERED,
    ) -> Line:
        """Say in words what an answer did, to where it came from."""
        at = heard.message.at + timedelta(seconds=4)
        row = visit.row
        notice = Notice(
            purpose="reply",
            template_key=template_key,
            address=heard.message.address,
            about_patient=visit.known.patient,
            cause_kind="appointment",
            cause_id=row.pk,
            cause_version=version or row.version,
            zone=row.zone,
            not_before=at,
            deadline=at + timedelta(hours=12),
            matters=False,
            state=Notice.State.REACHED,
            reached_at=at + timedelta(seconds=2),
            created_at=at,
        )
        self._notices.append(
            (
                notice,
                lambda: f"reply:{heard.message.pk}:{row.pk}:{template_key}",
            )
        )
        return self.text([notice], heard.message.address, at=at, state=sent)

    def emergency(self, heard: Line, *, zone: str, body: str) -> Line:
        """Answer what may be an emergency."""
        at = heard.message.at + timedelta(seconds=3)
        notice = Notice(
            purpose="emergency_reply",
            template_key="emergency_reply",
            address=heard.message.address,
            about_patient=heard.message.patient,
            cause_kind="message",
            zone=zone,
            not_before=at,
            deadline=at + timedelta(hours=1),
            matters=False,
            state=Notice.State.REACHED,
            reached_at=at + timedelta(seconds=2),
            created_at=at,
        )

        def key() -> str:
            notice.cause_id = heard.message.pk
            return f"emergency_reply:{heard.message.pk}"

        self._notices.append((notice, key))
        return self.text([notice], heard.message.address, at=at, body=body)

    def answers_end(self, visit: Visit) -> None:
        """Let answers to what was asked about a visit mean nothing from its end on."""
        if visit.ended_at:
            self._ended[visit.row.pk] = visit.ended_at

    def text(
        self,
        notices: Sequence[Notice],
        address: str,
        *,
        at: datetime,
        channel: Channel = Channel.SMS,
        state: Message.State = _MS.DELIVERED,
        body: str = "",
        patient: Patient | None = None,
        **fields: Any,
    ) -> Line:
        """Write a message that carries ``notices``; without a body, as causes say."""
        about = notices[0].about_patient if notices else patient
        left = state not in _NEVER_LEFT
        ref = self._uuid()
        has_id = state not in _NO_ID
        message = Message(
            ref=ref,
            direction=_OUT,
            patient=about,
            channel=channel,
            address=address,
            body=body,
            state=state,
            rank=RANKS.get(state, 0),
            attempts=1 if left else 0,
            deadline=min((n.deadline for n in notices), default=None),
            submitting_at=at if left else None,
            accepted_at=at + timedelta(seconds=1) if has_id else None,
            provider=PROVIDER if left else "",
            provider_id=f"SIM{ref}" if has_id else "",
            **({"not_before": at, "at": at} | fields),
        )
        line = Line(message, list(notices))
        self._lines.append(line)
        return line

    def hear(
        self,
        address: str,
        *,
        at: datetime,
        body: str = "",
        patient: Patient | None = None,
        answers: Line | None = None,
        meaning: str = "",
        note: str = "",
        waits: bool = False,
    ) -> Line:
        """Write a reply. One that ``answers`` begins with the digit of ``meaning``."""
        if answers:
            patient = answers.message.patient
        message = Message(
            ref=self._uuid(),
            direction=_IN,
            patient=patient,
            channel=Channel.SMS,
            address=address,
            body=body,
            state=_MS.RECEIVED,
            not_before=at,
            handled_at=at + timedelta(seconds=2),
            note=note or meaning,
            provider=PROVIDER,
            at=at,
        )
        message.provider_id = f"SIM{message.ref}"
        line = Line(message, answers=answers, meaning=meaning, waits=waits)
        self._lines.append(line)
        return line

    def suppress(self, heard: Line, cause: str) -> None:
        """Let nothing go to where a text came from."""
        message = heard.message
        self._suppressions.append(
            Suppression(
                address=message.address,
                channel=message.channel,
                on=True,
                cause=cause,
                message=message,
                at=message.at + timedelta(seconds=2),
            )
        )

    def item(
        self,
        kind: str,
        reason: str | dict[str, Any],
        *,
        subject: Notice | Message | Appointment,
        severity: WorkItem.Severity = WorkItem.Severity.AMBER,
        opened: datetime,
        due: datetime,
        patient: Patient | None,
        site: Any,
    ) -> WorkItem:
        """Put something before the staff; ``reason`` alone or with its places."""
        why = {"reason": reason} if isinstance(reason, str) else reason
        item = WorkItem(
            kind=kind,
            severity=severity,
            **why,
            patient=patient,
            subject_kind=type(subject).__name__.lower(),
            site=site,
            opened_at=opened,
            due_at=due,
        )
        version = f":v{subject.version}" if isinstance(subject, Appointment) else ""
        self._items.append(
            (item, lambda: (subject.pk, f"{kind}:{subject.pk}{version}"))
        )
        self._did(item, "opened", opened)
        return item

    def claim(self, item: WorkItem, by: Any, at: datetime) -> None:
        """Let somebody take an item on."""
        item.owner = by
        self._did(item, "claimed", at, by=by)

    def close(
        self, item: WorkItem, outcome: str, by: Any, at: datetime, note: str = ""
    ) -> None:
        """Let somebody end an item."""
        item.outcome, item.closed_by, item.closed_at = outcome, by, at
        self._did(item, f"closed: {outcome}", at, by=by, note=note)

    def _did(
        self, item: WorkItem, what: str, at: datetime, by: Any = None, note: str = ""
    ) -> None:
        self._work_events.append(
            WorkEvent(item=item, what=what, by=by, at=at, note=note)
        )

    def save(self) -> None:
        """Compose every text in order, then write table after table."""
        self._lines.sort(key=lambda line: line.message.at)
        Scribe(self._ended).write(self._lines)
        self._save_conversations()
        heard = [line.message for line in self._lines if line.message.direction == _IN]
        Message.objects.bulk_create(heard)
        for notice, key in self._notices:
            notice.dedupe_key = key()
        Notice.objects.bulk_create(notice for notice, _key in self._notices)
        said = [line.message for line in self._lines if line.message.direction == _OUT]
        # A message that was sent again must have its number before the second one.
        Message.objects.bulk_create(m for m in said if m.resend_of is None)
        Message.objects.bulk_create(m for m in said if m.resend_of is not None)
        NoticeMessage.objects.bulk_create(
            NoticeMessage(notice=notice, message=line.message)
            for line in self._lines
            for notice in line.notices
        )
        Question.objects.bulk_create(
            line.question for line in self._lines if line.question
        )
        self._save_work()
        Suppression.objects.bulk_create(self._suppressions)
        CurrentSuppression.objects.bulk_create(
            CurrentSuppression(address=s.address, channel=s.channel, suppression=s)
            for s in self._suppressions
        )

    def _save_conversations(self) -> None:
        for line in self._lines:
            message = line.message
            who: int | str = message.patient_id or message.address
            conversation = self._conversations.setdefault(
                who,
                Conversation(
                    patient=message.patient,
                    address=None if message.patient_id else message.address,
                ),
            )
            message.conversation = conversation
            if message.direction == _IN or message.accepted_at:
                conversation.last_message_at = message.at
            if line.waits:
                conversation.state = Conversation.State.WAITING
                conversation.waiting_since = conversation.waiting_since or message.at
            elif conversation.waiting_since and not line.notices:
                # Somebody wrote back by hand.
                conversation.state = Conversation.State.DONE
                conversation.waiting_since = None
        Conversation.objects.bulk_create(self._conversations.values())

    def _save_work(self) -> None:
        for item, subject in self._items:
            item.subject_id, item.dedupe_key = subject()
        WorkItem.objects.bulk_create(item for item, _subject in self._items)
        self._work_events.sort(key=lambda event: event.at)
        WorkEvent.objects.bulk_create(self._work_events)

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self._rng.getrandbits(128), version=4)
