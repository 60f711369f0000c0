"""How passwords are kept."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id in a lighter setting that OWASP recommends: 46 MiB, one pass, one lane.

    Django's own parameters take 100 MiB and 0.3 s a check, which makes a handful of
    parallel logins an outage on a small server.
    """

    time_cost = 1
    memory_cost = 47104
    parallelism = 1
