"""Staff and clinicians in Django admin."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.admin_site import PEOPLE, HouseAdmin
from accounts.door.factors import FACTORS
from accounts.door.guard import ask_again, is_fresh
from accounts.door.services import end_sessions, reset_factors
from accounts.leaving import leave, other_managers
from accounts.models import AuditEvent, Clinician, User
from accounts.roles import Role
from core.phones import to_e164


class RolesField(forms.ModelMultipleChoiceField):
    """The roles somebody has, by the names the pages use."""

    def label_from_instance(self, obj: Any) -> str:
        """Return the role's name in the reader's language."""
        return str(Role(obj.name).label)


class RoleFilter(admin.SimpleListFilter):
    """Staff of one role."""

    title = _("role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        """Return the roles there are."""
        return list(Role.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> Any:
        """Return those who have the role."""
        return queryset.filter(groups__name=self.value()) if self.value() else queryset


class StaffForm(UserChangeForm):
    """A member of staff; somebody must stay who can manage."""

    def clean_phone(self) -> str:
        """Return the mobile as E.164; without a country code it is of their site's."""
        typed: str = self.cleaned_data.get("phone", "")
        if not typed:
            return ""
        site = self.instance.sites.first() if self.instance.pk else None
        number = to_e164(typed, site.region if site else "US")
        if number is None:
            raise ValidationError(gettext("This is not a phone number."))
        return number

    def clean(self) -> dict[str, Any]:
        """Refuse to take the last manager's role or login away; locks the others."""
        data: dict[str, Any] = super().clean() or {}
        was = self.instance.is_superuser or (
            self.instance.groups.filter(name=Role.MANAGER.value).exists()
        )
        roles = {group.name for group in data.get("groups", ())}
        stays = self.instance.is_superuser or Role.MANAGER.value in roles
        goes = was and not (stays and data.get("is_active"))
        if goes and not other_managers(self.instance):
            alone = gettext(
                "Nobody else can manage the clinic. Make a colleague manager first."
            )
            raise ValidationError({"is_active" if stays else "groups": alone})
        return data


@admin.register(User)
class StaffAdmin(HouseAdmin, UserAdmin):
    """Staff: their login, their roles and whose patients they may see.

    Roles say what somebody may do, and who is a manager opens these pages. Nobody
    becomes a superuser here, and nobody but a superuser changes one.
    """

    shelf = PEOPLE
    change_verb = AuditEvent.Verb.SECURITY
    form = StaffForm
    list_display = (
        "username",
        "name",
        "roles",
        "at_sites",
        "is_active",
        "second_factor",
        "last_login",
    )
    list_filter = (RoleFilter, "sites", "is_active")
    search_fields = ("username", "name", "email")
    actions = ("end_all_sessions", "reset_second_factors")
    readonly_fields = ("last_login",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "username",
                    "password",
                    "name",
                    "email",
                    "phone",
                    "language",
                    "last_login",
                )
            },
        ),
        (_("What they may do"), {"fields": ("groups", "sites")}),
        (
            _("When they leave"),
            {
                "fields": ("is_active",),
                "description": _(
                    "Nobody is deleted: what they did keeps their name. Switched off, "
                    "they are signed out everywhere, and work they had taken goes back "
                    "to the worklist."
                ),
            },
        ),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": (
                    "username",
                    "name",
                    "usable_password",
                    "password1",
                    "password2",
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Return staff with their roles, sites and whether they have a second factor.

        Three queries for a whole list.
        """
        factors = Authenticator.objects.filter(user=OuterRef("pk"), type__in=FACTORS)
        staff: QuerySet[User] = super().get_queryset(request)
        return staff.prefetch_related("groups", "sites").annotate(
            has_second_factor=Exists(factors)
        )

    @admin.display(description=_("roles"))
    def roles(self, user: User) -> str:
        """Return the names of somebody's roles."""
        names = {group.name for group in user.groups.all()}
        return ", ".join(str(role.label) for role in Role if role.value in names)

    @admin.display(description=_("sites"))
    def at_sites(self, user: User) -> str:
        """Return the names of somebody's sites."""
        return ", ".join(str(site) for site in user.sites.all())

    @admin.display(description=_("second factor"), boolean=True)
    def second_factor(self, user: Any) -> bool:
        """Return whether somebody has set one up."""
        return bool(user.has_second_factor)

    def has_change_permission(
        self, request: HttpRequest, obj: User | None = None
    ) -> bool:
        """Return False for a superuser's login, unless it is a superuser who asks."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return bool(super().has_change_permission(request, obj))

    def get_urls(self) -> list[URLPattern]:
        """Return its addresses; what is sent to them needs a recent proof.

        Logins are the keys of the house: a page left open changes none of them (OWASP
        ASVS 5.0, 7.5.1).
        """
        urls: list[URLPattern] = super().get_urls()
        for url in urls:
            url.callback = _proved(url.callback)
        return urls

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        """Set a colleague's password, which ends what the old one had opened.

        One's own is changed where the old one is asked for.
        """
        user = self.get_object(request, unquote(id))
        if user == request.user:
            return redirect("account_change_password")
        here = request.session.session_key
        with transaction.atomic():
            answer: HttpResponse = super().user_change_password(request, id, form_url)
            if user and User.objects.exclude(password=user.password).filter(pk=user.pk):
                end_sessions(user=user, by=_manager(request))
                # Django has given the session of whoever did it a new key.
                mine = UserSession.objects.filter(session_key=here)
                mine.update(session_key=request.session.session_key)
        return answer

    def formfield_for_dbfield(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Show groups as what they are here: roles, which come from code."""
        if db_field.name == "groups":
            return RolesField(
                label=_("Roles"),
                queryset=Group.objects.filter(name__in=Role.values).order_by("pk"),
                widget=forms.CheckboxSelectMultiple,
                required=False,
                help_text=_(
                    "What this person may do; without one, nothing. Managers open "
                    "these pages too."
                ),
            )
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and db_field.name == "email":
            field.help_text = _(
                "Where colleagues reach them, and word of urgent work on duty when no "
                "text does."
            )
        return field

    def save_model(
        self, request: HttpRequest, obj: User, form: Any, change: bool
    ) -> None:
        """Save; somebody who was switched off leaves at once."""
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data and not obj.is_active:
            for told in leave(user=obj, by=_manager(request)):
                messages.warning(request, told)

    @admin.action(description=_("End all sessions"), permissions=["change"])
    def end_all_sessions(
        self, request: HttpRequest, queryset: QuerySet[User]
    ) -> HttpResponse | None:
        """Sign the chosen out everywhere, after asking."""
        says = _("They are signed out everywhere and can sign in again.")
        if asked := self._ask(request, queryset, "end_all_sessions", says):
            return asked
        ended = 0
        for user in self._theirs(request, queryset):
            ended += end_sessions(user=user, by=_manager(request))
        told = ngettext("%(n)d session ended.", "%(n)d sessions ended.", ended)
        messages.success(request, told % {"n": ended})
        return None

    @admin.action(description=_("Reset second factors"), permissions=["change"])
    def reset_second_factors(
        self, request: HttpRequest, queryset: QuerySet[User]
    ) -> HttpResponse | None:
        """Take the second factors of the chosen away, after asking.

        Never one's own: that is done where one proves to have them.
        """
        others = queryset.exclude(pk=_manager(request).pk)
        says = _(
            "Do this only when you have seen or rung them: whoever has their password "
            "can then set up a new second factor. They are signed out everywhere."
        )
        if asked := self._ask(request, others, "reset_second_factors", says):
            return asked
        for user in self._theirs(request, others):
            reset_factors(user=user, by=_manager(request))
        messages.success(request, gettext("Their second factors are gone."))
        return None

    def _theirs(self, request: HttpRequest, queryset: QuerySet[User]) -> list[User]:
        """Return those of the chosen whom this manager may change."""
        return [user for user in queryset if self.has_change_permission(request, user)]

    def _ask(
        self,
        request: HttpRequest,
        queryset: QuerySet[User],
        action: str,
        says: str | Promise,
    ) -> HttpResponse | None:
        """Return the page that asks whether it is meant; None once it was answered."""
        if request.POST.get("meant"):
            return None
        title = getattr(self, action).short_description
        return TemplateResponse(
            request,
            "admin/confirm_action.html",
            {
                **self.admin_site.each_context(request),
                "title": title,
                "opts": self.opts,
                "says": says,
                "action": action,
                "chosen": self._theirs(request, queryset),
                "checkbox": ACTION_CHECKBOX_NAME,
            },
        )


def _proved(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return a view that takes a form only from who has just proved who they are."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "POST" and not is_fresh(request):
            return ask_again(request)
        return view(request, *args, **kwargs)

    return guarded


def _manager(request: HttpRequest) -> User:
    """Return who asks: a policy has let nobody else in."""
    return cast(User, request.user)


@admin.register(Clinician)
class ClinicianAdmin(HouseAdmin):
    """Whom patients are booked with."""

    shelf = PEOPLE
    list_display = ("name", "at_sites", "user", "active")
    # Nothing reads these yet; what is shown here must have an effect.
    exclude = ("takes_overflow", "overflow_max")
    list_filter = ("active", "sites")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    autocomplete_fields = ("user",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Clinician]:
        """Return clinicians with their sites; two queries for a whole list."""
        clinicians: QuerySet[Clinician] = super().get_queryset(request)
        return clinicians.prefetch_related("sites")

    @admin.display(description=_("sites"))
    def at_sites(self, clinician: Clinician) -> str:
        """Return the names of somebody's sites."""
        return ", ".join(str(site) for site in clinician.sites.all())
