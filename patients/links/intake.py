"""The link by which patients tell of their health, needs and goals by themselves."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.throttling import take
from core.http import SeeOther
from patients.forms.intake import IntakeForm
from patients.intake import take_intake
from patients.links.services import make_link, revoke_links
from patients.models import ContactPerson, HistoryEntry, Link, Patient, SafeContactPlan
from patients.queries import speaking_site
from patients.recipients import GONE, in_force
from patients.registry import LinkPurpose, links

PURPOSE = "intake"
#: Long enough for a weekend with somebody who helps, and before most first visits.
WORKS_FOR = timedelta(days=14)
#: So often in a day may answers be sent by one link; each is work for somebody.
MOST_SENT = 20


@transaction.atomic
def make_intake_link(
    *, patient: Patient, by: User, contact_person: ContactPerson | None = None
) -> tuple[Link, str]:
    """Make the link to a patient's intake and close the older ones; locks the patient.

    Raises ``ValidationError`` where it could open nothing, or would tell somebody who
    must not know that they are a patient.
    """
    patient = Patient.objects.select_for_update().get(pk=patient.pk)
    if patient.birth_date is None:
        raise ValidationError(
            _("A link opens with the date of birth, and there is none on file.")
        )
    if patient.deceased_on or patient.merged_into_id:
        raise ValidationError(_("Nothing can be told for this record any more."))
    if contact_person is not None:
        _refuse_stranger(patient, contact_person)
    revoke_links(purpose=PURPOSE, subject_id=patient.pk, by=by)
    return make_link(
        purpose=PURPOSE,
        subject_id=patient.pk,
        patient=patient,
        expires_at=timezone.now() + WORKS_FOR,
        contact_person=contact_person,
        by=by,
    )


def _is_for_them(link: Link) -> bool:
    """Return whether whoever was given a link may still tell of the patient.

    None but the patient once a safe contact plan hides them, nor after a contact
    person's right has run out. One query.
    """
    if link.contact_person_id is None:
        return True
    hidden = SafeContactPlan.objects.filter(
        patient=link.patient_id, ended_at=None, hidden=True
    )
    persons = ContactPerson.objects.filter(
        ~Exists(hidden), pk=link.contact_person_id, patient=link.patient_id
    ).annotate(gone=GONE)
    person = persons.first()
    return person is not None and in_force(person, timezone.localdate())


def _refuse_stranger(patient: Patient, person: ContactPerson) -> None:
    is_theirs = person.patient_id == patient.pk
    hidden = SafeContactPlan.objects.hiding().filter(patient=patient).exists()
    if not is_theirs or hidden or not in_force(person, timezone.localdate()):
        raise ValidationError(
            {"who": _("Nothing may go to this person now. Choose the patient.")}
        )


def show_intake(request: HttpRequest, link: Link) -> HttpResponse:
    """Ask, or take the answers; a blank form every time, for it shows nothing on file.

    What was sent stays sent: who has more to tell sends it as another one.
    """
    form = IntakeForm(request.POST if "answers" in request.POST else None)
    status = 200
    ready = form.is_bound and form.is_valid()
    if ready and not take(
        "intake", str(link.pk), limit=MOST_SENT, per=timedelta(days=1)
    ):
        form.add_error(None, _("This was sent too often today. Call us instead."))
        status = 429
    elif ready:
        try:
            take_intake(
                patient=link.patient,
                answers=form.answers(),
                source=_source(link),
                method="link",
            )
        except ValidationError as error:
            form.refuse(error)
        else:
            return SeeOther(request.path)
    sent = (
        link.patient.intakes.filter(method="link", at__gte=link.created_at)
        .order_by("-at")
        .values_list("at", flat=True)
        .first()
    )
    return render(
        request,
        "patients/link_intake.html",
        {
            "form": form,
            "patient": link.patient,
            "by_proxy": link.contact_person_id is not None,
            "site": speaking_site(link.patient),
            "sent": sent,
        },
        status=status,
    )


def _source(link: Link) -> str:
    source = HistoryEntry.Source
    return (source.PROXY if link.contact_person_id else source.PATIENT).value


links.add(
    PURPOSE,
    LinkPurpose(
        title=gettext_lazy("Questions before their visit"),
        alive=_is_for_them,
        show=show_intake,
    ),
)
