"""The host agent: makes this machine's sessions what the database says they should be, and reports what they are."""
