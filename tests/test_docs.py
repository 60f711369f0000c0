"""What the documents name is there."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from patients.importing import import_files
from tests.factories import SiteFactory

ROOT = Path(__file__).resolve().parents[1]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]


def test_every_setting_of_the_example_is_read():
    readers = (ROOT / "clinic_crm/settings.py").read_text()
    readers += "".join(p.read_text() for p in (ROOT / "embedded").glob("*.py"))
    named = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M)
    assert len(named) > 15
    assert [name for name in named if f'"{name}"' not in readers] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_security_names_code_and_tests_that_are_there():
    """A control that points at neither is only a claim."""
    text = (ROOT / "docs/security.md").read_text()
    named = re.findall(r"`([a-z_]+/[\w./]*)`", text)
    assert len(named) > 60
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_command_exists(page):
    text = page.read_text()
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    for name in re.findall(r"(?:^|`)make ([a-z]+)", text, re.M):
        assert name in targets
    for name in re.findall(r"manage\.py ([a-z_]+)", text):
        assert name in get_commands()


@pytest.mark.django_db
def test_the_example_list_is_taken_in_with_its_one_warning():
    text = (ROOT / "docs/example-patients.csv").read_text()
    told = import_files(
        [("example.csv", text)], site=SiteFactory(), by=None, dry_run=True
    )
    assert (told.created, told.rejected) == (4, 0)
    assert told.warnings >= 1
