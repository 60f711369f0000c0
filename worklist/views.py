"""The worklist: a plain list of what needs a person."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.drafts import drop_draft
from accounts.http import StaffRequest
from accounts.once import once
from accounts.policies import policy, requires
from worklist.forms import CloseForm
from worklist.queries import get_item, items_of, open_items
from worklist.registry import work_kinds
from worklist.services import claim_item, close_item


@policy(requires("worklist.view_workitem"), "GET")
def item_list(request: StaffRequest) -> HttpResponse:
    """List what needs somebody, the most pressing first."""
    return render(
        request,
        "worklist/item_list.html",
        {
            "items": open_items(request.user),
            "count": items_of(request.user).count(),
            "now": timezone.now(),
        },
    )


@policy(requires("worklist.change_workitem"), "POST")
@once
def item_claim(request: StaffRequest, pk: int) -> HttpResponse:
    """Take an item on."""
    item = get_item(request.user, pk)
    try:
        claim_item(item_id=item.pk, by=request.user)
    except ValidationError as error:
        messages.error(request, error.messages[0])
    return redirect("worklist:item_close", pk=item.pk)


@policy(requires("worklist.change_workitem"), "GET", "POST")
@once
def item_close(request: StaffRequest, pk: int) -> HttpResponse:
    """Show one item with all that was done about it, and end it with an outcome.

    Whoever comes second is told so, and still sees the note they wrote. An item that is
    dealt with elsewhere leads there.
    """
    item = get_item(request.user, pk)
    if page := work_kinds[item.kind].page:
        return redirect(page(item))
    form = CloseForm(request.POST or None, item=item, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            closed = close_item(item_id=item.pk, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.refuse(error)
        else:
            if not item.closed_at and closed.closed_by_id == request.user.pk:
                drop_draft(user=request.user, key=form.draft_key)
                messages.success(
                    request, _("Done: %(reason)s") % {"reason": item.sentence}
                )
                return redirect("worklist:item_list")
            item = closed
            form.add_error(
                None,
                _("%(name)s has closed this before; nothing was changed.")
                % {"name": closed.closed_by or _("A rule")},
            )
    return render(
        request,
        "worklist/item_close.html",
        {
            "item": item,
            "form": form,
            "events": item.events.select_related("by"),
            "template": work_kinds[item.kind].template,
        },
    )
