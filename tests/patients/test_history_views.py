"""The history's pages: written down, changed in place, told."""

from datetime import date

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEvent, Draft
from accounts.roles import Role
from patients.history.services import change_entry
from patients.models import HistoryEntry
from tests.factories import SiteFactory, member_of_staff, patient
from tests.patients.test_history import ICD, grace, imported, nora, rao, wrote

pytestmark = pytest.mark.django_db
__all__ = ["grace", "nora", "rao"]  # fixtures


def test_a_nurse_writes_down_and_verifies(client, grace, nora):
    client.force_login(nora)
    url = reverse("patients:history_add", args=[grace.pk, "allergy"])
    page = client.get(url).content.decode()
    assert "Substance" in page
    answer = client.post(
        url,
        {
            "label": "Latex",
            "source": "patient",
            "status": "active",
            "reactions": "hives",
            "verification": "unconfirmed",
        },
        follow=True,
    )
    entry = HistoryEntry.objects.get()
    assert (entry.label, entry.details) == ("Latex", {"reactions": "hives"})
    assert "Patient told us" in answer.content.decode()
    client.post(reverse("patients:history_verify", args=[grace.pk, entry.pk]))
    page = client.get(reverse("patients:history_list", args=[grace.pk]))
    assert "Verified by" in page.content.decode()
    assert "Nora" in page.content.decode()


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(client, grace, nora):
    client.force_login(nora)
    url = reverse("patients:history_add", args=[grace.pk, "medicine"])
    typed = {"label": "", "source": "staff", "status": "active", "for": "Her pressure"}
    page = client.post(url, typed).content.decode()
    assert "Say what it is." in page
    assert "Her pressure" in page
    assert not HistoryEntry.objects.exists()


def test_a_code_is_chosen_without_scripts(client, grace, nora):
    client.force_login(nora)
    url = reverse("patients:history_add", args=[grace.pk, "condition"])
    typed = {
        "label": "hyperten",
        "source": "staff",
        "status": "active",
        "note": "Since",
    }
    page = client.post(url, typed | {"look": "1"}).content.decode()
    assert 'value="condition|High blood pressure"' in page
    page = client.post(url, typed | {"pick": "condition|High blood pressure"})
    assert page.context["form"].initial["label"] == "High blood pressure"
    assert page.context["form"].initial["note"] == "Since"
    assert "I10" in page.content.decode()
    coded = {
        "label": "My pressure",
        "coded": "condition|High blood pressure",
        "verification": "unconfirmed",
    }
    client.post(url, typed | coded)
    entry = HistoryEntry.objects.get()
    assert (entry.label, entry.code, entry.code_system) == ("My pressure", "I10", ICD)


def test_no_code_of_ones_own_making(client, grace, nora):
    client.force_login(nora)
    url = reverse("patients:history_add", args=[grace.pk, "condition"])
    for coded in ("condition|Nonsense", "kept", "medicine|Warfarin"):
        typed = {"label": "It", "source": "staff", "status": "active", "coded": coded}
        assert client.post(url, typed).status_code == 200
    assert not HistoryEntry.objects.exists()


def test_the_search_of_codes_answers_while_somebody_types(client, nora):
    client.force_login(nora)
    url = reverse("patients:history_codes")
    page = client.post(url, {"label": "penic", "kind": "allergy"})
    assert "Penicillin" in page.content.decode()
    page = client.post(url, {"label": "xyz", "kind": "allergy"})
    assert "The name alone is enough" in page.content.decode()


def test_who_comes_second_sees_both(client, grace, nora, rao):
    entry = wrote(grace, by=nora)
    client.force_login(nora)
    url = reverse("patients:history_edit", args=[grace.pk, entry.pk])
    assert "Hypertension" in client.get(url).content.decode()
    change_entry(entry_id=entry.pk, version=1, facts={"label": "Angina"}, by=rao)
    typed = {
        "label": "Heart failure",
        "source": "staff",
        "status": "active",
        "verification": "unconfirmed",
        "note": "Ankles swell",
        "version": "1",
    }
    page = client.post(url, typed).content.decode()
    assert "Angina" in page
    assert "Heart failure" in page
    assert "Ankles swell" in page
    entry.refresh_from_db()
    assert entry.label == "Angina"
    client.post(url, typed | {"version": "2"})
    entry.refresh_from_db()
    assert entry.label == "Heart failure"


def test_what_was_typed_comes_back_and_goes_when_it_is_sent(client, grace, nora):
    client.force_login(nora)
    key = f"history_condition:{grace.pk}"
    Draft.objects.create(
        user=nora, key=key, text={"note": "Since the fall"}, at=timezone.now()
    )
    url = reverse("patients:history_add", args=[grace.pk, "condition"])
    assert "Since the fall" in client.get(url).content.decode()
    client.post(
        url,
        {
            "label": "Vertigo",
            "source": "patient",
            "status": "active",
            "verification": "unconfirmed",
        },
    )
    assert not Draft.objects.exists()


def test_none_known_and_never_asked_look_different(client, grace, nora):
    client.force_login(nora)
    page = reverse("patients:patient_detail", args=[grace.pk])
    assert "Allergies: not asked" in client.get(page).content.decode()
    url = reverse("patients:history_review", args=[grace.pk])
    client.post(url, {"kind": "allergy", "outcome": "none_known", "source": "patient"})
    shown = client.get(page).content.decode()
    assert "No known allergies" in shown
    assert "not asked yet" not in shown.partition("Medical history")[0]


def test_the_front_desk_sees_no_history(client, grace):
    client.force_login(member_of_staff("femi", Role.FRONT_DESK))
    for name in ("history_list", "history_tell"):
        url = reverse(f"patients:{name}", args=[grace.pk])
        assert client.get(url).status_code == 403
    page = client.get(reverse("patients:patient_detail", args=[grace.pk]))
    assert "llergies" not in page.content.decode()


def test_an_entry_is_found_under_its_own_patient_only(client, grace, nora):
    tomas = patient("Tomás", "Silva", phone="")
    entry = wrote(tomas, by=nora)
    client.force_login(nora)
    for name in ("history_edit", "history_verify", "history_end", "history_error"):
        url = reverse(f"patients:{name}", args=[grace.pk, entry.pk])
        assert client.post(url).status_code == 404
    entry.refresh_from_db()
    assert entry.version == 1


def test_a_clinician_ticks_several_at_once(client, grace, rao):
    tomas = patient("Tomás", "Silva", phone="")
    rows = [imported(grace, "A"), imported(grace, "B"), imported(tomas, "C")]
    client.force_login(rao)
    url = reverse("patients:history_untold")
    page = client.get(url).content.decode()
    assert "Grace Okafor" in page
    nothing = client.post(url, {"how": "me", "told_on": "2026-11-20"})
    assert "Tick at least one" in nothing.content.decode()
    ticked = {"entry": [rows[0].pk, rows[2].pk], "how": "me", "told_on": "2026-11-20"}
    assert client.post(url, ticked).status_code == 302
    assert list(HistoryEntry.objects.untold()) == [rows[1]]
    told = HistoryEntry.objects.get(pk=rows[0].pk)
    assert (told.told_on, told.told_by) == (date(2026, 11, 20), rao)


def test_nobody_ticks_for_patients_out_of_reach(client, rao):
    leo = patient("Leo", "Elsewhere", phone="")
    leo.sites.set([SiteFactory(name="North")])
    entry = imported(leo)
    client.force_login(rao)
    told = {"entry": [entry.pk], "how": "elsewhere"}
    client.post(reverse("patients:history_untold"), told)
    assert HistoryEntry.objects.untold().exists()


def test_the_list_goes_on_page_by_page(client, grace, rao):
    rows = [imported(grace, f"Finding {n:02}") for n in range(60)]
    client.force_login(rao)
    url, seen = reverse("patients:history_untold"), []
    for _page in range(3):
        page = client.get(url)
        seen += [entry.pk for entry in page.context["rows"]]
        url = f"{reverse('patients:history_untold')}?after={page.context['more']}"
    assert seen == [entry.pk for entry in rows]
    assert page.context["more"] is None


def test_telling_is_put_off_with_a_reason(client, grace, rao):
    imported(grace)
    client.force_login(rao)
    url = reverse("patients:history_tell", args=[grace.pk])
    assert "Say why" in client.post(url, {"how": "later"}).content.decode()
    client.post(url, {"how": "later", "why": "Wants her daughter there."})
    assert HistoryEntry.objects.untold().exists()
    assert AuditEvent.objects.filter(details__state="put off").exists()


def test_the_page_costs_the_same_with_one_and_with_thirty(
    client, grace, nora, django_assert_max_num_queries
):
    client.force_login(nora)
    url = reverse("patients:history_list", args=[grace.pk])
    wrote(grace, by=nora)
    client.get(url)
    for number in range(30):
        wrote(grace, label=f"Condition {number}", by=nora)
    with django_assert_max_num_queries(18):
        client.get(url)
