"""The kinds of work that messaging raises."""

from django.utils.translation import gettext_lazy as _

from messaging.handover import lock_notice, settle_notice
from messaging.queries import may_be_about
from messaging.words import red_flag
from patients.registry import alarms
from worklist.registry import WorkKind, work_kinds


@alarms.register("messaging")
def speaks_of_danger(text: str) -> bool:
    """Return whether a text has words that may speak of a danger, negated or not."""
    return bool(red_flag(text)[0])


work_kinds.add(
    "unreached",
    WorkKind(
        title=_("Not reached"),
        outcomes={
            "told": _("Reached and told"),
            "letter": _("Letter posted"),
            "not needed": _("No longer needed"),
            "unreachable": _("Could not be reached"),
        },
        on_close=settle_notice,
        lock=lock_notice,
    ),
)
work_kinds.add(
    "red_flag",
    WorkKind(
        title=_("May be an emergency"),
        outcomes={
            "advice": _("Reached: advice given"),
            "emergency": _("Sent to emergency care"),
            "visit": _("Visit booked"),
            "welfare": _("Not reached: welfare check decided"),
            "no danger": _("Read: no danger"),
        },
        may_be_about=may_be_about,
    ),
)
work_kinds.add(
    "cancel_word",
    WorkKind(
        title=_("Texted CANCEL"),
        outcomes={
            "cancelled": _("Visit cancelled"),
            "kept": _("Visit stays"),
            "unreachable": _("Could not be reached"),
        },
        may_be_about=may_be_about,
    ),
)
work_kinds.add(
    "gateway",
    WorkKind(title=_("Gateway refuses"), outcomes={"mended": _("Mended")}),
)
