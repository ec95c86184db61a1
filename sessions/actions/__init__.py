"""What people can do to sessions, presets and links: plain functions, used by portal, admin and consumers alike.

``check_…`` reads and refuses (`ActionError`), ``do_…`` writes, ``notify_…`` publishes, after commit and only then.
All of them block: an event loop calls them through ``sync_to_async``.
"""

from .errors import ActionError

__all__ = ["ActionError"]
