"""The provider, in a process of its own: it misbehaves by dice until told to be well.

``python -m tests.soak.provider LEDGER SEED`` prints its address and keeps in LEDGER
what it truly sent. A line on its input ends the misbehaving, the end of it the process.
"""

import json
import random
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.fakes.twilio import Accepted, Behaviour, Callback, FakeTwilio

#: Of a thousand requests so many meet this.
FAULTS: dict[Behaviour, int] = {
    Behaviour.SERVER_ERROR_BEFORE: 5,
    Behaviour.SERVER_ERROR_AFTER: 5,
    Behaviour.CUT_BEFORE: 5,
    Behaviour.CUT_AFTER: 5,
    Behaviour.UNPARSABLE_AFTER: 3,
    Behaviour.error(429, 20429, retry_after="2"): 15,
    Behaviour.hang_after(25): 1,
    Behaviour(accepts=False, answer=Behaviour.HANG_BEFORE.answer, seconds=25): 1,
}
#: Orders in which callbacks come, and whether before the answer.
CALLBACKS: tuple[tuple[tuple[Callback, ...], bool], ...] = (
    *[(("sent", "delivered"), False)] * 8,
    (("sent", "delivered"), True),
    (("sent", "sent", "delivered", "delivered"), False),
    (("delivered", "sent"), False),
    (("sent", ("undelivered", 30003)), False),
)
#: So many of a hundred callbacks never leave.
LOST = 5


class Moody(FakeTwilio):
    """A fake whose every answer is drawn anew, while it is not well."""

    well = False

    def __init__(self, seed: int, **options: Any) -> None:
        self.dice = random.Random(seed)
        super().__init__(**options)

    @property
    def _default(self) -> Behaviour:
        if self.well:
            return Behaviour.OK
        well = 1000 - sum(FAULTS.values())
        (behaviour,) = self.dice.choices(
            [Behaviour.OK, *FAULTS], [well, *FAULTS.values()]
        )
        callbacks, early = self.dice.choice(CALLBACKS)
        return behaviour.calling_back(*callbacks, early=early)

    @_default.setter
    def _default(self, behaviour: Behaviour) -> None:
        """What is set for always is drawn here."""

    def _send_callback(self, sid: str, callback: Callback) -> None:
        if self.well or self.dice.randrange(100) >= LOST:
            super()._send_callback(sid, callback)
            return
        status, code = (callback, None) if isinstance(callback, str) else callback
        self.set_status(sid, status, error_code=code)
        with self._changed:
            self._pending -= 1


def read_ledger(path: Path) -> list[Accepted]:
    """Return what was truly sent, as the provider wrote it down."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return [Accepted(**row | {"at": datetime.fromisoformat(row["at"])}) for row in rows]


def main(ledger: str, seed: str) -> None:
    """Serve until the input ends."""
    fake = Moody(
        int(seed),
        ledger_path=Path(ledger),
        webhook_timeout=5,
        # Checked in every other test; here it would be the slowest part.
        spec_path=Path("/nonexistent"),
    ).start()
    sys.stdout.write(fake.url + "\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        for _line in sys.stdin:
            fake.well = True
            fake.release()
    fake.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
