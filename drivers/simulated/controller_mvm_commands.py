"""Commands of the simulated controller: matrix-vector multiply (controller-protocol §7.9)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.clock import TIME_END_NS
from drivers.simulated.controller import SimulatedController
from drivers.simulated.controller_array_commands import ANY_HANDLE
from drivers.simulated.controller_mvm import ProductOperation
from drivers.simulated.controller_system_commands import board_of
from drivers.simulated.multiply import Conversion, Multiplier, passes_of
from drivers.simulated.scpi import NO_VALUE, Connection, block, nr3
from drivers.simulated.scpi_commands import Bytes, Command, Int
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_output import Piece
from drivers.simulated.scpi_parser import Unit

__all__ = ["MVM_COMMANDS", "OUTPUTS_MOST"]

OUTPUTS_MOST = 1 << 27
"""Outputs the board has memory for; a batch with more is -225."""
_ITEM_BYTES = 2


def _inputs(data: memoryview, rows: int) -> NDArray[np.int8]:
    if len(data) % rows:
        raise ScpiError(103, f"expected {len(data) // rows * rows} got {len(data)}")
    return np.frombuffer(data, np.int8).reshape(-1, rows).copy()


def _clips(board: SimulatedController, mvm_id: int, total: int) -> NDArray[np.bool_] | None:
    if not board.faults.has("CLIP"):
        return None
    random = np.random.default_rng((board.chip.seed, board.boot_id, mvm_id, 1))  # 1: not those of a read
    return random.random(total) < board.faults.number("CLIP", 0.0)


def _execute(link: Connection, unit: Unit, handle: int, data: memoryview) -> None:
    board = board_of(link)
    if board.operation is not None:
        raise ScpiError(-213)
    cells = board.selection(handle)
    rectangle = board.rectangles.get(handle)
    if rectangle is None:
        raise ScpiError(-221)
    rows, cols = rectangle[3:]
    inputs = _inputs(data, rows)
    if len(inputs) * cols > OUTPUTS_MOST:
        raise ScpiError(-225)
    if not board.energised:
        raise ScpiError(207)
    board.obey_card(cells)
    values, settings = board.limits.values, board.read_settings
    spacing_s = settings.aperture_s + float(values["read_ovh"])
    output_ns = max(1, round(settings.samples * spacing_s * board.faults.number("SLOW", 1.0) * 1e9))
    groups = -(-cols // int(values["par_read"]))
    if board.absolute_ns + len(inputs) * passes_of(inputs) * groups * output_ns >= TIME_END_NS:
        raise ScpiError(-222)
    ranges_a = tuple(float(range_a) for range_a in values["read_rang"])
    mvm_id = (board.last_product.id if board.last_product is not None else 0) + 1
    product = ProductOperation(
        mvm_id,
        now_ns=board.now_ns,
        inputs=inputs,
        multiplier=Multiplier(board.chip, *rectangle, board.mask if board.masked else None),
        conversion=Conversion(
            voltage_v=settings.voltage_v,
            samples=settings.samples,
            aperture_s=settings.aperture_s,
            spacing_s=spacing_s,
            bits=int(values["adc_bits"]),
            zero=int(values["adc_zero"]),
            offset_a=board.faults.number("ADCO", 0.0),
        ),
        ranges_a=ranges_a if settings.range_a is None else (settings.range_a,),
        output_ns=output_ns,
        groups=groups,
        first_number=board.count_vectors(rectangle[0], len(inputs)),
        board_to_chip_ns=board.absolute_ns - board.now_ns,
        clip=_clips(board, mvm_id, len(inputs) * cols),
    )
    product.handle = handle
    board.last_product = product
    board.start(product)


def _state(link: Connection, unit: Unit) -> str:
    product = board_of(link).last_product
    return "0,IDLE,0,0" if product is None else f"{product.id},{product.state},{product.done},{product.total}"


def _prefix(link: Connection, start: int) -> str:
    product = board_of(link).last_product
    return f"{0 if product is None else product.id},{start},"


def _missing(link: Connection, start: int, count: int) -> list[Piece]:
    return block(_prefix(link, start), b"")


def _data(link: Connection, unit: Unit, start: int, count: int) -> list[Piece]:
    board = board_of(link)
    if count * _ITEM_BYTES > board.block_max:
        raise ScpiError(-222)
    product = board.last_product
    available = product.available if product is not None else 0
    if start + count > available:
        raise ScpiError(105, f"available {available}")
    return block(_prefix(link, start), b"" if product is None else product.outputs(start, count))


def _scale(link: Connection, unit: Unit) -> str:
    product = board_of(link).last_product
    if product is None:
        raise ScpiError(105, "available 0")
    return nr3(product.scale_a)


MVM_COMMANDS: list[Command] = [
    Command("MVM:EXECute", _execute, (ANY_HANDLE, Bytes()), protected=True),
    Command("MVM:STATe?", _state),
    Command("MVM:DATA?", _data, (Int(), Int()), missing=_missing),
    Command("MVM:SCALe?", _scale, missing=NO_VALUE),
]
