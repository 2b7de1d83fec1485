"""A fresh simulated board behind each of its two faces, and the driver ready on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from two_faces import FACES, Face, opened

from drivers.controller import PcmController


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Face]:
    yield from opened(request.param, monkeypatch, tmp_path)


@pytest.fixture
def chip(face: Face) -> Iterator[PcmController]:
    with face.ready() as chip:
        yield chip
