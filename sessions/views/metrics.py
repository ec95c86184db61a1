"""``/metrics``: the platform in Prometheus' text format, for staff who may see sessions or who holds the token.

Everything is read when it is asked for, from the database and Redis: any web process gives the same answer, and none
keeps counters that die with it. Blocks on both.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator

from django.db import Error as DatabaseTrouble
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..conf import conf
from ..latency import Quantiles
from ..models import DesktopSession, SessionHost
from ..reports import ViewerReport, read_reports
from ..states import State
from ..status import LiveStatus, read_statuses

MOST_SESSIONS = 2000
"""Living sessions told of one by one, the newest; of more there are the counts."""
_QUANTILES = ("0.5", "0.95")


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer 401 to strangers; 503 when the database is away."""
    if not _may_read(request):
        text = "Log in as staff who may view sessions, or send the token of STRIPEDESK_METRICS_TOKEN.\n"
        answer = HttpResponse(text, status=401, content_type="text/plain; charset=utf-8")
        answer["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return answer
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Everything())
    try:
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
    except DatabaseTrouble:
        return HttpResponse("The database cannot be reached.\n", status=503, content_type="text/plain; charset=utf-8")


def _may_read(request: HttpRequest) -> bool:
    user = request.user
    if user.is_authenticated and user.is_active and user.is_staff and user.has_perm("desktops.view_desktopsession"):
        return True
    token = conf().metrics_token
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


class _Everything(Collector):
    """Reads when it is asked."""

    def collect(self) -> Iterator[Metric]:
        counts = Counter(dict(DesktopSession.objects.values_list("state").annotate(Count("pk")).order_by()))
        states = GaugeMetricFamily("stripedesk_sessions", "Sessions by state.", labels=["state"])
        for state in State:
            states.add_metric([state.value], counts[state.value])
        yield states
        hosts = GaugeMetricFamily("stripedesk_host_up", "Whether a host's agent was heard of lately.", labels=["host"])
        for host in SessionHost.objects.all():
            hosts.add_metric([host.name], host.alive)
        yield hosts
        final = [state.value for state in State if state.final]
        living = DesktopSession.objects.exclude(state__in=final).values_list("id", flat=True)
        sids = [pk.hex for pk in living[:MOST_SESSIONS]]
        statuses, reports = read_statuses(sids), read_reports(sids)
        reached = statuses is not None and reports is not None
        yield GaugeMetricFamily("stripedesk_redis_up", "Whether Redis answers.", value=reached)
        yield from _of_sessions(statuses or {})
        yield from _of_viewers(reports or {})


def _of_sessions(statuses: dict[str, LiveStatus]) -> Iterator[Metric]:
    labels = ["session"]
    streaming = GaugeMetricFamily("stripedesk_session_streaming", "Whether its worker streams.", labels=labels)
    viewers = GaugeMetricFamily("stripedesk_session_viewers", "Who watches.", labels=labels)
    fps = GaugeMetricFamily("stripedesk_session_fps", "Frames published a second.", labels=labels)
    kbps = GaugeMetricFamily("stripedesk_session_kbps", "kbit published a second.", labels=labels)
    put_off = CounterMetricFamily(
        "stripedesk_session_captures_put_off", "Captures merged into the next, of the present worker.", labels=labels
    )
    times = _times("stripedesk_session_stage_seconds", "Stages in the worker, of the last 256 frames.", labels)
    for sid, status in statuses.items():
        streaming.add_metric([sid], status.stream == "streaming")
        viewers.add_metric([sid], status.viewers)
        fps.add_metric([sid], status.fps)
        kbps.add_metric([sid], status.kbps)
        put_off.add_metric([sid], status.dropped)
        _add_times(times, [sid], status.stages)
    yield from (streaming, viewers, fps, kbps, put_off, times)


def _of_viewers(reports: dict[str, list[ViewerReport]]) -> Iterator[Metric]:
    labels = ["session", "viewer"]
    fps = GaugeMetricFamily("stripedesk_viewer_fps", "Pictures sent a second.", labels=labels)
    kbps = GaugeMetricFamily("stripedesk_viewer_kbps", "kbit of pictures sent a second.", labels=labels)
    link = GaugeMetricFamily("stripedesk_viewer_link_kbps", "What the link carries, 0 for unknown.", labels=labels)
    dropped = CounterMetricFamily(
        "stripedesk_viewer_frames_dropped", "Frames not passed on since he joined.", labels=[*labels, "reason"]
    )
    times = _times("stripedesk_viewer_stage_seconds", "Stages on the way to him, of the last 256.", labels)
    for sid, listed in reports.items():
        for report in listed:
            key = [sid, report.viewer]
            fps.add_metric(key, report.fps)
            kbps.add_metric(key, report.kbps)
            link.add_metric(key, report.rate_kbps)
            for reason, count in report.dropped.items():
                dropped.add_metric([*key, reason], count)
            _add_times(times, key, report.stages)
    yield from (fps, kbps, link, dropped, times)


def _times(name: str, what: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, labels=[*labels, "stage", "quantile"])


def _add_times(family: GaugeMetricFamily, key: list[str], stages: Quantiles) -> None:
    for stage, pair in stages.items():
        for quantile, ms in zip(_QUANTILES, pair, strict=True):
            family.add_metric([*key, stage, quantile], ms / 1000)
