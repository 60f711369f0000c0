"""What patients are found by: one structure for both databases."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _

from patients.models.people import Patient


class SearchText(models.CharField):
    """Text in the order of its bytes, so that one index serves a range and its order.

    PostgreSQL would otherwise sort by the language of the machine, and an index that
    can find beginnings could not give them in order. SQLite sorts so anyway.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Return Django's, with the collation that compares bytes."""
        parameters: dict[str, Any] = dict(super().db_parameters(connection))
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters


class PatientTerm(models.Model):
    """A word, number or identifier a patient may be found by; one per spelling."""

    class Kind(models.TextChoices):
        WORD = "word", _("Word of a name")
        BORN = "born", _("Birth date, as 19590314")
        PHONE = "phone", _("Digits of a number, from the front")
        PHONE_END = "phone_end", _("Digits of a number, from the end")
        IDENTIFIER = "identifier", _("Identifier")

    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="terms")
    kind = models.CharField(max_length=10, choices=Kind)
    term = SearchText(max_length=120)
    rest = SearchText(
        max_length=300,
        blank=True,
        help_text=_(
            "What else a name search asks for: a blank before each other word of the "
            "name and the birth date. For a number: whose it is, when a contact "
            "person's."
        ),
    )

    #: ``rest`` of a number that is a contact person's and not the patient's.
    THEIRS = "contact person"

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["patient", "kind", "term"], name="patient_term_unique"
            )
        ]
        indexes = [
            # Search by the beginning of a term, in order and with nothing but itself.
            models.Index(
                fields=["kind", "term", "rest", "patient"], name="patient_term_prefix"
            )
        ]

    def __str__(self) -> str:
        return self.term


class NameToken(models.Model):
    """How a mistyped word, or a part of one, leads to the words of names there are.

    One row a key and word of a name, whoever bears it; then patients are looked up by
    whole words.
    """

    class Kind(models.TextChoices):
        NEAR = "near", _("The word less one letter, and itself")
        SOUND = "sound", _("How it sounds")
        PART = "part", _("The word from each letter on")

    kind = models.CharField(max_length=8, choices=Kind)
    key = SearchText(max_length=120)
    token = SearchText(max_length=120)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "key", "token"], name="name_token_unique"
            )
        ]
        indexes = [
            # What leads to a word that nobody bears any more.
            models.Index(fields=["token"], name="name_token_of"),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.token}"
