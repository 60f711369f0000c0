"""The pages of patients, a file a subject."""
