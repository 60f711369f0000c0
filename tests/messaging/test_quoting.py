"""What somebody wrote themselves in a mail, and what they only quote."""

import time

import pytest

from messaging.quoting import own_words

GMAIL = (
    "I cannot come.\n\n"
    "On Mon, Nov 23, 2026 at 9:00 AM Harbour Clinic <clinic@harbour.example>\nwrote:\n"
    "> You have a visit.\n> Text STOP to end texts.\n"
)
OUTLOOK = (
    "I cannot come.\n\nFrom: Harbour Clinic\nSent: Monday\nTo: Grace\n"
    "Subject: Your visit\n\nYou have a visit.\n"
)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (GMAIL, "I cannot come."),
        (OUTLOOK, "I cannot come."),
        (
            "No puedo ir\n\nEl lun, 23 nov 2026 a las 9:00, Harbour Clinic "
            "(<clinic@harbour.example>) escribió:\n\n> Tiene una cita.",
            "No puedo ir",
        ),
        ("No puedo\n\nDe: Harbour\nEnviado el: lunes\nPara: Ana\n\nCita", "No puedo"),
        ("STOP\n\n-- \nGrace Okafor\n617 555 0143", "STOP"),
        ("1\n\nSent from my iPhone", "1"),
        ("1\n\nEnviado desde mi iPhone", "1"),
        ("-----Original Message-----\nYou have a visit.", None),
        # Words between quoted lines, and below them, are theirs.
        ("> Can you come?\nYes, but my cut leaks\n> Bye", "Yes, but my cut leaks"),
        # What only begins like a quote is theirs, too.
        (
            "On Tuesday my cut opened\nand it bleeds.\n\n"
            "On Mon, Nov 23, 2026 at 9:00 AM Harbour <c@h.example> wrote:\n> Hello",
            "On Tuesday my cut opened\nand it bleeds.",
        ),
        ("On Monday I felt worse, as I wrote:\nit hurts", None),
        ("From: my sister I heard\nthat you called", None),
        # Nothing hides because nothing else is there.
        ("> only a quote", None),
        ("Sent from my iPhone", None),
        ("-- \nGrace", None),
        ("", None),
    ],
)
def test_own_words(body, words):
    assert own_words(body) == (body if words is None else words)


@pytest.mark.parametrize(
    "piece",
    ["On ", "On \n", "On 9:00 wrote:\n", "From: \n", " \t", "-", "\n", ">", "El a\n"],
)
def test_no_mail_takes_long(piece):
    body = (piece * 10_000)[:10_000]
    began = time.process_time()
    own_words(body)
    assert time.process_time() - began < 0.5
