"""
The figures of a window in one file: those that the reports of the ideas show, all of one moment.

Pure but for what it asks the store it is handed.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from steward.errors import InvalidArgument
from steward.spreadsheets import harmless
from steward.types import ExportedFile, ExportFormat, FieldViolation, InteractionFilter
from stewardd import analytics, content, performance, quality, questions
from stewardd.analytics import INSIGHTS_DAYS
from stewardd.filters import Window, check_filter, window
from stewardd.privacy import RULES_VERSION, Redactor
from stewardd.store import Store

MEDIA_TYPES = {ExportFormat.JSON: ("summary.json", "application/json"), ExportFormat.CSV: ("summary.csv", "text/csv")}

Line = tuple[str, str, str, Any]  # section, item, metric, value


@dataclass(frozen=True, slots=True)
class Asked:
    """What a summary is of."""

    span: Window
    chosen: InteractionFilter
    now: datetime


def asked(
    since: datetime | None, until: datetime | None, chosen: InteractionFilter, *, form: int, now: datetime
) -> Asked:
    """Return what is asked for, by default the last 30 days. Raises: InvalidArgument."""
    if form not in (ExportFormat.UNSPECIFIED, *MEDIA_TYPES):
        raise InvalidArgument.of(FieldViolation("format", "must be JSON or CSV; unset means JSON"))
    check_filter(chosen, now=now, prefix="filter.")
    return Asked(window(since, until, default=INSIGHTS_DAYS, now=now), chosen, now)


def exported(
    store: Store,
    of: Asked,
    *,
    form: ExportFormat,
    raw: bool,
    redactor: Redactor,
    conversion_queries: int,
    version: str,
) -> ExportedFile:
    """Return the summary *of* what is asked for as a file. Cells of CSV are made harmless unless *raw*."""
    found = sections(store, of, redactor=redactor, conversion_queries=conversion_queries, version=version)
    form = form or ExportFormat.JSON
    text = spreadsheet(found, raw=raw) if form == ExportFormat.CSV else document(found)
    return ExportedFile(*MEDIA_TYPES[form], text.encode())


# Asking


def sections(
    store: Store, of: Asked, *, redactor: Redactor, conversion_queries: int, version: str
) -> dict[str, Mapping[str, Any] | list[Any]]:
    """Return the sections of the summary in their order, with values as JSON knows them."""
    span, chosen, now = of.span, of.chosen, of.now
    common: dict[str, Any] = {
        "since": span.since,
        "until": span.until,
        "chosen": chosen,
        "redactor": redactor,
        "now": now,
    }
    with store.snapshot():
        score = quality.score(store, now=now)
        summary = analytics.summarize(store, **common, conversion_queries=conversion_queries, quality_score=score)
        insights = analytics.insights(store, **common)
        fared = performance.over(store, span, chosen, redactor=redactor, now=now)
        used = content.report(
            store,
            since=span.since,
            until=span.until,
            user_roles=chosen.user_roles,
            content_types=(),
            limit=None,
            now=now,
        )
        asked_most = questions.common(store, **common, limit=None)
    total = insights.interactions
    return {
        "export_info": {
            "exported_at": _plain(now),
            "since": _plain(span.since),
            "until": _plain(span.until),
            "schema_version": store.schema_version,
            "program_version": version,
            "redaction_rules_version": RULES_VERSION,
            "filter": worded(chosen, redactor=redactor),
        },
        "user_interactions": {
            "interactions": _plain(summary.interactions),
            "sessions": _plain(summary.sessions),
            "quality_score": summary.quality_score,
        },
        "role_distribution": [_shared(each, total) for each in insights.by_role],
        "query_patterns": {
            "by_query_type": [_shared(each, total) for each in insights.by_query_type],
            "query_types_by_role": _plain(insights.query_types_by_role),
        },
        "performance_metrics": {
            "interactions": fared.interactions,
            "success_rate": fared.success_rate,
            "response_times": _plain(fared.response_times),
            "metrics": _plain(fared.metrics),
            "response_time_trend": _plain(fared.response_time_trend),
            "volume_trend": _plain(fared.volume_trend),
        },
        "content_effectiveness": _plain(used),
        "top_questions": _plain(asked_most.questions),
    }


def worded(chosen: InteractionFilter, *, redactor: Redactor) -> str:
    """Return *chosen* in words: neither whose session, nor what was searched for."""
    return ", ".join(_words(chosen, redactor)) or "all interactions"


def _words(chosen: InteractionFilter, redactor: Redactor) -> Iterator[str]:
    if chosen.since is not None:
        yield f"from {_plain(chosen.since)} on"
    if chosen.until is not None:
        yield f"before {_plain(chosen.until)}"
    for name, labels in (("role", chosen.user_roles), ("query type", chosen.query_types)):
        if labels:
            yield f"{name} " + " or ".join(redactor.redact(each)[0] for each in labels)
    if chosen.session_id is not None or chosen.session is not None:
        yield "one session"
    if chosen.success is not None:
        yield "answered well" if chosen.success else "not answered well"
    if chosen.min_rating is not None:
        yield f"rated {chosen.min_rating:g} or more"
    if chosen.max_rating is not None:
        yield f"rated {chosen.max_rating:g} or less"
    if chosen.text:
        yield "the question has a certain text"


def _shared(group: Any, total: int) -> dict[str, Any]:
    """Return *group* with its share of the *total* behind its interactions."""
    found = {}
    for name, value in _plain(group).items():
        found[name] = value
        if name == "interactions":
            found["share"] = value / total
    return found


def _plain(value: Any) -> Any:
    """Return *value* as JSON knows it."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


# Writing


def document(found: Mapping[str, Any]) -> str:
    """Return the sections *found* as one JSON object."""
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def spreadsheet(found: Mapping[str, Any], *, raw: bool) -> str:
    """Return the sections *found* as CSV, a figure a line, by RFC 4180."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("section", "item", "metric", "value"))
    writer.writerows(line if raw else map(harmless, line) for line in lines(found))
    return text.getvalue()


# Of each list, what names its entries; where two do, the second stands in the metric.
_NAMED = {
    "role_distribution": ("user_role",),
    "query_patterns.by_query_type": ("query_type",),
    "query_patterns.query_types_by_role": ("user_role", "query_type"),
    "content_effectiveness.items": ("content_type", "content_id"),
    "content_effectiveness.types": ("content_type",),
    "top_questions": ("question",),
}


def lines(found: Mapping[str, Any]) -> Iterator[Line]:
    """Yield the figures of the sections *found*, one a line."""
    for section, parts in found.items():
        yield from _lines(section, section, parts, metric="")


def _lines(section: str, path: str, value: Any, *, metric: str) -> Iterator[Line]:
    if path in _NAMED:
        yield from _entries(section, path, value)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _lines(section, f"{path}.{name}", each, metric=f"{metric}.{name}" if metric else name)
    else:
        yield section, "", metric, _cell(value)


def _entries(section: str, path: str, entries: Iterable[Mapping[str, Any]]) -> Iterator[Line]:
    first, *second = _NAMED[path]
    for entry in entries:
        place = [*path.split(".")[1:], *(entry[name] for name in second)]
        for name, value in entry.items():
            if name not in _NAMED[path]:
                yield section, entry[first], ".".join([*place, name]), _cell(value)


def _cell(value: Any) -> Any:
    return "; ".join(value) if isinstance(value, list) else value
