"""What a pass does in messaging, in order."""

from accounts.ticks import ticks
from messaging.dispatch import dispatch_due, reap, settle_unknown
from messaging.duty import watch_red
from messaging.handover import overtaken_letters
from messaging.inbound import handle_received
from messaging.ladder import climb, open_due
from messaging.mail_in import read_mailbox
from messaging.polling import poll
from messaging.promises import watch

STEPS = {
    "messaging.handle_received": handle_received,
    "messaging.reap": reap,
    "messaging.settle_unknown": settle_unknown,
    "messaging.climb": climb,
    "messaging.overtaken_letters": overtaken_letters,
    # Before what it promises is opened.
    "messaging.watch_red": watch_red,
    "messaging.open_due": open_due,
    "messaging.dispatch_due": dispatch_due,
    "messaging.watch": watch,
    # Last: a provider that hangs holds up nothing that is due.
    "messaging.poll": poll,
    "messaging.read_mailbox": read_mailbox,
}

for _key, _step in STEPS.items():
    ticks.add(_key, _step)


def run_messaging() -> None:
    """Handle, open and send what is due now; the quick part of a pass."""
    handle_received()
    watch_red()
    open_due()
    dispatch_due()
