"""The embedded run: web, worker and broker, started and ended by one command.

Needs nothing but the packages in ``requirements.txt``: SQLite, a broker of its own, the
simulated phone and mailbox. It only starts and watches programs, so it imports neither
Django nor anything of ours and stays small. What ``DATABASE_URL`` and
``CELERY_BROKER_URL`` name is used instead, where they are set here or in ``.env``;
servers that merely listen on the machine are left alone.
"""

import os
import sys

from embedded.config import Config, RunError, say
from embedded.run import Run


def main() -> int:
    """Run the clinic until it is told to end; return the exit code."""
    try:
        run = Run(Config(os.environ))
    except RunError as reason:
        say(str(reason))
        return 1
    try:
        run.start()
        run.watch()
    except RunError as reason:
        say(str(reason))
        return 1
    finally:
        run.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
