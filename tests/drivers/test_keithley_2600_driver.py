"""The driver of the 2600 through VISA: settings, sweeps, bursts, pulses, scripts, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa
from tsp_bench import GPIB, HISLIP, SOCKET, talk, write_bench

from drivers.errors import (
    InstrumentError,
    InterlockOpen,
    LinkTimeout,
    MalformedAnswer,
    SettingOutOfRange,
    WrongInstrument,
)
from drivers.instruments.keithley_2600 import Keithley2600
from drivers.roles import SourceMeter
from drivers.simulated.registry import open_bench
from drivers.simulated.twin import Twin, TwinLink
from drivers.simulated.twins import _added, register_twin
from drivers.simulated.twins.keithley_2600 import build


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return write_bench(tmp_path)


@pytest.fixture
def smu(bench: Path) -> Iterator[Keithley2600]:
    with Keithley2600.open(SOCKET, backend=f"{bench}@pcm", timeout_s=1.0) as found:
        yield found


@pytest.fixture(params=[SOCKET, GPIB, HISLIP])
def everywhere(bench: Path, request: pytest.FixtureRequest) -> Iterator[Keithley2600]:
    with Keithley2600.open(request.param, backend=f"{bench}@pcm", timeout_s=1.0) as found:
        yield found


# ---- who it is ------------------------------------------------------------------------------------------------------
def test_it_knows_who_answers(smu: Keithley2600) -> None:
    assert (smu.identify().model, smu.identify().serial) == ("2636B", "1234567")
    assert (smu.line_hz, smu.capacity) == (50.0, 60_000)
    assert list(smu.parts()) == ["a", "b"]
    assert isinstance(smu.a, SourceMeter)
    assert smu.self_test()


@pytest.mark.parametrize(("model", "channels"), [("2601b", ["a"]), ("2635b", ["a"]), ("2634b", ["a", "b"])])
def test_channels_are_those_of_the_model(tmp_path: Path, model: str, channels: list[str]) -> None:
    path = write_bench(tmp_path, model=f"keithley-{model}")
    with Keithley2600.open(SOCKET, backend=f"{path}@pcm") as found:
        assert list(found.parts()) == channels


class _Scpi(Twin):
    """An instrument that answers *IDN? and *LANG?, and is silent to Lua, as in its SCPI command set."""

    identity, language = b"", b"SCPI"

    def obey(self, message: bytes, link: TwinLink) -> None:
        found = {b"*IDN?": self.identity, b"*LANG?": self.language}.get(message.strip())
        if found:
            link.answer(found + b"\n")


@pytest.fixture
def scpi(tmp_path: Path) -> Iterator[Any]:
    def at(identity: bytes, language: bytes = b"SCPI") -> Path:
        def made(name: str, simulated: Any, world: Any) -> Twin:
            found = _Scpi(name, world, world.lock)
            found.identity, found.language = identity, language
            return found

        register_twin("a-scpi-instrument", made)
        return write_bench(tmp_path, model="a-scpi-instrument")

    yield at
    _added.pop("a-scpi-instrument", None)


def test_another_instrument(scpi: Any) -> None:
    path = scpi(b"LSCI,MODEL336,LSA1,2.0")
    with pytest.raises(WrongInstrument, match="compare the address"):
        Keithley2600.open(SOCKET, backend=f"{path}@pcm", timeout_s=0.2)


@pytest.mark.parametrize("language", [b"SCPI", b"TSP"])
def test_a_2450_says_which_language_it_is_in(scpi: Any, language: bytes) -> None:
    path = scpi(b"KEITHLEY INSTRUMENTS,MODEL 2450,04496615,1.7.12b", language)
    with pytest.raises(WrongInstrument, match=f"2450-class instrument in its {language.decode()}"):
        Keithley2600.open(SOCKET, backend=f"{path}@pcm", timeout_s=0.2)


def test_the_right_model_that_does_not_speak_tsp(scpi: Any) -> None:
    path = scpi(b"Keithley Instruments Inc., Model 2636B, 1, 1")
    with pytest.raises(WrongInstrument, match="not in its TSP command set"):
        Keithley2600.open(SOCKET, backend=f"{path}@pcm", timeout_s=0.2)


# ---- settings -------------------------------------------------------------------------------------------------------
SETTINGS = {
    "function": "current",
    "level_v": 0.25,
    "level_a": 1e-6,
    "limit_a": 2e-3,
    "limit_v": 3.0,
    "source_range_v": 20.0,
    "source_range_a": 1e-4,
    "source_autorange_voltage": False,
    "source_autorange_current": False,
    "source_delay_s": 0.01,
    "high_capacitance": True,
    "off_state": "open",
    "output": True,
    "remote_sense": True,
    "integration_plc": 0.5,
    "measure_range_a": 1e-5,
    "measure_range_v": 20.0,
    "measure_autorange_current": False,
    "measure_autorange_voltage": False,
    "lowest_range_a": 1e-8,
    "measure_delay_s": 0.02,
    "autozero": "once",
    "filter_count": 7,
    "filter_on": True,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_reads_back_as_it_was_set(smu: Keithley2600, name: str) -> None:
    if name == "measure_range_a":
        smu.b.function = "voltage"
    if name == "measure_range_v":
        smu.b.function = "current"
    setattr(smu.b, name, SETTINGS[name])
    assert getattr(smu.b, name) == SETTINGS[name]


def test_every_setting_is_tested() -> None:
    from drivers.instruments.keithley_2600_channel import Smu

    assert {name for name, control in Smu.controls().items() if control.command} == set(SETTINGS)


def test_measurements(smu: Keithley2600) -> None:
    smu.a.hold(0.5, limit_a=1e-3)
    assert smu.a.current_a == pytest.approx(5e-6, rel=1e-3)
    assert smu.a.voltage_v == pytest.approx(0.5, rel=1e-3)
    assert smu.a.resistance_ohm == pytest.approx(1e5, rel=1e-3)
    assert smu.a.power_w == pytest.approx(2.5e-6, rel=1e-3)
    assert not smu.a.in_compliance
    point = smu.a.point()
    assert point.current_a == pytest.approx([5e-6], rel=1e-3)
    assert not point.limited[0]
    smu.a.hold(0.5, limit_a=1e-6)
    assert smu.a.in_compliance
    assert smu.a.point().limited[0]
    smu.a.zero()
    assert smu.a.output
    assert abs(smu.a.voltage_v) < 1e-3


def test_a_setting_outside_the_model_is_not_sent(smu: Keithley2600) -> None:
    before = smu.link.messages
    for name, value in (("level_v", 250.0), ("limit_a", 2.0), ("limit_a", 1e-12), ("integration_plc", 30.0)):
        with pytest.raises(SettingOutOfRange, match="nothing was sent"):
            setattr(smu.a, name, value)
    with pytest.raises(SettingOutOfRange, match="normal, zero, open"):
        smu.a.off_state = "high"
    assert smu.link.messages == before


def test_what_the_instrument_refuses_is_an_error(smu: Keithley2600) -> None:
    smu.a.source_range_v = 2.0
    with pytest.raises(InstrumentError, match="Parameter too big") as caught:
        smu.a.level_v = 5.0
    assert [error.code for error in caught.value.errors] == [1102]
    assert smu.a.level_v == 0.0
    with pytest.raises(InstrumentError, match=r"`=' expected near `0\.2'"):
        smu.tell("smua.source.levelv 0.2")
    smu.link.write("x = = 1")
    with pytest.raises(InstrumentError) as caught:
        smu.tell("smua.nothing()")
    assert [error.code for error in caught.value.errors] == [-285, -286]
    assert smu.errors() == []


def test_a_snapshot_has_every_setting_of_every_channel(smu: Keithley2600) -> None:
    found = smu.snapshot()
    assert found["identity"]["model"] == "2636B"
    assert set(found["settings"]) == {f"{letter}.{name}" for letter in "ab" for name in SETTINGS}
    assert found["settings"]["a.limit_a"] == 0.1


# ---- sweeps ---------------------------------------------------------------------------------------------------------
def test_a_sweep_of_a_thousand_points(everywhere: Keithley2600) -> None:
    smu, levels = everywhere, np.linspace(-1, 1, 1001)
    before = smu.link.messages
    found = smu.a.sweep(levels, aperture_s=1e-3, limit_a=1e-3, range_a=1e-5)
    assert smu.link.messages - before < 20
    assert found.voltage_v == pytest.approx(levels, abs=1e-3)
    assert found.current_a == pytest.approx(levels / 1e5, abs=1e-8)
    assert not found.limited.any()
    assert found.t_s[0] == 0
    assert np.all(np.diff(found.t_s) > 1e-3)
    assert smu.a.output
    assert smu.a.level_v == 0


def test_any_list_of_levels(everywhere: Keithley2600) -> None:
    levels = np.sin(np.linspace(0, 20, 777))
    before = everywhere.link.messages
    found = everywhere.a.sweep(levels, aperture_s=1e-3, limit_a=6e-6, range_a=1e-5)
    assert everywhere.link.messages - before < 20
    limited = np.abs(levels) > 0.6
    near = np.abs(np.abs(levels) - 0.6) < 1e-3
    assert np.array_equal(found.limited[~near], limited[~near])
    assert np.abs(found.current_a[limited]) == pytest.approx(6e-6, rel=5e-3)
    assert found.voltage_v[~limited] == pytest.approx(levels[~limited], abs=1e-3)


def test_a_burst(everywhere: Keithley2600) -> None:
    found = everywhere.a.burst(0.2, samples=50, aperture_s=20e-3, limit_a=1e-3)
    assert found.current_a == pytest.approx([2e-6] * 50, rel=1e-3)
    assert np.diff(found.t_s) == pytest.approx([20.033e-3] * 49, rel=1e-3)
    assert found.limited.dtype == np.bool_
    assert everywhere.a.level_v == 0


def test_readings_over_the_range_are_nan(smu: Keithley2600) -> None:
    found = smu.a.sweep(np.array([0.005, 1.0, 0.005]), aperture_s=1e-3, limit_a=1e-3, range_a=1e-7)
    assert np.isnan(found.current_a).tolist() == [False, True, False]
    assert found.voltage_v[1] == pytest.approx(1.0, rel=1e-3)


def test_a_sweep_of_currents(everywhere: Keithley2600) -> None:
    found = everywhere.a.sweep_current(np.linspace(0, 1e-5, 11), aperture_s=20e-3, limit_v=0.55)
    assert found.voltage_v[:6] == pytest.approx(np.linspace(0, 0.5, 6), abs=1e-3)
    assert found.limited.tolist() == [False] * 6 + [True] * 5
    assert found.voltage_v[-1] == pytest.approx(0.55, rel=1e-3)
    assert not everywhere.a.output
    assert everywhere.a.burst(0.1, samples=1, aperture_s=1e-3, limit_a=1e-3).voltage_v[0] == pytest.approx(
        0.1, abs=1e-3
    )


def test_from_high_current_to_high_voltage_and_back(smu: Keithley2600) -> None:
    smu.a.hold(1.0, limit_a=1.0)
    found = smu.a.burst(100.0, samples=2, aperture_s=1e-2, limit_a=1e-2)
    assert found.current_a == pytest.approx([1e-3] * 2, rel=1e-3)
    smu.a.hold(1.0, limit_a=1.0)
    assert smu.a.voltage_v == pytest.approx(1.0, rel=1e-3)


def test_pulses(everywhere: Keithley2600) -> None:
    found = everywhere.a.pulses(
        1.0, width_s=1e-3, period_s=10e-3, count=5, aperture_s=100e-6, limit_a=1e-3, range_a=1e-5
    )
    assert found.current_a == pytest.approx([1e-5] * 5, abs=1e-7)
    assert np.diff(found.t_s) == pytest.approx([10e-3] * 4, abs=2e-6)
    short = everywhere.a.pulses(
        1.0, width_s=100e-6, period_s=1e-3, count=1, aperture_s=20e-6, limit_a=1e-3, range_a=1e-5
    )
    assert short.current_a == pytest.approx([1e-5], abs=3e-7)
    assert everywhere.a.level_v == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"width_s": 50e-6},
        {"width_s": 20e-3},
        {"aperture_s": 2e-3},
        {"count": 0},
        {"level_v": 300.0},
        {"limit_a": 5.0},
        {"range_a": 5.0},
    ],
)
def test_pulses_that_cannot_be(smu: Keithley2600, wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {
        "level_v": 1.0, "width_s": 1e-3, "period_s": 10e-3, "count": 2, "aperture_s": 1e-4, "limit_a": 1e-3,
    }  # fmt: skip
    before = smu.link.messages
    with pytest.raises(SettingOutOfRange, match="nothing was sent"):
        smu.a.pulses(**(given | wrong))
    assert smu.link.messages == before


@pytest.mark.parametrize(
    ("levels", "wrong"),
    [
        ([], {}),
        ([0.1, np.nan], {}),
        ([[0.1], [0.2]], {}),
        ([0.1, 300.0], {}),
        ([0.1], {"aperture_s": 0.0}),
        ([0.1], {"limit_a": 0.0}),
        (np.zeros(60_001), {}),
    ],
)
def test_sweeps_that_cannot_be(smu: Keithley2600, levels: Any, wrong: dict[str, float]) -> None:
    before = smu.link.messages
    with pytest.raises(SettingOutOfRange, match="sent"):
        smu.a.sweep(levels, **({"aperture_s": 1e-3, "limit_a": 1e-3} | wrong))
    assert smu.link.messages == before


def test_a_sweep_leaves_no_trace_of_what_was_set_before(smu: Keithley2600) -> None:
    """A filter, an offset, a pulse's stimuli: none of them gets into the next burst."""
    smu.a.pulses(1.0, width_s=1e-3, period_s=10e-3, count=2, aperture_s=1e-4, limit_a=1e-3)
    smu.tell("smua.measure.rel.leveli = 1 smua.measure.rel.enablei = 1 smua.trigger.arm.count = 3")
    smu.a.filter_on = True
    found = smu.a.burst(0.2, samples=5, aperture_s=20e-3, limit_a=1e-3)
    assert found.current_a == pytest.approx([2e-6] * 5, rel=1e-3)


def test_a_sweep_does_not_start_over_an_error_that_waits(smu: Keithley2600) -> None:
    smu.link.write("x = = 1")
    with pytest.raises(InstrumentError, match="unexpected symbol"):
        smu.a.sweep(np.linspace(0, 1, 5), aperture_s=1e-3, limit_a=1e-3)
    assert not smu.a.output


def test_the_instrument_waits_on_its_own_clock(bench: Path) -> None:
    pauses: list[float] = []
    with Keithley2600.open(GPIB, backend=f"{bench}@pcm", pause=pauses.append) as smu:
        smu.a.burst(0.1, samples=100, aperture_s=0.2, limit_a=1e-3)
    assert 20 * 0.7 < sum(pauses) < 20 * 1.6
    assert len(pauses) < 30


def test_a_sweep_that_never_ends_is_aborted(smu: Keithley2600) -> None:
    setup = [
        "smua.trigger.arm.stimulus = trigger.EVENT_ID smua.trigger.count = 1 smua.source.levelv = 1",
    ]
    with pytest.raises(LinkTimeout, match="still busy"):
        smu.run_sweep("a", setup, expected_s=0.1, allowed_s=0.5)
    assert not smu.a.output
    assert smu.a.level_v == 0


# ---- safety ---------------------------------------------------------------------------------------------------------
def test_an_open_interlock(tmp_path: Path) -> None:
    path = write_bench(tmp_path, options="interlock: open")
    with Keithley2600.open(SOCKET, backend=f"{path}@pcm") as smu:
        for refused in (
            lambda: smu.a.sweep(np.linspace(0, 100, 11), aperture_s=1e-3, limit_a=1e-3),
            lambda: smu.a.hold(100.0, limit_a=1e-3),
        ):
            with pytest.raises(InterlockOpen, match="interlock") as caught:
                refused()
            assert caught.value.errors[0].code == 802
            assert not smu.a.output
        assert smu.a.burst(10.0, samples=1, aperture_s=1e-3, limit_a=1e-3).voltage_v[0] == pytest.approx(
            10, rel=1e-2
        )


def test_it_is_left_safe(bench: Path) -> None:
    def off(broken: bool) -> list[float]:
        with Keithley2600.open(SOCKET, backend=f"{bench}@pcm") as smu:
            smu.a.hold(1.0, limit_a=1e-3)
            smu.b.hold(1.0, limit_a=1e-3)
            if broken:
                smu.link.close()
        with talk(bench, SOCKET) as other:
            return other.numbers("print(smua.source.output, smub.source.output, smua.source.levelv)")

    with open_bench(bench):
        assert off(broken=False) == [0, 0, 0]
        assert off(broken=True) == [0, 0, 0], "over a fresh link"


# ---- scripts --------------------------------------------------------------------------------------------------------
def test_own_scripts(everywhere: Keithley2600) -> None:
    smu = everywhere
    smu.upload_script("lab", "function twice(x, words)\n  print(2 * x)\n  print(words)\nend\nprint('loaded')")
    assert smu.run_script("lab") == ["loaded"]
    assert smu.run_script("twice", 21, 'a "quoted" \\ word') == ["4.20000e+01", 'a "quoted" \\ word']
    smu.upload_script("lab", "print('another')")
    assert smu.run_script("lab") == ["another"]
    assert smu.run_script("smua.reset") == []
    smu.delete_script("lab")
    smu.delete_script("lab")
    with pytest.raises(InstrumentError, match="attempt to call a nil value"):
        smu.run_script("lab")


def test_scripts_that_go_wrong(everywhere: Keithley2600) -> None:
    smu = everywhere
    with pytest.raises(InstrumentError, match="at line 2"):
        smu.upload_script("bad", "x = 1\nx = = 2")
    smu.upload_script("bad", "print('begun')\nsmua.nothing()")
    with pytest.raises(InstrumentError, match=r"field 'nothing'.*begun") as caught:
        smu.run_script("bad")
    assert caught.value.errors[0].code == -286
    smu.upload_script("refused", "smua.source.levelv = 1000 print('done')")
    with pytest.raises(InstrumentError, match="Parameter too big"):
        smu.run_script("refused")
    for name in ("1st", "a b", "x);reset(", ""):
        with pytest.raises(SettingOutOfRange, match="nothing was sent"):
            smu.upload_script(name, "x = 1")
        with pytest.raises(SettingOutOfRange, match="nothing was sent"):
            smu.run_script(name)


# ---- broken replies -------------------------------------------------------------------------------------------------
@pytest.fixture
def spoilt(tmp_path: Path) -> Iterator[Any]:
    """A 2600 whose replies are changed on their way."""

    def at(change: Any) -> Path:
        def made(name: str, simulated: Any, world: Any) -> Twin:
            twin = build(name, simulated.model_copy(update={"model": "keithley-2636b"}), world)
            say = twin.say

            def spoil(reply: bytes) -> None:
                changed = change(reply)
                if changed is not None:
                    say(changed)

            twin.say = spoil  # type: ignore[method-assign]
            for name_, thing in {"print": twin.format.line}.items():
                twin.lua.put(name_, lambda *values, thing=thing: spoil(thing(values)))

            def printbuffer(*arguments: Any) -> None:
                spoil(twin.format.numbers(twin.format.printed_buffers(*arguments)[0]))

            twin.lua.put("printbuffer", printbuffer)
            return twin

        register_twin("a-spoilt-2600", made)
        return write_bench(tmp_path, model="a-spoilt-2600")

    yield at
    _added.pop("a-spoilt-2600", None)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            lambda reply: b"#1" + reply[2:] if reply[:2] == b"#0" else reply,
            MalformedAnswer,
            "no block #0 of 160",
        ),
        (lambda reply: reply[:-1] + b"\0" if reply[:2] == b"#0" else reply, MalformedAnswer, "no block #0"),
        (lambda reply: reply[:50] if reply[:2] == b"#0" else reply, LinkTimeout, "did not answer"),
        (lambda reply: None if reply[:2] == b"#0" else reply, LinkTimeout, "did not answer"),
    ],
)
def test_a_broken_block_gives_no_readings(spoilt: Any, change: Any, error: type, words: str) -> None:
    path = spoilt(change)
    with Keithley2600.open(SOCKET, backend=f"{path}@pcm", timeout_s=0.2) as smu:
        with pytest.raises(error, match=words):
            smu.a.sweep(np.linspace(0, 1, 5), aperture_s=1e-3, limit_a=1e-3)
        smu.link.reopen()
        assert smu.a.output is True, "and on it goes"


@pytest.mark.parametrize("garbage", [b"\n", b"1.0\t2.0\n", b"hello\n", b"1.0e\t0\tx\t0\t1\n"])
def test_garbage_instead_of_errors(spoilt: Any, garbage: bytes) -> None:
    spoiling = False
    path = spoilt(lambda reply: garbage if spoiling else reply)
    with Keithley2600.open(SOCKET, backend=f"{path}@pcm", timeout_s=0.2) as smu:
        spoiling = True
        with pytest.raises(MalformedAnswer):
            smu.a.level_v = 0.1
        with pytest.raises(MalformedAnswer):
            _ = smu.a.output
        with pytest.raises(MalformedAnswer):
            smu.ask_numbers("1", "2", "3")
        spoiling = False


def test_a_reply_that_is_one_behind_is_noticed(bench: Path) -> None:
    """Another program forgot to read on the same stream: who opens it then sees that at once."""
    with talk(bench, SOCKET):
        smu = Keithley2600.open(SOCKET, backend=f"{bench}@pcm", timeout_s=0.3)
        smu.link.write("print(1)")
        with pytest.raises(MalformedAnswer, match="earlier replies"):
            smu.a.level_v = 0.1
        smu.close()


def test_pyvisa_is_all_it_needs(bench: Path) -> None:
    """The bytes a sweep sends are those any program may send."""
    lines: list[str] = []
    with Keithley2600.open(SOCKET, backend=f"{bench}@pcm", transcript=lines) as smu:
        smu.a.sweep(np.linspace(0, 1, 3), aperture_s=1e-3, limit_a=1e-3)
    sent = [line.split(" ", 2)[2].encode().decode("unicode_escape") for line in lines if line[0] == ">"]
    setup = next(message for message in sent if "initiate" in message)
    manager = pyvisa.ResourceManager(f"{bench}@pcm")
    other: Any = manager.open_resource(SOCKET, read_termination="\n", write_termination="\n", timeout=200)
    other.write(setup + "\nwaitcomplete()")
    assert other.query("print(smua.nvbuffer1.n, errorqueue.count)") == "3.00000e+00\t0.00000e+00"
    assert all(len(line) < 2000 for line in setup.split("\n")), "lines that fit an input buffer"
    other.close()
    manager.close()
