"""Every command of every SCPI twin, with all sorts of parameters: an answer or an error, never silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.simulated.registry import open_bench
from drivers.simulated.twin import Transport
from drivers.simulated.twins.scpi_twin import ScpiTwin

MODELS = [
    "keysight-81160a", "keysight-33522b", "keysight-33622a", "keithley-2400", "keithley-2450", "keysight-b2902a",
]  # fmt: skip
_WORDS = (
    "|0|1|-1|2.5|1E-9|1E300|-1E300|1E-300|1E9999|NAN|INF|MIN|MAX|DEF|UP|ON|OFF|PULS|SIN|ARB|USER|DC|VOLT|CURR|LIST|SWE|"
    'BUS|MAN|REAL,32|\'CURR\'|"VOLT","RES"|(@1)|(@1,2)|(@3:1)|#13abc|#0abc|1,2,3|1 V|1MHZ|X,1,2,3,4,5,6,7,8|1,1|0,1,5'
)
WORDS = tuple(_WORDS.split("|"))


BENCH = """
version: 1
name: t
instruments:
  smu: {{driver: keysight-b2900, address: "GPIB0::24::INSTR", backend: "@pcm", simulated: {{model: {model}}}}}
wiring:
  - smu.1 -- 100 kOhm -- ground
"""


@contextmanager
def twin_of(tmp_path: Path, model: str) -> Iterator[ScpiTwin]:
    path = tmp_path / "bench.yaml"
    path.write_text(BENCH.format(model=model))
    with open_bench(path) as bench:
        twin = next(iter(bench.instruments.values())).twin
        assert isinstance(twin, ScpiTwin)
        yield twin


def short(header: str) -> str:
    """Spell a header with its optional nodes left out, in the short form."""
    bare = re.sub(r"\[[^\]]*\]", "", header)
    return re.sub(r"[a-z]+", "", bare).replace("#", "1") or header


@pytest.mark.parametrize("model", MODELS)
def test_each_header_with_each_parameter(tmp_path: Path, model: str) -> None:
    with twin_of(tmp_path, model) as twin:
        link = twin.connect(Transport.GPIB)
        headers = twin.table.headers()
        assert len(headers) > 80
        for header in headers:
            for word in WORDS:
                link.feed(f"{short(header)} {word}\n".encode(), end=True)
            link.clear()
            link.feed(b"*RST;*CLS;*OPC?\n", end=True)
            assert bytes(link.output.peek()).startswith(b"1"), header
            link.clear()


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_sequence_silences_it(tmp_path: Path, model: str, data: st.DataObject) -> None:
    with twin_of(tmp_path, model) as twin:
        headers = [short(header) for header in twin.table.headers()]
        units = st.tuples(st.sampled_from(headers), st.sampled_from(WORDS)).map(" ".join)
        link = twin.connect(Transport.GPIB)
        for message in data.draw(st.lists(st.lists(units, max_size=3).map(";:".join), max_size=25)):
            link.feed(message.encode() + b"\n", end=True)
            link.poll()
        link.clear()
        link.feed(b"*IDN?\n", end=True)
        assert bytes(link.output.peek()).count(b",") == 3
