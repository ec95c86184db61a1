"""Static files from the application's own folders, where no proxy serves a collected copy.

Django's handler for the development server does the work, in a thread per file; here it gets the types that browsers
insist on, and an answer for paths that try to leave the folder.
"""

from __future__ import annotations

import mimetypes
from typing import Any

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import SuspiciousOperation
from django.http import FileResponse, Http404, HttpRequest, HttpResponse

# Browsers refuse modules of another type, and a machine's own table may know none.
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


class StaticFiles(ASGIStaticFilesHandler):
    """The ASGI application ``application`` with static files in front of it."""

    def __init__(self, application: Any) -> None:
        for ending, mime in _TYPES.items():
            mimetypes.add_type(mime, ending)
        super().__init__(application)

    def serve(self, request: HttpRequest) -> HttpResponse | FileResponse:
        """Return the file; raise `Http404` for what does not exist or lies outside."""
        try:
            return super().serve(request)
        except (SuspiciousOperation, ValueError) as error:
            raise Http404(str(error)) from None
