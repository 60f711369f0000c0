"""The kinds of work that messaging raises."""

from django.utils.translation import gettext_lazy as _

from messaging.handover import close_letter, lock_notice, settle_notice
from messaging.holds import close_bereavement, close_wrong_number, lock_holds
from messaging.opting import decide_about_texts, look_at_opt_out
from messaging.queries import may_be_about
from messaging.red_flags import dangers
from patients.registry import alarms
from worklist.registry import WorkKind, work_kinds


@alarms.register("messaging")
def speaks_of_danger(text: str) -> bool:
    """Return whether a text has words that may speak of a danger, negated or not."""
    return bool(dangers(text))


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
    "duty",
    WorkKind(
        title=_("Nobody on duty"),
        outcomes={
            "arranged": _("Somebody is on duty now"),
            "taken": _("The urgent work was taken on"),
        },
    ),
)
work_kinds.add(
    "gateway",
    WorkKind(title=_("Gateway refuses"), outcomes={"mended": _("Mended")}),
)
work_kinds.add(
    "sending",
    WorkKind(
        title=_("Sending needs a look"),
        outcomes={"mended": _("Mended"), "no harm": _("Looked into: no harm")},
        permission="messaging.view_breaker",
    ),
)
work_kinds.add(
    "letter",
    WorkKind(
        title=_("A letter is owed"),
        outcomes={
            "posted": _("Letter posted"),
            "not posted": _("Could not be posted: call"),
            "told": _("Reached and told"),
            "not needed": _("No longer needed"),
        },
        on_close=close_letter,
        lock=lock_notice,
        template="messaging/work_letter.html",
    ),
)
work_kinds.add(
    "refused_text",
    WorkKind(
        title=_("A text cannot be sent"),
        outcomes={
            "changed": _("Text changed"),
            "fine": _("Nothing to change"),
        },
        may_be_about=may_be_about,
    ),
)
work_kinds.add(
    "mailbox",
    WorkKind(title=_("Mailbox cannot be read"), outcomes={"mended": _("Mended")}),
)
work_kinds.add(
    "opt_out",
    WorkKind(
        title=_("Texts ended"),
        outcomes={
            "right": _("Right: no more texts"),
            "again": _("Not meant: text them again"),
        },
        on_close=look_at_opt_out,
        may_be_about=may_be_about,
    ),
)
work_kinds.add(
    "may_stop",
    WorkKind(
        title=_("May want no more texts"),
        outcomes={
            "stop": _("Wants no more texts"),
            "other": _("Meant something else"),
        },
        on_close=decide_about_texts,
        may_be_about=may_be_about,
    ),
)
work_kinds.add(
    "wrong_number",
    WorkKind(
        title=_("May be a wrong number"),
        outcomes={
            "theirs": _("Theirs after all"),
            "not theirs": _("Not theirs: never write there again"),
        },
        on_close=close_wrong_number,
        lock=lock_holds,
        may_be_about=may_be_about,
    ),
)
work_kinds.add(
    "bereavement",
    WorkKind(
        title=_("May have died"),
        outcomes={
            "died": _("The patient has died, and it is noted"),
            "alive": _("The patient lives: somebody else has died"),
        },
        on_close=close_bereavement,
        lock=lock_holds,
        may_be_about=may_be_about,
    ),
)
work_kinds.add(
    "reply_loop",
    WorkKind(
        title=_("Texts to and fro"),
        outcomes={"seen": _("Looked at")},
        may_be_about=may_be_about,
    ),
)
work_kinds.add(
    "unhandled_reply",
    WorkKind(
        title=_("Text that could not be handled"),
        outcomes={"read": _("Read and dealt with")},
        may_be_about=may_be_about,
    ),
)
