"""What a chip made of instruments does to its instruments: in which order, how often, and when something fails."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_chip import FakeChip
from role_fakes import LIMITS, ON_OHM, RoleBench

from drivers.chip import Batch, Drive, EntryCode, Pulse, ReadFlag, ReadSetup, State
from drivers.discrete import DiscreteChip, DiscreteSettings
from drivers.discrete_journal import Journal
from drivers.errors import BatchRefused, HotSwitch, InstrumentError, LinkError
from drivers.roles import Burst

PULSE = Pulse(rise_s=5e-9, top_s=5e-8, fall_s=5e-9, period_s=1e-6, full_scale=4e-4)
ALL = np.arange(64, dtype=np.uint32)


@pytest.fixture
def bench() -> RoleBench:
    return RoleBench(FakeChip(1, 8, 8))


def batch(chip: DiscreteChip, cells: Any = (3, 4, 5), amplitude: Any = 2e-4, **changes: Any) -> Batch:
    chosen = np.asarray(cells, np.uint32)
    amplitudes = np.array(np.broadcast_to(np.asarray(amplitude, np.float32), chosen.shape))
    pulse = replace(PULSE, **{key: value for key, value in changes.items() if key != "count"})
    return Batch(chip.next_batch_id(), chosen, pulse, amplitudes, changes.get("count", 1))


# ---- order and number of what is sent -----------------------------------------------------------------------


def test_a_batch_is_prepared_once_and_each_cell_is_connected_fired_and_left_at_zero(bench: RoleBench) -> None:
    with bench.ready() as chip:
        bench.order.clear()
        chip.program(batch(chip))
        one = ["matrix connect", "pulser fire 1.21", "pulser zero"]
        assert bench.order == ["pulser prepare", *one, *one, *one]
        bench.order.clear()
        chip.program(batch(chip))
        assert "pulser prepare" not in bench.order
        chip.program(batch(chip, top_s=1e-7))
        assert bench.order.count("pulser prepare") == 1


def test_a_read_is_one_burst_per_cell(bench: RoleBench) -> None:
    with bench.ready() as chip:
        bench.order.clear()
        messages = chip.messages()
        chip.read(ALL[[9, 2]], ReadSetup(samples=50))
        one = ["matrix connect", "smu burst 0.2", "smu zero"]
        assert bench.order == [*one, *one]
        assert chip.messages() - messages == 6


def test_relays_that_are_closed_already_are_not_moved(bench: RoleBench) -> None:
    with bench.ready() as chip:
        chip.read(ALL[[9]], ReadSetup())
        bench.order.clear()
        chip.read(ALL[[9]], ReadSetup())
        assert bench.order == ["smu burst 0.2", "smu zero"]
        chip.instruments["matrix"].connect(frozenset())  # by hand, past the chip
        bench.order.clear()
        chip.read(ALL[[9]], ReadSetup())
        assert bench.order == ["pulser zero", "smu zero", "matrix connect", "smu burst 0.2", "smu zero"]


def test_gates_are_held_only_while_a_cell_is_used() -> None:
    bench = RoleBench(FakeChip(1, 8, 8), word_lines=True)
    with bench.ready() as chip:
        bench.order.clear()
        chip.read(ALL[[9]], ReadSetup())
        chip.program(batch(chip, [9]))
        chip.program(batch(chip, [9], word_line_v=1.4))
    assert [said for said in bench.order if said.startswith("gate")] == [
        "gate hold 2", "gate zero", "gate hold 3", "gate zero", "gate hold 1.4", "gate zero",
    ]  # fmt: skip
    assert bench.hot == 0
    assert bench.pulses(ALL)[9] == 2


def test_without_relays_the_idle_source_is_opened_once() -> None:
    bench = RoleBench(FakeChip(1, 1, 1), matrix=False)
    cell = np.zeros(1, np.uint32)
    with bench.ready() as chip:
        bench.order.clear()
        chip.read(cell, ReadSetup())
        chip.read(cell, ReadSetup())
        chip.program(batch(chip, [0]))
        chip.read(cell, ReadSetup())
    read, pulse = ["smu burst 0.2", "smu zero"], ["pulser fire 1.21", "pulser zero"]
    assert bench.order == [
        "pulser open", *read, *read, "pulser prepare", "smu open", *pulse, "pulser open", *read,
    ]  # fmt: skip


def test_many_pulses_go_in_the_bursts_the_generator_can_do(bench: RoleBench) -> None:
    with bench.ready() as chip:
        chip.program(batch(chip, [7], count=2500))
        assert sum(said.startswith("pulser fire") for said in bench.order) == 3
    assert bench.pulses(ALL)[7] == 2500


# ---- amplitudes ---------------------------------------------------------------------------------------------


def test_currents_become_open_circuit_voltages(bench: RoleBench) -> None:
    settings = DiscreteSettings(on_ohm=2000.0, holding_v=0.5, relay_ohm=10.0)
    with bench.ready(settings=settings) as chip:
        bench.order.clear()
        chip.program(batch(chip, [1], 3e-4))
        assert f"pulser fire {0.5 + 3e-4 * (50 + 10 + 2000):g}" in bench.order


def test_a_load_at_the_output_is_part_of_the_drive(bench: RoleBench) -> None:
    settings = DiscreteSettings(on_ohm=2000.0, holding_v=0.5, relay_ohm=0.0, load_ohm=50.0)
    with bench.ready(settings=settings) as chip:
        bench.order.clear()
        chip.program(batch(chip, [1], 3e-4))
        assert f"pulser fire {2 * (0.5 + 3e-4 * (25 + 2000)):g}" in bench.order
        assert chip.limits().current_max_a == 1e-3


def test_voltages_are_those_of_the_open_output(bench: RoleBench) -> None:
    with bench.ready() as chip:
        bench.order.clear()
        chip.program(batch(chip, [1], 1.5, drive=Drive.VOLTAGE, full_scale=2.0))
        assert "pulser fire 1.5" in bench.order
    assert bench.cells.conductance_s[1] == pytest.approx(20e-6 * 1.5 / (50 + ON_OHM) / 5e-4, rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rise_s": 1e-10}, "rise 1e-10 s"),
        ({"top_s": 2.0, "period_s": 10.0}, "top 2 s"),
        ({"fall_s": 1e-2}, "fall 0.01 s"),
        ({"period_s": 5e-8}, "in a period of"),
        ({"period_s": 2000.0}, "period 2000 s"),
        ({"full_scale": 2e-3}, "full scale 0.002"),
        ({"amplitude": 4.1e-4}, "entry 0"),
        ({"amplitude": [1e-4, -1e-4, 1e-4]}, "entry 1"),
        ({"amplitude": [1e-4, 1e-4]}, "2 amplitudes for 3 cells"),
        ({"cells": [3, 4, 64]}, "cell 64 of 64"),
        ({"cells": [3, 4, 3]}, "twice"),
        ({"count": 0}, "count 0"),
        ({"drive": Drive.VOLTAGE, "full_scale": 11.0, "amplitude": 1.0}, "full scale 11"),
        ({"limit_a": 1e-4}, "past a limit of 100 uA"),
        ({"word_line_v": 1.0}, "no channel holds word lines"),
    ],
)
def test_what_cannot_be_given_is_refused_with_nothing_pulsed(
    bench: RoleBench, changes: dict[str, Any], said: str
) -> None:
    with bench.ready() as chip:
        bench.order.clear()
        wanted = batch(chip)
        if "amplitude" in changes:
            wanted = (
                replace(wanted, amplitude=np.broadcast_to(np.float32(changes.pop("amplitude")), 3))
                if (not isinstance(changes["amplitude"], list))
                else replace(wanted, amplitude=np.array(changes.pop("amplitude"), np.float32))
            )
        if "cells" in changes:
            wanted = replace(wanted, cells=np.array(changes.pop("cells"), np.uint32))
        count = changes.pop("count", 1)
        with pytest.raises(BatchRefused, match=said):
            chip.program(replace(wanted, pulse=replace(PULSE, **changes), count=count))
        assert bench.order == []
        assert chip.next_batch_id() == 1
        assert chip.last_batch().total == 0


def test_limits_are_those_of_the_generator_and_of_the_drive(bench: RoleBench) -> None:
    chip = bench.chip(
        settings=DiscreteSettings(on_ohm=ON_OHM, holding_v=0.0, relay_ohm=0.0, current_max_a=1.0)
    )
    with chip:
        limits = chip.limits()
        assert (limits.rise_s, limits.top_s, limits.fall_s) == (LIMITS.rise_s, LIMITS.top_s, LIMITS.fall_s)
        assert limits.voltage_max_v == LIMITS.open_v[1]
        assert limits.current_max_a == pytest.approx(10.0 / (50 + ON_OHM))
    with bench.chip() as chip:
        assert chip.limits().current_max_a == 1e-3


# ---- readings -----------------------------------------------------------------------------------------------


def reading_of(bench: RoleBench, burst: Burst, **setup: Any) -> tuple[float, int]:
    bench.smu.burst = lambda level_v, **_: burst  # type: ignore[method-assign]
    with bench.ready() as chip:
        reading = chip.read(ALL[:1], ReadSetup(**setup))
    return float(reading.g_s[0]), int(reading.flags[0])


def burst_of(volts: Any, amperes: Any, limited: Any = False) -> Burst:
    amperes = np.asarray(amperes, float)
    every = np.ones(amperes.size)
    return Burst(volts * every, amperes, np.asarray(limited) & (every > 0), np.arange(amperes.size) * 1e-3)


def test_a_reading_is_the_mean_of_current_over_voltage(bench: RoleBench) -> None:
    g_s, flag = reading_of(bench, burst_of(np.array([0.2, 0.1, 0.2]), [2e-6, 2e-6, 4e-6]))
    assert g_s == pytest.approx(1e-6 * (10 + 20 + 20) / 3)
    assert flag == ReadFlag.OK


@pytest.mark.parametrize(
    "burst",
    [
        burst_of(0.2, [2e-6, 1e-5, 2e-6], [False, True, False]),
        burst_of(0.2, [2e-6, np.nan, 2e-6]),
        burst_of(0.02, [2e-6, 2e-6, 2e-6]),
        burst_of(np.nan, [2e-6, 2e-6]),
    ],
    ids=["compliance", "over-range", "voltage did not come", "no voltage"],
)
def test_what_is_limited_is_no_number(bench: RoleBench, burst: Burst) -> None:
    g_s, flag = reading_of(bench, burst, range_a=1e-5)
    assert np.isnan(g_s)
    assert flag == ReadFlag.CLIPPED_HIGH


def test_samples_taken_while_an_automatic_range_changed_do_not_count(bench: RoleBench) -> None:
    g_s, flag = reading_of(bench, burst_of(0.2, [np.nan, 2e-6, 4e-6]))
    assert g_s == pytest.approx(15e-6)
    assert flag == ReadFlag.OK
    g_s, flag = reading_of(bench, burst_of(0.2, [np.nan, np.nan]))
    assert np.isnan(g_s)
    assert flag == ReadFlag.CLIPPED_HIGH


def test_below_the_noise_floor_a_reading_stays_with_its_flag(bench: RoleBench) -> None:
    g_s, flag = reading_of(bench, burst_of(0.2, [3e-11, -1e-11]))
    assert g_s == pytest.approx(5e-11)
    assert flag == ReadFlag.CLIPPED_LOW


def test_reads_that_cannot_be_made_send_nothing(bench: RoleBench) -> None:
    with bench.ready() as chip:
        bench.order.clear()
        for setup in (
            ReadSetup(voltage_v=1.5), ReadSetup(samples=0), ReadSetup(aperture_s=20.0), ReadSetup(range_a=1.0),
        ):  # fmt: skip
            with pytest.raises(InstrumentError):
                chip.read(ALL, setup)
        for cells in (np.array([64], np.uint32), ALL[[3, 3]]):
            with pytest.raises(InstrumentError):
                chip.read(cells, ReadSetup())
        chip.outputs(False)
        bench.order.clear()
        with pytest.raises(InstrumentError, match="not energised"):
            chip.read(ALL, ReadSetup())
        assert bench.order == []


def test_compliance_of_a_read_never_exceeds_its_limit(bench: RoleBench) -> None:
    seen = []
    plain = bench.smu.burst

    def noted(level_v: float, **how: Any) -> Burst:
        seen.append(how["limit_a"])
        return plain(level_v, **how)

    bench.smu.burst = noted  # type: ignore[method-assign]
    with bench.ready() as chip:
        chip.read(ALL[:1], ReadSetup())
        chip.read(ALL[:1], ReadSetup(range_a=1e-6))
    assert seen == [100e-6, 1e-6]


# ---- what fails ---------------------------------------------------------------------------------------------


def test_an_instrument_that_fails_in_the_middle_leaves_one_entry_in_doubt(bench: RoleBench) -> None:
    with bench.ready() as chip:
        wanted = batch(chip, ALL[:10])
        bench.before = lambda said: fail_at(bench, said, 5)
        chip.program(wanted)
        bench.before = None
        report, flags = chip.last_batch(), chip.batch_flags()
        assert (report.state, report.done, report.open, report.pulsed, report.mine) == (
            State.TRIP, 4, 1, 4, True,
        )  # fmt: skip
        assert flags.tolist() == [1, 1, 1, 1, EntryCode.IN_DOUBT, 0, 0, 0, 0, 0]
        assert report.code == -240
        assert chip.errors()[0].code == -240
        assert bench.pulser.level_v == bench.smu.level_v == 0.0
        assert bench.closed == frozenset()
        # Nothing is latched: whoever knows why goes on.
        chip.program(batch(chip, [20]))
        assert chip.last_batch().state is State.DONE


def fail_at(bench: RoleBench, said: str, fire: int) -> None:
    before = sum(one.startswith("pulser fire") for one in bench.order)
    if said.startswith("pulser fire") and before == fire - 1:
        bench.pulser.failing = "fire"


def test_a_link_that_breaks_is_opened_again_by_a_power_cycle(bench: RoleBench) -> None:
    with bench.ready() as chip:
        boot_id = chip.boot_id()

        def breaks(said: str) -> None:
            if (
                said.startswith("pulser fire")
                and bench.order[-1] == "matrix connect"
                and len(bench.order) > 20
            ):
                bench.pulser.broken = True
                raise LinkError("the link to pulser broke", address="pulser")

        bench.before = breaks
        chip.program(batch(chip, ALL))
        bench.before = None
        report = chip.last_batch()
        assert (report.state, report.open) == (State.TRIP, 1)
        assert np.array_equal(bench.pulses(ALL)[: report.done], np.ones(report.done))
        assert not bench.pulses(ALL)[report.done :].any()
        assert "broke" in str(chip.errors()[0])
        with pytest.raises(BatchRefused, match="207"):
            chip.program(batch(chip, [50]))
        chip.power(False)
        chip.power(True)
        chip.outputs(True)
        assert chip.boot_id() != boot_id
        chip.program(batch(chip, [50]))
        assert bench.pulses(ALL)[50] == 1
        assert bench.hot == 0


def test_no_relay_moves_where_a_source_cannot_be_brought_to_zero(bench: RoleBench) -> None:
    with bench.ready() as chip:
        chip.read(ALL[:1], ReadSetup())
        closed = bench.closed
        bench.smu.failing = "zero"
        chip.instruments  # noqa: B018 - nothing is trusted from here on
        with pytest.raises(HotSwitch, match="could not be brought to 0 V"):
            chip.outputs(False)
        assert bench.closed == closed
        assert bench.hot == 0


def test_a_refusal_by_the_generator_itself_pulses_nothing(bench: RoleBench) -> None:
    with bench.ready() as chip:
        bench.pulser.failing = "prepare"
        with pytest.raises(BatchRefused):
            chip.program(batch(chip))
        assert chip.next_batch_id() == 1
        assert not bench.pulses(ALL).any()
        chip.program(batch(chip))
        assert bench.pulses(ALL).sum() == 3


def test_an_exception_from_outside_ends_the_batch_and_goes_on(bench: RoleBench) -> None:
    class Outside(BaseException):
        pass

    def strikes(said: str) -> None:
        if said.startswith("pulser fire") and len(bench.order) > 12:
            raise Outside

    with bench.ready() as chip:
        bench.before = strikes
        with pytest.raises(Outside):
            chip.program(batch(chip, ALL))
        bench.before = None
        report = chip.last_batch()
        assert (report.state, report.open) == (State.ABORTED, 1)
        assert chip.wait(1.0) is State.ABORTED
        assert bench.closed == frozenset()


# ---- stopping -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["abort", "safe"])
def test_an_operation_ends_at_the_next_cell(bench: RoleBench, how: str) -> None:
    with bench.ready() as chip:
        stopper = threading.Thread(target=getattr(chip, how))

        def stop(said: str) -> None:
            if said == "matrix connect" and sum(one == "matrix connect" for one in bench.order) == 11:
                stopper.start()
                stopper.join(10.0)

        bench.before = stop
        chip.program(batch(chip, ALL))
        bench.before = None
        report = chip.last_batch()
        assert report.state is (State.ABORTED if how == "abort" else State.SAFE)
        assert 0 < report.done < 64
        assert report.open == 0
        given = bench.pulses(ALL)
        assert given.sum() == report.done == report.pulsed
        if how == "safe":
            with pytest.raises(BatchRefused):
                chip.program(batch(chip))
            chip.power(False)
            chip.power(True)
            chip.outputs(True)
        chip.program(batch(chip, [60]))
        assert bench.pulses(ALL)[60] == 1
    assert bench.hot == 0


def test_a_stop_is_sources_first_and_relays_after(bench: RoleBench) -> None:
    with bench.ready() as chip:
        chip.read(ALL[:1], ReadSetup())
        bench.smu.level_v = 0.2  # whatever the reason
        bench.order.clear()
        chip.safe()
        assert bench.order == ["smu off", "pulser off", "matrix off"]
        assert bench.hot == 0
        assert bench.closed == frozenset()


def test_a_stop_never_raises_and_a_read_under_way_says_what_it_has_not_read(bench: RoleBench) -> None:
    with bench.ready() as chip:

        def stop(said: str) -> None:
            if said.startswith("smu burst") and sum(one.startswith("smu burst") for one in bench.order) == 4:
                bench.before = None
                chip.abort()

        bench.before = stop
        reading = chip.read(ALL[:8], ReadSetup())
        assert chip.wait(1.0) is State.ABORTED
        assert reading.flags.tolist() == [0] * 5 + [ReadFlag.NOT_READ] * 3
        assert np.isnan(reading.g_s[5:]).all()
        for one in (bench.smu, bench.pulser, bench.matrix):
            one.safe = lambda: 1 / 0  # type: ignore[union-attr]
        chip.safe()


def test_a_stop_at_the_end_of_the_interpreter_starts_no_thread(
    bench: RoleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with bench.ready() as chip:
        bench.order.clear()
        monkeypatch.setattr(threading.Thread, "start", refuses)
        chip.safe()
        assert bench.order == ["smu off", "pulser off", "matrix off"]


def test_closing_leaves_outputs_as_they_are(bench: RoleBench) -> None:
    chip = bench.ready()
    bench.order.clear()
    chip.close()
    chip.close()
    assert bench.order == []
    assert bench.smu.closed
    assert bench.matrix is not None
    assert bench.matrix.closed


# ---- time, scope, sessions ----------------------------------------------------------------------------------


def test_board_time_goes_on_from_session_to_session(bench: RoleBench, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with bench.ready(Journal(path, 64)) as chip:
        chip.program(batch(chip))
        ended, boot_id = chip.last_batch().t_end_ns, chip.boot_id()
    with bench.ready(Journal(path, 64)) as chip:
        assert chip.clock_ns() > ended
        assert chip.boot_id() == boot_id
        assert chip.last_batch().t_end_ns == ended
        assert not chip.last_batch().mine


def test_a_host_clock_that_was_set_back_counts_as_a_loss(
    bench: RoleBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    with bench.ready(Journal(path, 64)) as chip:
        chip.program(batch(chip))
        ended, boot_id = chip.last_batch().t_end_ns, chip.boot_id()
    monkeypatch.setattr("drivers.discrete.time.time_ns", lambda: 0)
    with bench.ready(Journal(path, 64)) as chip:
        assert chip.clock_ns() > ended
        assert chip.boot_id() != boot_id


def test_the_mask_outlives_the_session(bench: RoleBench, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with bench.ready(Journal(path, 64)) as chip:
        chip.mask(ALL[[4]])
    with bench.ready(Journal(path, 64)) as chip:
        chip.program(batch(chip))
        assert chip.batch_flags().tolist() == [1, EntryCode.MASKED, 1]
        with pytest.raises(InstrumentError, match="cell 64"):
            chip.mask(np.array([64], np.uint32))


def test_a_scope_sees_the_pulses_it_is_told_to_watch(bench: RoleBench) -> None:
    with bench.ready() as chip:
        chip.program(batch(chip))
        assert "scope arm" not in bench.order
        with pytest.raises(InstrumentError, match="watch"):
            chip.trace()
        chip.watch(True)
        bench.order.clear()
        chip.program(batch(chip, [9], 3e-4))
        assert bench.order.index("scope arm") < bench.order.index(f"pulser fire {3e-4 * (50 + ON_OHM):g}")
        assert chip.trace().voltage_v.max() == pytest.approx(3e-4 * (50 + ON_OHM))
        assert bench.scope.armed == ("1", pytest.approx(1.5e-4 * (50 + ON_OHM)), pytest.approx(1.2e-7))


def test_real_instruments_have_no_simulation(bench: RoleBench) -> None:
    with bench.chip() as chip:
        assert "SIM" not in chip.capabilities()
        with pytest.raises(InstrumentError, match="no simulation"):
            chip.ask(["XLAB:TIME?"])
