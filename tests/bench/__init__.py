"""Speed beside a baseline taken in the same run: ``python -m tests.bench``."""
