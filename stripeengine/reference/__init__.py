"""The reference pipeline: the engine's contract in legible Python, the oracle of the tests.

`encoders` makes the lossy payloads, `source` holds the picture, `engine` decides what is sent and when.
"""
