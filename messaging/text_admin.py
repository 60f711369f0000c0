"""The texts patients get, in Django admin: read, tried out, and written anew."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _

from accounts.admin_site import REACH, HouseAdmin
from accounts.models import Language
from messaging import wording
from messaging.default_texts import DEFAULT_TEXTS
from messaging.models import Template
from messaging.texts import check_version, gaps, write_version

#: The button that shows how a text reads and saves nothing.
PREVIEW = "_preview"


def _newer() -> Exists:
    return Exists(
        Template.objects.filter(
            key=OuterRef("key"),
            language=OuterRef("language"),
            version__gt=OuterRef("version"),
        )
    )


class InUse(admin.SimpleListFilter):
    """Shows what goes out now, unless somebody asks for older versions too."""

    title = _("version")
    parameter_name = "which"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[Any]:
        """Return the one other choice there is."""
        return [("all", _("Older ones too"))]

    def choices(self, changelist: Any) -> Any:
        """Name the default for what it is."""
        first, *rest = super().choices(changelist)
        return [first | {"display": gettext("In use")}, *rest]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Template]
    ) -> QuerySet[Template]:
        """Return the latest versions, or all."""
        return queryset if self.value() else queryset.filter(~_newer())


class TextForm(forms.ModelForm):
    """A new version of a text; what is wrong with it stands beside the field."""

    key = forms.ChoiceField(
        label=_("key"),
        choices=lambda: [(k, k) for k, s in DEFAULT_TEXTS.items() if not s.locked],
        help_text=_("When it is sent."),
    )

    class Meta:
        model = Template
        fields = ("key", "language", "subject", "body")
        widgets = {
            "body": forms.Textarea({"rows": 5, "cols": 60}),
            "subject": forms.TextInput({"size": 60}),
        }
        help_texts = {
            "language": gettext_lazy("What the patient reads."),
            "subject": gettext_lazy(
                "For email. It is read over a shoulder: nothing of the patient."
            ),
            "body": gettext_lazy(
                "What stands in braces is filled in for each patient. The first text "
                "to a number also says how to end texts; that cannot be left out."
            ),
        }

    def clean(self) -> dict[str, Any]:
        """Refuse what must not go out, and a page that a colleague has overtaken."""
        cleaned = super().clean() or {}
        row = self.instance
        if not self.errors:
            check_version(
                key=cleaned.get("key", row.key),
                language=cleaned.get("language", row.language),
                subject=cleaned["subject"],
                body=cleaned["body"],
                after=row.version if row.pk else 0,
            )
        if not self.errors and PREVIEW in self.data:
            raise ValidationError("", code=PREVIEW)
        return cleaned


@admin.register(Template)
class TemplateAdmin(HouseAdmin):
    """The texts patients get, as they go out. Saving one adds a version."""

    shelf = REACH
    form = TextForm
    list_display = ("key", "language", "version", "body", "by", "created_at")
    list_filter = (InUse, "language", "key")
    list_select_related = ("by",)
    search_fields = ("key", "subject", "body")
    ordering = ("key", "language", "-version")
    readonly_fields = ("version", "by", "created_at", "reads")

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Put the fields before what they come to; a new text has no version yet."""
        history = ("version", "by", "created_at") if obj else ()
        says = _(
            "A text is never changed: saving adds a version, which goes out from then "
            "on. The older ones stay to be read."
        )
        fields = ("key", "language", *history, "subject", "body", "reads")
        return [(None, {"fields": fields, "description": says})]

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        """Return what nobody changes: which text it is, once it is there."""
        named = () if obj is None else ("key", "language")
        return (*named, *self.readonly_fields)

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        """Return False for a version that is not in use any more; one query."""
        if not super().has_change_permission(request, obj):
            return False
        if not isinstance(obj, Template):
            return True
        return not Template.objects.filter(_newer(), pk=obj.pk).exists()

    @admin.display(description=_("As it reads"))
    def reads(self, obj: Template) -> str:
        """Show the text with ordinary values, in each language; one query."""
        if obj.key not in DEFAULT_TEXTS:
            return "-"
        latest = Template.objects.filter(~_newer(), key=obj.key).exclude(pk=obj.pk)
        others = latest.exclude(language=obj.language)
        names = dict(Language.choices)
        shown = [
            {
                "name": names[text.language],
                "language": text.language,
                "subject": wording.example(text.language, text.subject),
                "body": wording.example(text.language, text.body),
                "counted": wording.count(text.language, text.body),
            }
            for text in (obj, *others)
            if text.body
        ]
        fields = sorted(wording.allowed(obj.key))
        return render_to_string(
            "admin/messaging/template/reads.html",
            {"shown": shown, "fields": [f"{{{name}}}" for name in fields]},
        )

    def save_model(
        self, request: HttpRequest, obj: Template, form: Any, change: bool
    ) -> None:
        """Add a version; saving what nobody changed adds none."""
        if change and not form.changed_data:
            return
        written = write_version(
            key=obj.key,
            language=obj.language,
            subject=obj.subject,
            body=obj.body,
            by=request.user,  # type: ignore[arg-type]
            after=obj.version if change else 0,
        )
        obj.__dict__.update(written.__dict__)

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show a text that was only tried out without calling that a mistake."""
        wrong = context["adminform"].form.errors.as_data() if request.POST else {}
        codes = {error.code for errors in wrong.values() for error in errors}
        if codes == {PREVIEW}:
            context["errors"] = None
            messages.info(
                request,
                gettext("Nothing is saved yet. Below is how it reads."),
            )
        return super().render_change_form(request, context, *args, **kwargs)

    def changelist_view(
        self, request: HttpRequest, extra_context: Any = None
    ) -> HttpResponse:
        """List the texts; say which languages lack some. One query more."""
        names = dict(Language.choices)
        missing: dict[str, list[str]] = {}
        for language, key in gaps():
            missing.setdefault(language, []).append(key)
        for language, keys in missing.items():
            messages.warning(
                request,
                gettext("%(language)s lacks %(texts)s; English goes out instead.")
                % {"language": names[language], "texts": ", ".join(keys)},
            )
        return super().changelist_view(request, extra_context)
