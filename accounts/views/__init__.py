"""Pages about logins, the audit, long work and drafts."""
