"""docs/access.md: who may open which address, written down from the policies.

``python -m tests.access_table`` writes it; ``tests/test_access.py`` fails when it is
stale, and holds every line of it against the product.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

PAGE = Path(__file__).resolve().parents[1] / "docs" / "access.md"
HEAD = """\
# Who may open what

Written by `python -m tests.access_table` from the policy each address declares
(`accounts/policies.py`) and from what each role allows (`accounts/roles.py`).
`tests/test_access.py` asks every address as every role, by every method, about things
within and beyond their reach, and fails when an answer is another one.

A login without the permission gets 403, a method that is not named 405, anything of a
patient out of reach 404, as if it were not there; whoever is not signed in is sent to
the login. *Anyone* needs no login, for the reason given. *Fresh* asks for the password
or a passkey again when that is more than five minutes past. *Polled* is asked by a page
by itself, and never counts as somebody being there. Django admin (`/admin/`) opens to
those marked *staff*, for what their role may set up.

Within reach is a patient of one of one's own sites, and one opened by emergency access
while it lasts. Whoever may see a patient may see all their visits; visits are changed
by the staff of their site alone, and nobody is booked under emergency access.

"""


def addresses() -> Iterator[tuple[str, str, Any]]:
    """Yield (route, name, policy) of every address but those of Django admin."""
    from accounts.policies import policy_for, walk_addresses  # noqa: PLC0415 - after setup

    for address in walk_addresses():
        if not address.name.startswith("admin:"):
            rule = policy_for(address.callback, address.name)
            assert rule is not None, address
            yield "/" + address.route, address.name, rule


def table() -> str:
    """Return the page."""
    from accounts.roles import PERMISSIONS, Role  # noqa: PLC0415 - after setup

    lines = [
        "| address | methods | " + " | ".join(role.value for role in Role) + " | |",
        "|---|---|" + "---|" * len(Role) + "---|",
    ]
    for route, _name, rule in sorted(addresses(), key=lambda entry: entry[0]):
        cells = [
            "anyone"
            if rule.public
            else "yes"
            if not rule.permission or rule.permission in PERMISSIONS[role]
            else "–"
            for role in Role
        ]
        methods = " ".join(sorted(rule.methods - {"HEAD"})) or "as its library has it"
        remarks = [
            rule.reason if rule.public else f"`{rule.permission}`",
            *(["fresh"] if rule.fresh else []),
            *(["polled"] if rule.polled else []),
        ]
        remark = ", ".join(one for one in remarks if one != "``")
        lines.append(f"| `{route}` | {methods} | {' | '.join(cells)} | {remark} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clinic_crm.settings")
    django.setup()
    PAGE.write_text(table(), encoding="utf-8")
