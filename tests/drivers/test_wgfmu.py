"""The adapter to the WGFMU library over a simulated library, and the ctypes layer over functions of C."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flex_bench import ADDRESS, bench_file

from drivers.errors import InstrumentError, SettingOutOfRange
from drivers.instruments import keysight_wgfmu_library as lib
from drivers.instruments.keysight_wgfmu import Wgfmu
from drivers.instruments.keysight_wgfmu_dll import VendorLibrary, WgfmuLibraryMissing
from drivers.instruments.keysight_wgfmu_library import WgfmuLibrary
from drivers.instruments.keysight_wgfmu_pattern import MeasureEvent, Pattern, RangeEvent
from drivers.roles import PulseShape
from drivers.simulated.registry import SimulatedBench, open_bench
from drivers.simulated.twins.keysight_wgfmu import SimulatedWgfmuLibrary

WIRING = ("b1500.601 -- 10 kOhm -- ground", "b1500.602 -- 1 kOhm -- ground")
SHAPE = PulseShape(rise_s=100e-9, top_s=800e-9, fall_s=100e-9, period_s=2e-6)
EVENT = MeasureEvent("top", start_s=200e-9, points=5, interval_s=100e-9, average_s=100e-9)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[SimulatedBench]:
    with open_bench(bench_file(tmp_path, wiring=WIRING)) as opened:
        yield opened


@pytest.fixture
def library(bench: SimulatedBench) -> SimulatedWgfmuLibrary:
    return SimulatedWgfmuLibrary(bench)


@pytest.fixture
def wgfmu(library: SimulatedWgfmuLibrary) -> Iterator[Wgfmu]:
    with Wgfmu.open(ADDRESS, library=library) as opened:
        yield opened


# ---- playing and measuring ------------------------------------------------------------------------------
def test_a_pulse_is_played_and_measured_at_its_top(wgfmu: Wgfmu, bench: SimulatedBench) -> None:
    assert wgfmu.channels == (601, 602)
    wgfmu.configure(601, range_a=1e-3)
    pulse = Pattern.pulse("read", SHAPE, 1.0).measuring(EVENT)
    before = bench.world.now_ns
    found = wgfmu.run({601: [(pulse, 1)]})[601]
    assert bench.world.now_ns - before == 2000
    np.testing.assert_allclose(found.value, 1e-4, atol=5e-6)
    np.testing.assert_allclose(found.t_s, 200e-9 + np.arange(5) * 100e-9)


def test_repetitions_are_measured_every_time(wgfmu: Wgfmu) -> None:
    wgfmu.configure(601, range_a=1e-3)
    found = wgfmu.run({601: [(Pattern.pulse("read", SHAPE, 1.0).measuring(EVENT), 3)]})[601]
    assert found.value.shape == (15,)
    np.testing.assert_allclose(np.diff(found.t_s)[4::5], 2e-6 - 400e-9)


def test_a_set_pulse_and_a_read_pulse_behind_it(wgfmu: Wgfmu) -> None:
    wgfmu.configure(601, range_a=1e-3)
    high = Pattern.pulse("set", SHAPE, 3.0)
    read = Pattern.pulse("read", SHAPE, 0.5).measuring(EVENT)
    found = wgfmu.run({601: [(high, 2), (read, 1)]})[601]
    np.testing.assert_allclose(found.value, 5e-5, atol=5e-6)
    assert found.t_s[0] == pytest.approx(4e-6 + 200e-9)


def test_two_channels_start_together(wgfmu: Wgfmu) -> None:
    wgfmu.configure(601, range_a=1e-3)
    wgfmu.configure(602, mode="pg", force="5V", measure="voltage", range_v=5.0)
    found = wgfmu.run(
        {
            601: [(Pattern.pulse("one", SHAPE, 1.0).measuring(EVENT), 1)],
            602: [(Pattern.pulse("two", SHAPE, 2.0).measuring(EVENT), 1)],
        }
    )
    np.testing.assert_allclose(found[601].value, 1e-4, atol=5e-6)
    np.testing.assert_allclose(found[602].value, 2.0 * 1000 / 1050, atol=0.05)  # PG: behind 50 ohm


def test_a_million_pulses_without_measurements(wgfmu: Wgfmu, bench: SimulatedBench) -> None:
    wgfmu.configure(601, measure=None)
    before = bench.world.now_ns
    assert wgfmu.run({601: [(Pattern.pulse("wear", SHAPE, 1.0), 10**6)]}) == {}
    assert (bench.world.now_ns - before) * 1e-9 == pytest.approx(2.0, rel=1e-3)


def test_a_finer_range_is_quieter(wgfmu: Wgfmu) -> None:
    wide = Pattern("dc", 0.0, ((100e-9, 0.01), (20e-6, 0.01))).measuring(
        MeasureEvent("i", 1e-6, 100, 100e-9, 100e-9)
    )
    spread = []
    for range_a in (1e-2, 1e-5):
        wgfmu.configure(601, range_a=range_a)
        spread.append(np.std(wgfmu.run({601: [(wide, 1)]})[601].value))
    assert spread[0] > 100 * spread[1] > 0


def test_a_range_changes_within_a_pattern(wgfmu: Wgfmu) -> None:
    wgfmu.configure(601, range_a=1e-5)
    pattern = Pattern(
        "p",
        0.0,
        ((100e-9, 1.0), (2e-6, 1.0)),
        (MeasureEvent("before", 500e-9, 2, 100e-9), MeasureEvent("after", 1500e-9, 2, 100e-9)),
        (RangeEvent("wider", 1e-6, 1e-3),),
    )
    values = wgfmu.run({601: [(pattern, 1)]})[601].value
    np.testing.assert_allclose(values[:2], 1e-5)  # clipped
    np.testing.assert_allclose(values[2:], 1e-4, atol=1e-5)


def test_raw_data_are_every_sample(wgfmu: Wgfmu) -> None:
    wgfmu.configure(601, range_a=1e-3)
    event = MeasureEvent("raw", 200e-9, 2, 100e-9, 50e-9, raw=True)
    found = wgfmu.run({601: [(Pattern.pulse("p", SHAPE, 1.0).measuring(event), 1)]})[601]
    assert found.t_s.shape == (20,)
    np.testing.assert_allclose(np.diff(found.t_s[:10]), 5e-9)


# ---- patterns -------------------------------------------------------------------------------------------
def test_patterns_are_joined_and_stretched() -> None:
    one, two = Pattern.pulse("one", SHAPE, 1.0), Pattern.pulse("two", SHAPE, 2.0)
    assert one.duration_s == pytest.approx(2e-6)
    assert one.then(two, "both").duration_s == pytest.approx(4e-6)
    stretched = one.scaled("slow", time=10.0, voltage=-0.5)
    assert stretched.duration_s == pytest.approx(20e-6)
    assert stretched.levels_v.min() == -0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pattern("", 0.0, ((1e-6, 1.0),)),
        lambda: Pattern("ü", 0.0, ((1e-6, 1.0),)),
        lambda: Pattern("p", 0.0, ()),
        lambda: Pattern("p", 0.0, ((15e-9, 1.0),)),
        lambda: Pattern("p", 0.0, ((0.0, 1.0),)),
        lambda: Pattern("p", 0.0, ((20_000.0, 1.0),)),
        lambda: Pattern.pulse("p", SHAPE, 1.0).measuring(MeasureEvent("e", 0.0, 5, 5e-9)),
        lambda: Pattern.pulse("p", SHAPE, 1.0).measuring(MeasureEvent("e", 0.0, 5, 2.0)),
        lambda: Pattern.pulse("p", SHAPE, 1.0).measuring(MeasureEvent("e", 0.0, 5, 1e-6)),
        lambda: Pattern.pulse("p", SHAPE, 1.0).measuring(MeasureEvent("e", 0.0, 0, 1e-7)),
        lambda: Pattern.pulse("p", SHAPE, 1.0).measuring(MeasureEvent("e", 0.0, 2, 1e-7, 2e-7)),
        lambda: Pattern.pulse("p", SHAPE, 1.0).measuring(MeasureEvent("e", 3e-9, 2, 1e-7)),
        lambda: Pattern("p", 0.0, ((1e-6, 1.0),), (), (RangeEvent("r", 0.0, 3e-3),)),
    ],
)
def test_a_pattern_the_module_cannot_play_is_not_made(make: Callable[[], object]) -> None:
    with pytest.raises(SettingOutOfRange, match="nothing was sent"):
        make()


@pytest.mark.parametrize(
    "ask",
    [
        lambda w: w.configure(601, mode="pg"),
        lambda w: w.configure(601, range_a=5e-3),
        lambda w: w.configure(601, range_v=3.0),
        lambda w: w.configure(601, force_delay_s=60e-9),
        lambda w: w.run({602: [(Pattern.pulse("p", SHAPE, 1.0), 1)]}),
        lambda w: (w.configure(601, force="3V"), w.run({601: [(Pattern.pulse("p", SHAPE, 3.5), 1)]})),
        lambda w: (w.configure(601, force="-10V"), w.run({601: [(Pattern.pulse("p", SHAPE, 1.0), 1)]})),
        lambda w: (w.configure(601), w.run({601: [(Pattern.pulse("p", SHAPE, 1.0), 0)]})),
        lambda w: (
            w.configure(601),
            w.run({601: [(Pattern.pulse("p", SHAPE, 1.0), 1), (Pattern.pulse("p", SHAPE, 2.0), 1)]}),
        ),
    ],
)
def test_what_it_cannot_do_is_refused(wgfmu: Wgfmu, ask: Callable[[Wgfmu], object]) -> None:
    with pytest.raises(SettingOutOfRange, match="nothing was sent"):
        ask(wgfmu)


# ---- errors and leaving -----------------------------------------------------------------------------------
def test_codes_of_the_library_become_errors(wgfmu: Wgfmu) -> None:
    with pytest.raises(
        InstrumentError, match=r"WGFMU_setOperationMode returned -9 \(CHANNEL_NOT_FOUND\)"
    ) as caught:
        wgfmu.configure(701)
    assert [(error.code, error.text) for error in caught.value.errors] == [(-9, "CHANNEL_NOT_FOUND")]


def test_nobody_answers_while_easyexpert_is_open(tmp_path: Path) -> None:
    with (
        open_bench(bench_file(tmp_path, options="{easyexpert: open}", wiring=WIRING)) as bench,
        pytest.raises(InstrumentError, match=r"COMMUNICATION.*close EasyEXPERT"),
    ):
        Wgfmu.open(ADDRESS, library=SimulatedWgfmuLibrary(bench))


def test_nobody_answers_elsewhere(library: SimulatedWgfmuLibrary) -> None:
    with pytest.raises(InstrumentError, match="COMMUNICATION"):
        Wgfmu.open("GPIB0::3::INSTR", library=library)


def test_it_is_left_at_zero_volt_and_open(library: SimulatedWgfmuLibrary, bench: SimulatedBench) -> None:
    with Wgfmu.open(ADDRESS, library=library) as wgfmu:
        wgfmu.configure(601)
        wgfmu.run({601: [(Pattern("up", 0.0, ((1e-6, 2.0),)), 1)]})
        assert bench.world.terminal("b1500.601").look().voltage_v == pytest.approx(2.0)
        wgfmu.self_calibrate()
    assert bench.world.terminal("b1500.601").look().current_a == 0.0
    assert library.close_session() == -3


def test_a_change_of_the_set_up_deletes_results(library: SimulatedWgfmuLibrary) -> None:
    assert library.open_session(ADDRESS) == library.initialize() == 0
    library.set_operation_mode(601, lib.MODE_FAST_IV)
    library.connect(601)
    library.create_pattern("p", 0.0)
    library.add_vectors("p", [1e-6], [1.0])
    library.set_measure_event("p", "e", 0.0, 3, 1e-7, 0.0, lib.AVERAGED)
    library.add_sequence(601, "p", 1)
    assert library.get_measure_values(601, 0, 3)[0] == -14  # RESULT_NOT_READY
    assert library.wait_until_completed() == -13  # SEQUENCER_NOT_RUNNING
    assert library.get_status()[1] == lib.IDLE
    assert library.execute() == 0
    assert library.get_status() == (0, lib.COMPLETED, 1e-6, 1e-6)
    assert library.get_measure_value_size(601) == (0, 3, 3)
    assert library.get_measure_values(601, 1, 1)[1] == pytest.approx([1e-7])
    library.set_measure_current_range(601, lib.CURRENT_1MA)
    assert library.get_measure_values(601, 0, 3)[0] == -15  # RESULT_OUT_OF_DATE


def test_the_library_refuses_what_it_does_not_have(library: SimulatedWgfmuLibrary) -> None:
    assert library.initialize() == -3
    assert library.open_session(ADDRESS) == 0
    assert library.open_session(ADDRESS) == -3
    assert library.create_pattern("p", 0.0) == 0
    assert library.create_pattern("p", 0.0) == -12
    assert library.create_pattern("", 0.0) == -2
    assert library.add_vectors("q", [1e-6], [0.0]) == -10
    assert library.add_vectors("p", [1e-9], [0.0]) == -1
    assert library.set_force_delay(601, 1e-6) == -1
    assert library.set_timeout(0.1) == -1
    assert library.add_sequence(601, "q", 1) == -10
    assert library.set_measure_event("p", "e", 0.0, 3, 1e-7, 0.0, lib.AVERAGED) == -1
    assert library.dc_force_voltage(601, 1.0) == -3
    assert "pattern p" in library.get_error_summary()[1]


@pytest.mark.parametrize(
    ("name", "top_v", "duration_s"),
    [("p", 1.0, 2e-6), ("tall", 3.0, 4e-6), ("late", 1.5, 3e-6), ("both", 3.0, 6e-6), ("sum", 3.0, 4e-6)],
)
def test_patterns_are_derived_by_the_library(
    library: SimulatedWgfmuLibrary, bench: SimulatedBench, name: str, top_v: float, duration_s: float
) -> None:
    library.open_session(ADDRESS)
    library.set_operation_mode(601, lib.MODE_FAST_IV)
    library.connect(601)
    library.create_pattern("p", 0.0)
    library.set_vectors("p", [1e-6, 2e-6], [1.0, 0.0])
    assert library.create_multiplied_pattern("tall", "p", 2.0, 3.0) == 0
    assert library.create_offset_pattern("late", "p", 1e-6, 0.5) == 0
    assert library.create_merged_pattern("both", "p", "tall", lib.AXIS_TIME) == 0
    assert library.create_merged_pattern("sum", "p", "tall", lib.AXIS_VOLTAGE) == 0
    assert library.set_trigger_out_event("p", "t", 0.0, 1e-6) == 0
    library.add_sequence(601, name, 1)
    assert library.execute() == 0
    seen = bench.world.terminal("b1500.601").trace()
    assert seen is not None
    assert seen.voltage_v.max() == pytest.approx(top_v, rel=1e-3)
    assert library.get_status()[3] == pytest.approx(duration_s)


# ---- ctypes ---------------------------------------------------------------------------------------------
class CLibrary:
    """Functions as ctypes calls them: they take C values and write through pointers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        def function(*arguments: Any) -> int:
            plain = tuple(getattr(each, "value", each) for each in arguments)
            self.calls.append((name, plain))
            pointed = [each._obj for each in arguments if type(each).__name__ == "CArgObject"]
            if name == "WGFMU_getChannelIdSize":
                pointed[0].value = 2
            elif name == "WGFMU_getChannelIds":
                arguments[0][0], arguments[0][1] = 601, 602
            elif name == "WGFMU_getErrorSummarySize":
                pointed[0].value = 5
            elif name == "WGFMU_getErrorSummary":
                arguments[0].value = b"fault"
            elif name == "WGFMU_getStatus":
                pointed[0].value, pointed[1].value, pointed[2].value = 10_000, 1.5, 2.5
            elif name == "WGFMU_getMeasureValueSize":
                pointed[0].value, pointed[1].value = 2, 3
            elif name == "WGFMU_getMeasureValues":
                pointed[0].value = 2
                arguments[3][0], arguments[3][1] = 1e-6, 2e-6
                arguments[4][0], arguments[4][1] = 1e-4, 2e-4
            elif name == "WGFMU_dcmeasureValue":
                pointed[0].value = 0.25
            elif name == "WGFMU_doSelfCalibration":
                pointed[0].value = 1
                arguments[1].value = b"slot 6"
            return -1 if name == "WGFMU_abort" else 0

        return function


def test_the_vendor_library_is_called_with_c_values() -> None:
    loaded = CLibrary()
    vendor: WgfmuLibrary = VendorLibrary(loaded=loaded)
    assert vendor.open_session("GPIB0::17::INSTR") == 0
    assert vendor.get_channel_ids() == (0, (601, 602))
    assert vendor.get_error_summary() == (0, "fault")
    assert vendor.get_status() == (0, 10_000, 1.5, 2.5)
    assert vendor.get_measure_value_size(601) == (0, 2, 3)
    assert vendor.get_measure_values(601, 0, 3) == (0, [1e-6, 2e-6], [1e-4, 2e-4])
    assert vendor.dc_measure_value(601) == (0, 0.25)
    assert vendor.do_self_calibration() == (0, 1, "slot 6")
    assert vendor.abort() == -1
    assert vendor.set_measure_event("p", "e", 0, 3, 1e-7, 0, lib.RAW) == 0
    assert loaded.calls[-1] == ("WGFMU_setMeasureEvent", (b"p", b"e", 0.0, 3, 1e-7, 0.0, lib.RAW))
    vendor.add_vectors("p", [1e-6, 2e-6], [1, 2])
    name, (pattern, steps, levels, size) = loaded.calls[-1]
    assert (name, pattern, list(steps), list(levels), size) == (
        "WGFMU_addVectors",
        b"p",
        [1e-6, 2e-6],
        [1, 2],
        2,
    )
    assert isinstance(steps, ctypes.Array)


def test_every_function_of_the_table_is_in_both_libraries(library: SimulatedWgfmuLibrary) -> None:
    names = {name for name in vars(WgfmuLibrary) if not name.startswith("_")}
    assert len(names) > 35
    for found in (library, VendorLibrary(loaded=CLibrary())):
        assert all(callable(getattr(found, name)) for name in names)


def test_the_adapter_runs_over_the_vendor_library() -> None:
    """The same calls as over the simulated one, down to C."""
    loaded = CLibrary()
    wgfmu = Wgfmu.open("GPIB0::17::INSTR", library=VendorLibrary(loaded=loaded))
    wgfmu.configure(601, range_a=1e-3)
    found = wgfmu.run({601: [(Pattern.pulse("p", SHAPE, 1.0).measuring(EVENT), 1)]})[601]
    np.testing.assert_array_equal(found.value, [1e-4, 2e-4])
    names = [name.removeprefix("WGFMU_") for name, _ in loaded.calls]
    assert names[:3] == ["openSession", "setTimeout", "initialize"]
    assert names.index("createPattern") < names.index("setMeasureEvent") < names.index("execute")
    with pytest.raises(InstrumentError, match="fault"):
        wgfmu.make_safe()


def test_a_library_that_is_not_installed_has_a_name(tmp_path: Path) -> None:
    with pytest.raises(WgfmuLibraryMissing, match="install Keysight's B1530A") as caught:
        VendorLibrary(str(tmp_path / "wgfmu.dll"))
    assert caught.value.path is not None
