"""In shadow mode the pages say so, in both languages, and nobody is told that the district is controlled."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from ems.district import District
from tests.web.conftest import decision


def shadowed(district: District) -> dict[str, Any]:
    record = decision(district)
    sent = [one | {"outcome": {"kind": "withheld", "value": one["value"]}} for one in record["sent"]]
    return record | {"shadow": True, "sent": sent}


@pytest.mark.parametrize(
    ("language", "mode", "count"),
    [
        ("en", "Shadow mode: observed and decided, nothing is written", "set points would have been written"),
        ("fr", "En observation (shadow) : mesuré et décidé, rien n’est écrit", "consignes auraient été écrites"),
    ],
)
def test_a_manager_reads_that_nothing_is_written(
    open_pages: Callable[..., TestClient], district: District, language: str, mode: str, count: str
) -> None:
    record = shadowed(district)
    client = open_pages(None, record, as_manager=True)
    for address in ("/", f"/manager/decisions/{record['slot']}"):
        page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", client.get(f"{address}?lang={language}").text))
        page = page.replace("&#39;", "'").replace("\u00a0", " ").replace("\u202f", " ")
        assert mode in page, address
        assert f"{len(record['sent'])} {count}" in page, address


def test_a_shadow_is_not_called_controlled(open_pages: Callable[..., TestClient], district: District) -> None:
    answer = open_pages(None, shadowed(district)).get("/healthz")
    assert (answer.status_code, answer.json()["state"], answer.json()["controlled"]) == (503, "shadow", False)
