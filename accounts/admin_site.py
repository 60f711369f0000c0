"""Django admin as a manager of a clinic thinks: grouped, careful, on the record."""

from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.db import models
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.shortcuts import redirect, resolve_url
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.audit.record import record
from accounts.models import AuditEvent


@dataclass(frozen=True)
class Shelf:
    """A group of the admin's front page: its name and what is found there."""

    key: str
    title: str | Promise
    says: str | Promise


PEOPLE = Shelf(
    "people",
    _("People who work here"),
    _("Who signs in, in which role, and whom patients are booked with."),
)
PLACES = Shelf(
    "places",
    _("Where and when"),
    _("The sites, when somebody answers there, and when clinicians can be booked."),
)
VISITS = Shelf(
    "visits",
    _("Visits"),
    _("What can be booked, how long it takes, and when patients are reminded of it."),
)
REACH = Shelf(
    "reach",
    _("Reaching patients"),
    _("What texts and emails leave through, and the words they use."),
)
RECORD = Shelf(
    "record",
    _("Machinery and record"),
    _("What runs by itself and what was done in here; to look at, not to change."),
)
SHELVES = (PEOPLE, PLACES, VISITS, REACH, RECORD)


class HouseAdminSite(admin.AdminSite):
    """The one admin there is. It takes in models of ours alone, through HouseAdmin.

    What a library brings knows none of our rules: groups come from code, and second
    factors and sessions are kept in the pages for them.
    """

    site_title = site_header = _("Clinic set-up")
    index_title = _("Clinic set-up")

    def register(
        self, model_or_iterable: Any, admin_class: Any = None, **options: Any
    ) -> None:
        """Take in a model of ours; pass over those of libraries."""
        if admin_class is not None and issubclass(admin_class, HouseAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[Any]:
        """Return the shelves with what this user may open, or one app as Django has it.

        No queries.
        """
        apps: list[Any] = super().get_app_list(request, app_label)
        if app_label is not None:
            return apps
        shown = {entry["model"]: entry for app in apps for entry in app["models"]}
        shelves: dict[str, list[Any]] = {shelf.key: [] for shelf in SHELVES}
        for model, model_admin in self._registry.items():
            if model in shown and isinstance(model_admin, HouseAdmin):
                shelves[model_admin.shelf.key].append(shown[model])
        return [
            {
                "name": shelf.title,
                "says": shelf.says,
                "app_label": shelf.key,
                "app_url": "",
                "has_module_perms": True,
                "models": shelves[shelf.key],
            }
            for shelf in SHELVES
            if shelves[shelf.key]
        ]

    def login(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Send visitors to the one login there is."""
        return redirect_to_login(request.get_full_path(), resolve_url("account_login"))

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Send somebody to the one page where passwords are changed."""
        return redirect("account_change_password")


class HouseAdmin(admin.ModelAdmin):
    """Base of every page here: nothing with a history is deleted, all is recorded.

    Django's own log stays, for the history beside a row; the audit trail holds the
    names of the fields that were changed, and no values.
    """

    #: Where it stands on the front page.
    shelf: ClassVar[Shelf] = PLACES
    #: Whether a row may go: only where nothing points at it.
    deletable: ClassVar[bool] = False
    #: How the trail calls a change.
    change_verb: ClassVar[AuditEvent.Verb] = AuditEvent.Verb.CHANGE
    list_per_page = 50
    #: A clinic has few sites and roles: one tick each, and no script.
    formfield_overrides: ClassVar = {
        models.ManyToManyField: {"widget": forms.CheckboxSelectMultiple}
    }

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        """Return False unless rows of this kind may go at all."""
        return self.deletable and super().has_delete_permission(request, obj)

    def lookup_allowed(
        self, lookup: str, value: Any, request: HttpRequest | None = None
    ) -> bool:
        """Return whether a list may be narrowed so: by the filters beside it alone.

        Else a list could be searched, letter by letter, for what it does not show.
        """
        filters = {getattr(f, "parameter_name", f) for f in self.list_filter}
        return lookup.partition("__")[0] in filters and bool(
            super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]
        )

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Note in the trail what was added."""
        record(AuditEvent.Verb.CREATE, subject=_subject(obj))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Note in the trail which fields were changed, in the same transaction."""
        record(
            self.change_verb,
            subject=_subject(obj),
            details={"fields": _fields_in(message)},
        )
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Note in the trail what is about to go."""
        for obj in queryset:
            record(AuditEvent.Verb.DELETE, subject=_subject(obj))
        return super().log_deletions(request, queryset)


class ReadOnlyAdmin(HouseAdmin):
    """Base of what can be looked at here and comes about elsewhere."""

    shelf = RECORD

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: it is not made here."""
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        """Return False: it is what it is."""
        return False


def _subject(obj: Model) -> str:
    return f"{obj._meta.model_name}:{obj.pk}"


def _fields_in(message: Any) -> list[str]:
    """Return the fields a change message names, those of rows on the same page too."""
    names = set()
    for part in [] if isinstance(message, str) else message:
        for told in part.values():
            row = told.get("name", "")
            fields = told.get("fields") or ([""] if row else [])
            names |= {f"{row} {field}".strip() for field in fields}
    return sorted(names)
