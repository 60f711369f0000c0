"""What comes by email: kept once, in the right place, and believed in nothing."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.message import EmailMessage

import pytest
from django.db import connection

from accounts.models import Heartbeat
from accounts.roles import Role
from accounts.ticks import run_pass
from messaging import mail_in, mails
from messaging.mail_in import AUTOMATIC, OURS, UNREADABLE, read_mailbox
from messaging.models import (
    Conversation,
    CurrentSuppression,
    Mailbox,
    Message,
    Notice,
    Question,
)
from patients.models import Consent, ContactPoint
from tests.factories import booked, member_of_staff, patient
from tests.fakes.imap import ImapServer
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

TOMORROW_10 = datetime(2026, 11, 24, 10)
GRACE = "grace@example.com"


@pytest.fixture
def imap(settings, monday):
    """The mailbox for answers, with plus addresses."""
    with ImapServer() as server:
        settings.MAIL_IN_URL = server.url
        settings.MAIL_IN_ADDRESS = "clinic@harbour.example"
        yield server


@pytest.fixture
def grace():
    return patient(phone="", email=GRACE)


@pytest.fixture
def sent(grace, mailbox, imap):
    """The mail Grace got about her visit."""
    booked(grace, at=TOMORROW_10)
    run_pass()
    [mail] = mailbox.messages
    return mail


def mail(text="I have a question", *, to="clinic@harbour.example", **headers):
    message = EmailMessage()
    message["From"] = headers.pop("From", f"Grace <{GRACE}>")
    message["To"] = to
    message["Subject"] = headers.pop("Subject", "Re: Your visit")
    message["Message-ID"] = headers.pop("Message_ID", "<1@mail.example>")
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


def look(monday) -> int:
    """Look into the mailbox a minute later."""
    monday.shift(61)
    return read_mailbox()


def received() -> Message:
    return Message.objects.get(direction="in")


def test_without_a_mailbox_nothing_is_read(monday):
    assert read_mailbox() == 0
    assert not Heartbeat.objects.filter(key="mail_in").exists()


def test_an_answer_is_kept_in_the_conversation_and_waits_for_us(
    imap, sent, grace, monday
):
    imap.put(mail("Where do I park?", to=sent["Reply-To"]))
    monday.shift(61)
    run_pass()
    run_pass()
    message = received()
    assert (message.patient, message.address) == (grace, GRACE)
    assert (message.subject, message.body) == ("Re: Your visit", "Where do I park?")
    assert (message.encoding, message.segments) == ("UTF-8", 0)
    assert message.conversation == Conversation.objects.get(patient=grace)
    assert message.conversation.state == Conversation.State.WAITING
    assert imap.mails[0].flags == {r"\Seen"}


def test_it_is_read_once_a_minute_and_each_mail_once(imap, monday):
    imap.put(mail())
    assert read_mailbox() == 1
    imap.put(mail(Message_ID="<2@mail.example>"))
    monday.shift(59)
    assert read_mailbox() == 0
    monday.shift(2)
    assert read_mailbox() == 1
    assert look(monday) == 0
    assert Message.objects.count() == 2


def test_what_was_sent_twice_is_one(imap, monday):
    imap.put(mail())
    imap.put(mail())
    read_mailbox()
    assert Message.objects.count() == 1


def test_another_mail_under_the_same_message_id_is_not_lost(imap, monday):
    imap.put(mail("First"))
    imap.put(mail("Second"))
    imap.put(mail("Second"))
    read_mailbox()
    said = Message.objects.order_by("id").values_list("body", flat=True)
    assert list(said) == ["First", "Second"]


def test_a_mail_without_a_message_id_is_one_too(imap, monday):
    letter = mail()
    del letter["Message-ID"]
    imap.put(letter)
    imap.renumber()
    read_mailbox()
    imap.renumber()
    look(monday)
    assert Message.objects.count() == 1


def test_an_erased_mail_is_not_read_in_again(imap, monday):
    imap.put(mail())
    read_mailbox()
    Message.objects.update(body="", address="")
    imap.renumber()
    look(monday)
    assert Message.objects.count() == 1


def test_numbers_that_begin_anew_lose_nothing(imap, monday):
    for n in range(3):
        imap.put(mail(Message_ID=f"<{n}@mail.example>"))
    read_mailbox()
    del imap.mails[0]
    imap.put(mail("New", Message_ID="<new@mail.example>"))
    imap.renumber()
    look(monday)
    assert Message.objects.count() == 4
    assert Mailbox.objects.get().uid_validity == 2


def test_of_an_old_mailbox_only_the_last_days_are_taken_in(imap, monday):
    for days in (400, 30, 8, 6):
        imap.put(
            mail(f"{days}", Message_ID=f"<{days}@mail.example>"),
            at=mail_in.timezone.now() - timedelta(days=days),
        )
    read_mailbox()
    assert received().body == "6"


def test_an_empty_old_mailbox_begins_at_its_end(imap, monday):
    imap.put(mail(), at=mail_in.timezone.now() - timedelta(days=30))
    read_mailbox()
    imap.put(mail("New", Message_ID="<2@mail.example>"))
    look(monday)
    assert received().body == "New"


def test_one_look_takes_so_many_and_the_next_the_rest(imap, monday, monkeypatch):
    monkeypatch.setattr(mail_in, "MOST", 2)
    for n in range(5):
        imap.put(mail(Message_ID=f"<{n}@mail.example>"))
    assert [read_mailbox(), look(monday), look(monday), look(monday)] == [2, 2, 1, 0]


@pytest.mark.parametrize("trouble", ["password", "cut", "hang", "away"])
def test_a_mailbox_out_of_reach_tells_somebody_and_loses_nothing(
    imap, monday, monkeypatch, trouble
):
    read_mailbox()
    imap.put(mail())
    if trouble == "password":
        imap.password = "another"
    elif trouble == "cut":
        imap.cut_at = "UID FETCH"
    elif trouble == "hang":
        imap.hang_at = "SELECT"
        monkeypatch.setattr(mail_in, "TIMEOUT", 0.2)
    else:
        imap.stop()
    assert look(monday) == 0
    assert not WorkItem.objects.exists()
    monday.shift(timedelta(minutes=15))
    for _time in range(2):
        assert look(monday) == 0
    item = WorkItem.objects.open().get()
    assert item.kind == "mailbox"
    imap.password, imap.cut_at, imap.hang_at = "pass word/é", "", ""
    monkeypatch.setattr(mail_in, "TIMEOUT", 8)
    if trouble == "away":
        imap.start()
    assert look(monday) == 1
    assert not WorkItem.objects.open().exists()


def test_a_mail_of_twenty_megabytes_is_read_to_its_text(imap, monday):
    letter = mail("My cut leaks")
    letter.add_attachment(
        b"\0" * 15_000_000, maintype="video", subtype="mp4", filename="cut.mp4"
    )
    imap.put(letter)
    read_mailbox()
    assert (received().body, received().media_count) == ("My cut leaks", 1)
    assert imap.fetched == mail_in.MOST_BYTES


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"no headers at all",
        b"\0\xff\xfe\0" * 1000,
        b"From: \r\n\r\nx",
        b"From: a@b, c@d\r\nTo: ;;;\r\n\r\nx\0y",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xe9",
        b"Content-Type: text/plain; charset=idna\r\n\r\n\xe9",
        b"Content-Type: text/plain; charset=rot13\r\n\r\nabc",
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xff\xfe\xed\xa0\x80",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhalf",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Transfer-Encoding: base64\r\n\r\n====not base64",
        b"Subject: =?utf-8?b?broken?=\r\n =?x?q?y?=\r\n\r\nx",
        b"Message-ID: <" + b"x" * 5000 + b">\r\n\r\nx",
        b"From: " + b"x" * 5000 + b"@example.com\r\n\r\nx",
        b"To: " + b"a@b.example, " * 5000 + b"\r\n\r\nx",
        b"References: " + b"<x@y> " * 5000 + b"\r\n\r\nx",
        b"In-Reply-To: <00000000-0000-0000-0000-000000000000@x>\r\n\r\nx",
        b"\xc3\x28: \xc3\x28\r\nFrom: \xc3\x28@\xc3\x28\r\n\r\nx",
        b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nx",
    ],
)
def test_whatever_comes_the_next_mail_is_read(imap, monday, raw):
    imap.put(raw)
    imap.put(mail("Next", Message_ID="<next@mail.example>"))
    read_mailbox()
    run_pass()
    run_pass()
    assert Message.objects.filter(body="Next").count() == 1
    assert not Message.objects.filter(direction="in", handled_at=None).exists()


def test_a_mail_that_breaks_our_reading_is_put_before_a_person(
    imap, monday, monkeypatch
):
    def broken(*_args):
        raise RuntimeError

    monkeypatch.setattr(mail_in, "read_mail", broken)
    imap.put(mail())
    assert read_mailbox() == 1
    run_pass()
    message = received()
    assert (message.note, message.address) == (UNREADABLE, mails.NOBODY)
    assert message.conversation.state == Conversation.State.WAITING


def test_html_alone_is_read_as_text(imap, monday):
    letter = EmailMessage()
    letter["From"], letter["Message-ID"] = GRACE, "<1@mail.example>"
    letter.set_content(
        "<html><head><title>x</title><style>p{}</style></head><body><p>My cut "
        "<b>leaks</b></p><script>alert(1)</script><blockquote>You have<br>a visit"
        "</blockquote><img src='https://spy.example/x.gif'></body></html>",
        subtype="html",
    )
    imap.put(letter)
    read_mailbox()
    assert received().body == "My cut leaks\n> You have\n> a visit"


@pytest.mark.parametrize(
    "piece",
    ["<", "<!--", "<![", "<a ", "<a b='", "&", "</", "<!", "<script>", "<p x", "</a "],
)
def test_no_page_takes_long(piece):
    page = piece * (mail_in.MOST_BYTES // len(piece))
    began = time.process_time()
    mails._from_html(page)
    assert time.process_time() - began < 2


def test_a_long_mail_is_kept_to_its_first_ten_thousand_letters(imap, monday):
    imap.put(mail("é" * 12_000))
    read_mailbox()
    assert len(received().body) == 10_000


@pytest.mark.parametrize("header", ["In-Reply-To", "References"])
def test_a_message_id_of_ours_finds_the_conversation(imap, sent, grace, monday, header):
    named = f"<other@x.example> {sent['Message-ID']}"
    imap.put(mail(From="Leo <leo@example.org>", **{header.replace("-", "_"): named}))
    look(monday)
    assert received().patient == grace


def test_the_token_counts_more_than_what_a_mail_says(imap, sent, grace, monday):
    leo = patient("Leo", phone="", email="leo@example.org")
    booked(leo, at=TOMORROW_10 + timedelta(hours=1))
    run_pass()
    other = Message.objects.get(address="leo@example.org")
    imap.put(
        mail(to=sent["Reply-To"], In_Reply_To=f"<{other.ref}@harbour.example>"),
    )
    look(monday)
    assert received().patient == grace


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.replace("+r", "+b"),
        lambda a: a.replace("@", "x@"),
        lambda a: a[:20] + ("a" if a[20] != "a" else "b") + a[21:],
    ],
)
def test_a_token_we_did_not_sign_finds_nothing(imap, sent, monday, change):
    imap.put(mail(From="eve@example.org", to=change(sent["Reply-To"])))
    look(monday)
    assert received().patient is None


def test_a_token_survives_capitals_and_a_new_key(imap, sent, grace, monday, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    imap.put(mail(to=sent["Reply-To"].upper()))
    look(monday)
    assert received().patient == grace


def test_from_and_subject_put_no_words_into_a_patients_mouth(imap, sent, grace, monday):
    imap.put(mail("This is Grace, cancel my visit", Subject=sent["Subject"]))
    monday.shift(61)
    run_pass()
    run_pass()
    message = received()
    assert message.patient is None
    assert message.conversation.address == GRACE
    assert message.conversation.state == Conversation.State.WAITING


def test_an_email_answers_no_question_and_gives_no_consent(imap, sent, grace, monday):
    before = Consent.objects.count()
    for n, words in enumerate(["1", "YES", "C", "START"]):
        imap.put(mail(words, to=sent["Reply-To"], Message_ID=f"<{n}@mail.example>"))
    monday.shift(61)
    run_pass()
    run_pass()
    assert not Question.objects.exclude(answer="").exists()
    assert Consent.objects.count() == before
    assert not CurrentSuppression.objects.exists()
    assert Conversation.objects.get(patient=grace).state == Conversation.State.WAITING


def test_start_by_email_lifts_nothing(imap, sent, monday):
    imap.put(mail("STOP", to=sent["Reply-To"]))
    imap.put(mail("START", to=sent["Reply-To"], Message_ID="<2@mail.example>"))
    monday.shift(61)
    run_pass()
    run_pass()
    assert CurrentSuppression.objects.filter(address=GRACE, channel="email").exists()


def test_stop_above_our_quoted_words_closes_the_address(imap, sent, monday):
    imap.put(
        mail(
            "STOP\n\nOn Mon, Nov 23, 2026 at 9:00 AM Harbour wrote:\n> 1 come\n",
            to=sent["Reply-To"],
        )
    )
    monday.shift(61)
    run_pass()
    run_pass()
    assert CurrentSuppression.objects.filter(address=GRACE, channel="email").exists()


def test_stop_from_another_address_closes_the_one_we_wrote_to(imap, sent, monday):
    imap.put(mail("stop", From="g@work.example", to=sent["Reply-To"]))
    monday.shift(61)
    run_pass()
    run_pass()
    closed = CurrentSuppression.objects.values_list("address", flat=True)
    assert set(closed) == {GRACE, "g@work.example"}


def test_a_danger_in_an_email_is_put_before_a_person(imap, sent, grace, monday):
    imap.put(mail("I have chest pain and cannot breathe", to=sent["Reply-To"]))
    monday.shift(61)
    run_pass()
    run_pass()
    assert WorkItem.objects.open().get(kind="red_flag").patient == grace
    assert not Notice.objects.filter(purpose="emergency_reply").exists()


def test_staff_read_the_words_first_and_the_whole_below(
    imap, sent, grace, monday, client
):
    letter = mail(
        "Where do I park?\n\nOn Nov 23, 2026 at 9:00 AM Harbour wrote:\n> Hi <b>\n",
        to=sent["Reply-To"],
    )
    letter.add_attachment(b"x", maintype="image", subtype="png", filename="x.png")
    imap.put(letter)
    monday.shift(61)
    run_pass()
    run_pass()
    client.force_login(member_of_staff("maya", Role.NURSE))
    conversation = Conversation.objects.get(patient=grace)
    page = client.get(f"/inbox/{conversation.pk}/").content.decode()
    words, whole = page.split("The whole email", 1)
    assert "Where do I park?" in words
    assert "&gt; Hi" not in words.split("Where do I park?")[1]
    assert "&gt; Hi &lt;b&gt;" in whole
    assert "1 attachment, in the mailbox" in whole


def test_what_we_quoted_is_no_danger(imap, sent, monday):
    imap.put(
        mail(
            "Thank you\n\nOn Mon, Nov 23, 2026 at 9:00 AM Harbour wrote:\n"
            "> With chest pain call 911.\n",
            to=sent["Reply-To"],
        )
    )
    monday.shift(61)
    run_pass()
    run_pass()
    assert not WorkItem.objects.filter(kind="red_flag").exists()


@pytest.mark.parametrize(
    "header",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-generated; x=y"},
        {"Precedence": "bulk"},
        {"Precedence": "auto_reply"},
        {"Precedence": "List"},
        {"X_Auto_Response_Suppress": "OOF, AutoReply"},
        {"Return_Path": "<>"},
    ],
)
def test_what_a_machine_wrote_is_set_aside(imap, sent, grace, monday, header):
    imap.put(mail("I am away until Monday.", to=sent["Reply-To"], **header))
    monday.shift(61)
    run_pass()
    run_pass()
    message = received()
    assert message.handled_at
    assert (message.note, message.patient) == (AUTOMATIC, grace)
    assert Conversation.objects.get(patient=grace).state == Conversation.State.QUIET
    assert Message.objects.filter(direction="out").count() == 1


def test_a_vacation_notice_at_the_envelopes_address_is_no_bounce(imap, sent, monday):
    imap.put(mail("Away", to=sent.mail_from, Auto_Submitted="auto-replied"))
    look(monday)
    assert received().note == AUTOMATIC
    assert Message.objects.get(direction="out").state == Message.State.ACCEPTED


@pytest.mark.parametrize(
    "header", [{"Auto_Submitted": "no"}, {"X_Auto_Response_Suppress": "None"}]
)
def test_what_a_person_wrote_is_not(imap, sent, monday, header):
    imap.put(mail(to=sent["Reply-To"], **header))
    look(monday)
    assert (received().note, received().handled_at) == ("", None)


def test_a_machine_that_speaks_of_danger_is_read_by_a_person(imap, sent, monday):
    imap.put(mail("I have chest pain", to=sent["Reply-To"], Precedence="bulk"))
    monday.shift(61)
    run_pass()
    run_pass()
    assert WorkItem.objects.open().filter(kind="red_flag").exists()


def test_our_own_mail_in_the_mailbox_is_no_answer(imap, sent, monday):
    imap.put(sent.as_bytes())
    look(monday)
    message = received()
    assert message.note == OURS
    assert message.handled_at


def test_an_address_is_taken_in_small_letters(imap, monday):
    imap.put(mail(From="Grace <Grace@Example.COM>"))
    read_mailbox()
    assert received().address == GRACE
    assert not ContactPoint.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_several_workers_one_looks(imap):
    imap.put(mail())
    Heartbeat.objects.create(
        key="mail_in", at=mail_in.timezone.now() - timedelta(minutes=2)
    )

    def work(_n) -> int:
        try:
            return read_mailbox()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(work, range(6))) == 1
    assert Message.objects.count() == 1
    assert imap.commands.count("SELECT") == 1
