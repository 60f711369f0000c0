"""Every role at every address, by every method, about what is theirs and what is not.

The expected answer is computed from the declared policies; whatever is not explained by
them fails. An address that names a thing must have things to name, in ``THINGS``
(tests/access_scene.py).
"""

import copy
import logging
import re

import pytest
from django.db import transaction
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts.models import User
from accounts.policies import Policy
from accounts.roles import PERMISSIONS, Role
from core.requests import METHODS as ANSWERED
from tests.access_scene import FAR, FAR_NUMBER, THINGS, Scene, Things
from tests.access_table import PAGE, addresses, table
from tests.factories import come_in

pytestmark = pytest.mark.django_db

METHODS = ("GET", "POST", "PUT", "DELETE")
#: What a page answers that lets somebody in: shown, done, or said what is wrong.
LET_IN = {200, 204, 302, 303, 400, 409, 422}
#: No role at all, and one that stands above all.
WHO = [*(role.value for role in Role), "nobody", "superuser"]
#: What the front desk may not read.
CLINICAL = ("Hypertension", "Knee injection")


@pytest.fixture
def scene(monday) -> Scene:
    return Scene()


@pytest.fixture(autouse=True)
def _quiet():
    """A thousand refusals need no thousand lines."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def things_of(name: str, scene: Scene, user: User) -> Things:
    """Return what to ask an address about; one that names nothing has one answer."""
    if name in THINGS:
        return THINGS[name](scene, user)
    try:
        reverse(name)
    except NoReverseMatch:
        pytest.fail(f"{name} names things: say in tests/access_scene.py which")
    return Things([()])


def expected(rule: Policy, user: User | None, method: str, within: bool) -> set[int]:
    """Return the statuses that the policy explains."""
    if method not in ANSWERED:
        return {405}
    if rule.public:
        undeclared = rule.methods and method not in rule.methods
        return {405} if undeclared else LET_IN | {403, 404, 405, 410, 503}
    if user is None:
        return {302}
    if not (rule.permission == "" or user.has_perm(rule.permission)):
        return {403}
    if rule.methods and method not in rule.methods:
        return {405}
    if not within:
        return {404}
    # A page of a library also says 404 where there is nothing of one's own.
    return LET_IN if rule.methods else LET_IN | {404, 405}


def ask(client: Client, method: str, url: str):
    """Ask, and leave everything as it was."""
    cookies = copy.deepcopy(client.cookies)
    with transaction.atomic():
        answer = client.generic(method, url)
        transaction.set_rollback(True)
    client.cookies = cookies
    return answer


@pytest.mark.parametrize("who", WHO)
def test_every_address_answers_a_role_as_declared(client, scene, who):
    user = scene.staff[who]
    come_in(client, user)
    user = User.objects.get(pk=user.pk)
    unexplained = []
    for _route, name, rule in addresses():
        things = things_of(name, scene, scene.staff[who])
        for within, method, arguments in questions(rule, user, things):
            url = reverse(name, args=arguments)
            answer = ask(client, method, url)
            if answer.status_code not in expected(rule, user, method, within):
                unexplained.append((method, url, answer.status_code))
            elif answer.status_code == 302:
                where = answer["Location"]
                again = rule.fresh and "/reauthenticate/" in where
                if "/accounts/login/" in where or again:
                    unexplained.append((method, url, where))
            elif answer.status_code == 200 and not answer.streaming:
                unexplained += leaks(who, url, answer)
    assert not unexplained, "\n".join(map(str, unexplained))


def questions(rule: Policy, user: User | None, things: Things):
    """Yield (within reach, method, arguments) for all that can differ.

    A refusal of the role, or of the method, does not look at what is named: one is
    enough.
    """
    allowed = user is not None and (rule.public or rule.allows(user))
    for method in METHODS:
        answered = allowed and (not rule.methods or method in rule.methods)
        for arguments in things.within if answered else (things.every[:1]):
            yield True, method, arguments
        for arguments in things.beyond if answered and rule.methods else ():
            yield False, method, arguments


def leaks(who: str, url: str, answer) -> list[tuple[str, str]]:
    """Return what a page shows that this role may not read."""
    text = answer.content.decode()
    hidden = [FAR, FAR_NUMBER]
    if "patients.view_patient" not in PERMISSIONS.get(who, set()):
        hidden += ["Okafor", "Silva"] if who != "superuser" else []
    if who == Role.FRONT_DESK:
        hidden += CLINICAL
    return [(url, word) for word in hidden if word in text]


def test_every_address_sends_the_unknown_to_the_login(client, scene):
    unexplained = []
    for _route, name, rule in addresses():
        things = things_of(name, scene, scene.stranger)
        for _within, method, arguments in questions(rule, None, things):
            url = reverse(name, args=arguments)
            answer = ask(client, method, url)
            where = answer["Location"] if answer.status_code == 302 else ""
            if answer.status_code not in expected(rule, None, method, True):
                unexplained.append((method, url, answer.status_code))
            elif not (
                rule.public
                or method not in ANSWERED
                or where.startswith("/accounts/login/?next=")
            ):
                unexplained.append((method, url, where))
            elif answer.status_code == 200:
                unexplained += leaks("nobody", url, answer)
    assert not unexplained, "\n".join(map(str, unexplained))


def test_what_must_be_fresh_asks_again(client, scene):
    client.force_login(scene.staff["superuser"])
    stale = []
    for _route, name, rule in addresses():
        if not rule.fresh:
            continue
        for arguments in things_of(name, scene, scene.staff["superuser"]).within:
            answer = ask(client, "GET", reverse(name, args=arguments))
            stale.append(name)
            assert answer.status_code == 302, name
            assert answer["Location"].startswith("/accounts/reauthenticate/"), name
    assert "patients:emergency_access" in stale


def test_no_address_carries_data_of_a_patient(client, scene):
    """Addresses name numbers, days and folders; what else stands in one is a leak."""
    come_in(client, scene.staff["superuser"])
    allowed = re.compile(
        r"(?:day=[\d-]+|clinician=\d*|after=\d+|page=\d+|before=\d+|folder=\w+"
        # A kind of event, and a place in a stream: when, which source, which row.
        r"|show=\w*|(?:before|after)=\d+\.\w+\.\d+"
        r"|next=/?[\w/-]*)"
    )
    told = []
    for _route, name, rule in addresses():
        if rule.methods and "GET" not in rule.methods:
            continue
        for arguments in things_of(name, scene, scene.staff["superuser"]).within:
            url = reverse(name, args=arguments)
            answer = ask(client, "GET", url)
            if answer.status_code != 200 or answer.streaming:
                continue
            text = answer.content.decode()
            addresses_in = re.findall(
                r'(?:href|action|hx-get|hx-post|src)="(/?[^"]*)\?([^"]*)"', text
            )
            told += [
                (url, address, query)
                for address, query in addresses_in
                if not all(
                    allowed.fullmatch(part)
                    for part in query.replace("&amp;", "&").split("&")
                )
            ]
            gets = re.findall(r'<form[^>]*method="get"[^>]*>(.*?)</form>', text, re.S)
            names = {
                field
                for form in gets
                for field in re.findall(r'<(?:input|select)[^>]*name="(\w+)"', form)
            }
            if names - {"day", "clinician", *TRAIL_FILTERS}:
                told.append((url, "form by GET", sorted(names)))
    assert not told, "\n".join(map(str, told))


#: What the auditor's page is filtered by: numbers, names of pages, and days.
TRAIL_FILTERS = {"staff", "patient", "verb", "address", "since", "until"}


def test_the_table_is_written_down():
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    assert written == table(), "stale: run `python -m tests.access_table`"


def test_nobody_has_things_for_an_address_that_is_gone():
    assert set(THINGS) - {name for _route, name, _rule in addresses()} == set()
