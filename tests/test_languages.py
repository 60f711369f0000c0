"""Every word a member of staff can read is in every language, and can be."""

import gettext
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from zoneinfo import available_timezones

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.test import Client
from django.urls import NoReverseMatch, Resolver404, resolve, reverse
from django.utils import timezone
from django.utils.translation import trans_real

from accounts.models import Job, Language, User
from accounts.policies import policy_for, walk_addresses
from clinic_crm.demo.builder import seed_clinic
from core import dates
from patients.models import AccessGrant, HistoryEntry, Patient
from tests import pseudo
from tests.catalogue import LOCALE, Entry, read_catalogue
from tests.patients.merging_scene import merge

ROOT = Path(__file__).resolve().parents[1]
TRANSLATED = [code for code, _name in settings.LANGUAGES if code != "en"]
TREES = ("templates", *(p.parent.name for p in ROOT.glob("*/__init__.py")))
#: What stands between the words and must come out of a translation as it went in.
HOLE = re.compile(r"%\([a-z_0-9]+\)[a-z]|%[a-z](?![a-z])|%%|<[^>]+>|\{[a-z_]*\}")

#: Names, which are the same in every language, and what nobody but a machine reads.
NAMES = re.compile(
    r"\b(America/New_York|Pacific/Honolulu|Asia/\w+|Africa/\w+|Europe/\w+"
    r"|America/Los_Angeles|CSV|FHIR|[A-Z2-7]{32})\b"
)
ZONES = available_timezones()
#: Addresses that show no page of ours, or one that needs more than a login.
NOT_WALKED = {
    "account_kept": "only when a form was kept",
    "account_session": "answers a script",
    "job_progress": "a part of job_detail",
    "messaging:patient_conversation": "leads to a conversation",
    "account_unlock": "only while the page is locked",
    "patients:import_columns": "only after a list was checked",
    "patients:import_rejects": "a file",
    "patients:record_file": "a file",
    "mfa_edit_webauthn": "only with a passkey",
    "mfa_reauthenticate_webauthn": "only with a passkey",
    "mfa_remove_webauthn": "only with a passkey",
}
#: How many pages of one kind are read.
EACH = 6


def po(language: str) -> dict[tuple[str | None, str], Entry]:
    return read_catalogue(LOCALE / language / "LC_MESSAGES" / "django.po")


def test_pages_and_texts_speak_the_same_languages():
    """Settings cannot import a model, so they are written twice."""
    assert [(code, str(name)) for code, name in settings.LANGUAGES] == [
        (code, str(name)) for code, name in Language.choices
    ]


def _holes(text: str) -> list[str]:
    return sorted(HOLE.findall(text))


@pytest.mark.parametrize("language", TRANSLATED)
class TestTheCatalogue:
    def test_every_text_is_translated(self, language: str):
        entries = po(language)
        header = entries.pop((None, "")).becomes[0]
        count = int(re.search(r"nplurals=(\d)", header)[1])
        missing = [
            entry.text
            for entry in entries.values()
            if entry.fuzzy
            or not all(entry.becomes.values())
            or (entry.plural and len(entry.becomes) != count)
        ]
        assert missing == []

    def test_a_translation_keeps_every_hole(self, language: str):
        broken = [
            (entry.text, said)
            for entry in po(language).values()
            if entry.text
            for said in entry.becomes.values()
            if said
            and entry.context != "date format"
            and _holes(said) not in (_holes(entry.text), _holes(entry.plural))
        ]
        assert broken == []

    def test_what_runs_is_what_was_translated(self, language: str):
        path = LOCALE / language / "LC_MESSAGES" / "django.mo"
        with path.open("rb") as file:
            compiled = gettext.GNUTranslations(file)
        stale = []
        for (context, text), entry in po(language).items():
            if not text:
                continue
            key = text if context is None else f"{context}\x04{text}"
            for place, said in entry.becomes.items():
                found = compiled._catalog.get((key, place) if entry.plural else key)
                if found != said:
                    stale.append(text)
        assert stale == [], "run: make messages"

    def test_nothing_is_new(self, language: str, tmp_path: Path):
        """As ``make messages`` would find it, on a copy."""
        if shutil.which("xgettext") is None:
            pytest.skip("gettext is not installed")
        for tree in TREES:
            shutil.copytree(
                ROOT / tree,
                tmp_path / tree,
                ignore=shutil.ignore_patterns("*.pyc", "migrations"),
            )
        (tmp_path / "locale").mkdir()
        subprocess.run(
            [
                *(sys.executable, "-m", "django", "makemessages", "-v0"),
                *("--locale", language, "--no-location", "--no-wrap"),
                *("--ignore", "tests"),
            ],
            cwd=tmp_path,
            check=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "", "LC_ALL": "C.UTF-8"},
        )
        written = read_catalogue(
            tmp_path / "locale" / language / "LC_MESSAGES" / "django.po"
        )
        assert po(language).keys() == written.keys(), "run: make messages"

    def test_the_names_of_months_are_written_its_own_way(self, language: str):
        entries = po(language)
        for form in dates.FORMS.values():
            _proxy, english = form._args
            assert entries["date format", english].becomes[0]


def test_no_text_is_marked_by_a_name_that_is_not_gathered():
    """``makemessages`` knows ``_`` and the names of gettext itself, no others."""
    other_name = re.compile(r"\b[dnp]*gettext(?:_lazy|_noop)? as (?!_\b)\w+")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for tree in TREES
        for path in (ROOT / tree).rglob("*.py")
        for match in other_name.finditer(path.read_text())
    ]
    assert found == []


def test_a_page_writes_no_date_by_hand():
    by_hand = re.compile(
        r"\|(?:date|time)(?::(?!['\"](?:c|Y-m-d|[A-Z]+_FORMAT)['\"])|\b(?!:))"
    )
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "templates").rglob("*.html")
        for line in path.read_text().splitlines()
        if by_hand.search(line)
    ]
    assert found == []


def test_the_look_knows_no_left_and_no_right():
    css = (ROOT / "static/css/clinic.css").read_text()
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    physical = re.compile(
        r"(?:(?:margin|padding|border)-(?:left|right)|(?:^|[\s;{])(?:left|right))\s*:"
        r"|text-align:\s*(?:left|right)|float:(?!\s*(?:none|inline-))"
        r"|(?:padding|margin): [^\s;]+ ([^\s;]+) [^\s;]+ (?!\1;)[^\s;]+;"
    )
    assert [match[0] for match in physical.finditer(css)] == []


class TestNoWordWasForgotten:
    """The demo clinic, read page by page in a language of brackets."""

    @pytest.fixture
    def clinic(self, db: Any, settings: Any) -> None:
        settings.DEMO_PASSWORD = "harbour-demo-1"
        seed_clinic(count=40, seed=1)
        pseudo.type_in_greek()

    @pytest.fixture
    def brackets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ours = {key for language in TRANSLATED for key in po(language)}
        theirs = trans_real.translation(TRANSLATED[0])

        def known(text: str, context: str | None) -> bool:
            key = text if context is None else f"{context}\x04{text}"
            in_library = key in theirs._catalog or (key, 0) in theirs._catalog
            return (context, text) in ours or in_library

        pseudo.mark_translations(monkeypatch, known)

    def test_on_any_page_of_any_role(self, clinic: None, brackets: None):
        unmarked: dict[str, str] = {}
        walked: set[str] = set()
        pages = self._pages()
        self._open_in_an_emergency()
        self._start_long_work()
        pages_of_few = self._make_few()
        for username in ("maya", "ada", "rao", "femi", "otto"):
            client = Client()
            client.post(
                reverse("account_login"),
                {"login": username, "password": "harbour-demo-1"},
            )
            if username == "maya":
                self._add_second_factors(username)
            self._walk(client, pages, walked, unmarked, pages_of_few)
        assert unmarked == {}
        left = " ".join(sorted(pages - walked - NOT_WALKED.keys()))
        assert left == ""

    def _pages(self) -> set[str]:
        """Return the names of the addresses that show something to staff."""
        names = set()
        for address in walk_addresses():
            rule = policy_for(address.callback, address.name)
            if rule.public or address.name.startswith("admin:"):
                continue
            if "GET" in (rule.methods or {"GET"}):
                names.add(address.name)
        return names

    def _open_in_an_emergency(self) -> None:
        now = timezone.now()
        AccessGrant.objects.create(
            user=User.objects.get(username="maya"),
            patient=Patient.objects.first(),
            reason="Ω",
            at=now,
            expires_at=now + timedelta(hours=1),
        )

    def _start_long_work(self) -> None:
        Job.objects.create(
            kind="check_patients",
            user=User.objects.get(username="maya"),
            created_at=timezone.now(),
        )

    def _make_few(self) -> list[str]:
        """Make what few patients are, and return the addresses of their pages."""
        maya = User.objects.get(username="maya")
        known = Patient.objects.filter(sites=maya.sites.order_by("pk").first())
        dead, kept, lost, other = known.order_by("-pk")[:4]
        Patient.objects.filter(pk=dead.pk).update(deceased_on=timezone.localdate())
        Patient.objects.filter(pk=lost.pk).update(birth_date=kept.birth_date)
        merged = merge(kept, lost, maya)
        HistoryEntry.objects.create(
            patient=other,
            kind="condition",
            label="Ω",
            status="active",
            source="staff",
            recorded_by=maya,
            recorded_at=timezone.now(),
        )
        return [
            reverse("patients:death_correct", args=[dead.pk]),
            reverse("patients:patient_merge", args=[kept.pk, other.pk]),
            reverse("patients:patient_unmerge", args=[kept.pk, merged.pk]),
            reverse("patients:history_tell", args=[other.pk]),
        ]

    def _add_second_factors(self, username: str) -> None:
        user = User.objects.get(username=username)
        TOTP.activate(user, "A" * 32)
        RecoveryCodes.activate(user)

    def _walk(
        self,
        client: Client,
        pages: set[str],
        walked: set[str],
        unmarked: dict[str, str],
        also: list[str],
    ) -> None:
        """Follow every link, some pages of each kind; then send the forms empty."""
        waiting = [reverse("today"), *filter(None, map(_plain, sorted(pages))), *also]
        seen: dict[str, list[str]] = {}
        while waiting:
            path = waiting.pop(0)
            kind = self._kind(path)
            paths = seen.setdefault(kind or "", [])
            if kind not in pages or path in paths or len(paths) >= EACH:
                continue
            paths.append(path)
            fragment = kind in ("patients:patient_find", "messaging:phone_messages")
            response = client.get(
                path, headers={"HX-Request": "true"} if fragment else {}
            )
            if response.status_code in (301, 302):
                waiting.append(response["Location"])
            elif response.status_code == 200:
                walked.add(kind)
            waiting += [urljoin(path, link) for link in self._read(response, unmarked)]
        for paths in seen.values():
            for path in paths[:1]:
                self._read(client.post(path), unmarked)

    def _read(self, response: Any, unmarked: dict[str, str]) -> list[str]:
        """Note what nobody can translate, and return where the links lead."""
        if not response.get("Content-Type", "").startswith("text/html"):
            return []
        left, links = pseudo.read(response.content.decode())
        for text in left:
            if text.replace(" ", "_") in ZONES:
                continue
            if re.search("[A-Za-z]{2}", NAMES.sub("", text)):
                unmarked.setdefault(text, response.wsgi_request.get_full_path())
        return links

    def _kind(self, path: str) -> str | None:
        try:
            name = resolve(urlsplit(path).path).view_name
        except Resolver404:
            return None
        return name


def _plain(name: str) -> str:
    """Return the address of a page that needs nothing to be found, else a blank."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
