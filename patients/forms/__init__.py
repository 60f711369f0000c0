"""Forms about patients, a file a subject."""
