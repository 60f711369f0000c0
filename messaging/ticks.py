"""What a pass does in messaging, in order."""

from accounts.ticks import ticks
from messaging.dispatch import dispatch_due, reap, settle_unknown
from messaging.inbound import handle_received
from messaging.ladder import climb, open_due
from messaging.promises import watch

STEPS = {
    "messaging.handle_received": handle_received,
    "messaging.reap": reap,
    "messaging.settle_unknown": settle_unknown,
    "messaging.climb": climb,
    "messaging.open_due": open_due,
    "messaging.dispatch_due": dispatch_due,
    "messaging.watch": watch,
}

for _key, _step in STEPS.items():
    ticks.add(_key, _step)


def run_messaging() -> None:
    """Handle, open and send what is due now; the quick part of a pass."""
    handle_received()
    open_due()
    dispatch_due()
