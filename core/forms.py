"""What every form of ours shares: layout, widgets, errors, client key.

``{% crispy form %}`` draws it with the templates in ``templates/bootstrap5``.
"""

import uuid
from typing import Any, ClassVar

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Div, Layout
from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString

#: The name of the hidden field by which a form that is sent twice is done once.
CLIENT_KEY = "client_key"


def key_field(key: str = "") -> SafeString:
    """Return the hidden field with a client key: this one, or a new one."""
    return format_html(
        '<input type="hidden" name="{}" value="{}">', CLIENT_KEY, key or uuid.uuid4()
    )


#: What is typed here is a patient's; no browser shall offer it to the next person.
UNKEPT = {"autocomplete": "off", "spellcheck": "false"}


class Day(forms.DateInput):
    """A day, with the browser's own calendar."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d", attrs={"autocomplete": "off"})


class Clock(forms.TimeInput):
    """A time of day, with the browser's own clock."""

    input_type = "time"

    def __init__(self) -> None:
        super().__init__(format="%H:%M")


class Ticks(forms.CheckboxSelectMultiple):
    """Several of a few, each with a box of its own."""

    template_name = "components/ticks.html"
    use_fieldset = False

    def __init__(self, label: Any) -> None:
        super().__init__()
        self.label = label

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Name the group for those who do not see where it stands."""
        context = super().get_context(name, value, attrs)
        context["widget"]["label"] = self.label
        return context

    def id_for_label(self, id_: str, index: Any = None) -> str:
        """Lead from the label to the first box."""
        return super().id_for_label(id_, "0" if index is None else index)


class Pair(Div):
    """Two fields side by side."""

    css_class = "pair"


class Shown:
    """Part of a layout that is no field: a template of ours and its values."""

    def __init__(self, template: str, **values: Any) -> None:
        self.template, self.values = template, values

    def render(self, form: forms.Form, context: Any, **_: Any) -> SafeString:
        """Return the part as HTML."""
        return render_to_string(self.template, self.values)


class ClientKey:
    """The form's client key; one that comes back with errors keeps the one it had."""

    def render(self, form: forms.Form, context: Any, **_: Any) -> SafeString:
        """Return the hidden field."""
        return key_field(form.data.get(CLIENT_KEY, ""))


def buttons(label: str | Promise, *, back: str = "", kind: str = "btn-brand") -> Shown:
    """Return the button that sends a form and, with an address, the way back."""
    return Shown("components/buttons.html", label=label, back=back, kind=kind)


class HouseForm(forms.Form):
    """Base of our forms: says itself what stands where, and comes back with its faults.

    What was typed stays; each error stands beside its field and in a summary above,
    and the first wrong field has the focus.
    """

    form_class = "fields pad"
    #: Where it is sent, when not to the page it stands on.
    action = ""
    #: Which field a service's complaint about one of its arguments belongs to.
    FIELD_OF: ClassVar[dict[str, str]] = {}

    def layout(self) -> list[Any]:
        """Return what stands in the form, from top to bottom."""
        return list(self.fields)

    @property
    def helper(self) -> FormHelper:
        """What crispy asks for: the layout, with the first fault in focus."""
        helper = FormHelper()
        helper.form_class = self.form_class
        helper.form_action = self.action
        helper.layout = Layout(*self.layout())
        if self.is_bound:
            names = [place.name for place in helper.layout.get_field_names()]
            wrong = next((name for name in names if name in self.errors), None)
            if wrong:
                self.fields[wrong].widget.attrs["autofocus"] = True
            helper.focus_summary = bool(self.errors) and not wrong
        return helper

    def rest_on(self, version: int | str) -> None:
        """Let what is sent next change a row as it is now: they have seen both."""
        data: Any = self.data.copy()  # type: ignore[attr-defined]
        data["version"] = str(version)
        self.data = data

    def refuse(self, error: ValidationError) -> None:
        """Show a service's complaint next to the field it is about."""
        if not hasattr(error, "error_dict"):
            self.add_error(None, error)
            return
        for name, errors in error.error_dict.items():
            field = self.FIELD_OF.get(name, name)
            self.add_error(field if field in self.fields else None, errors)
