"""The kinds of work that visits raise."""

from django.utils.translation import gettext_lazy as _

from worklist.registry import WorkKind, work_kinds

work_kinds.add(
    "visit_move",
    WorkKind(
        title=_("Wants another time"),
        outcomes={
            "moved": _("Visit moved"),
            "kept": _("Visit stays"),
            "cancelled": _("Visit cancelled"),
            "unreachable": _("Could not be reached"),
        },
    ),
)
work_kinds.add(
    "visit_cancel",
    WorkKind(
        title=_("Cannot come"),
        outcomes={
            "cancelled": _("Visit cancelled"),
            "moved": _("Visit moved"),
            "kept": _("Visit stays"),
            "unreachable": _("Could not be reached"),
        },
    ),
)
work_kinds.add(
    "import_conflict",
    WorkKind(
        title=_("Calendars disagree"),
        outcomes={"ours": _("Ours is right"), "theirs": _("Theirs is right")},
    ),
)
work_kinds.add(
    "import_held",
    WorkKind(
        title=_("Calendar import waits"),
        outcomes={
            "imported": _("Imported"),
            "dropped": _("The file was wrong"),
        },
    ),
)
work_kinds.add(
    "died",
    WorkKind(
        title=_("Patient has died"),
        outcomes={
            "cancelled": _("Visits cancelled"),
            "mistake": _("They live: corrected"),
        },
    ),
)
work_kinds.add(
    "death_corrected",
    WorkKind(
        title=_("Noted as dead by mistake"),
        outcomes={
            "told": _("Reached and told"),
            "letter": _("Letter posted"),
            "unreachable": _("Could not be reached"),
        },
    ),
)
