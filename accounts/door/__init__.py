"""The door: signing in, second factors, sessions, the lock, and leaving."""
