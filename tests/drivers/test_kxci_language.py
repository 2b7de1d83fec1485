"""The command language of KXCI: how messages come apart, and how readings are written."""

from __future__ import annotations

import pytest

from drivers.simulated.twins.kxci import commands, spell
from drivers.simulated.twins.kxci_errors import KXCI_ERRORS, KxciError, error_text


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("US;DV1,0,3.3,0.01", [("US", []), ("DV", ["1", "0", "3.3", "0.01"])]),
        ("US; TI1", [("US", []), ("TI", ["1"])]),
        ("CH 1, 'VS', 'IS', 1, 3", [("CH", ["1", "VS", "IS", "1", "3"])]),
        ("CH1, 'V;1', 'I1', 1, 1", [("CH", ["1", "V;1", "I1", "1", "1"])]),
        ("SM DM2", [("SM", []), ("DM", ["2"])]),
        ("LI 'I1', 'I2','V1','V2'", [("LI", ["I1", "I2", "V1", "V2"])]),
        ("it4,0,0,0.5", [("IT", ["4", "0", "0", "0.5"])]),
        ("HT 0", [("HT", ["0"])]),
        (":pmu:rpm:configure PMU1-1, 0", [(":PMU:RPM:CONFIGURE", ["PMU1-1", "0"])]),
        (":PMU:DATA:COUNT? 1", [(":PMU:DATA:COUNT?", ["1"])]),
        ("*IDN?", [("*IDN?", [])]),
        ("EX lib mod(1.5,,1;2;3,100)", [("EX", ["lib mod(1.5", "", "1;2;3", "100)"])]),
        ("", []),
    ],
)
def test_messages_come_apart(message: str, expected: list[tuple[str, list[str]]]) -> None:
    assert [(each.header, each.arguments) for each in commands(message)] == expected


def test_what_is_no_command_is_refused() -> None:
    with pytest.raises(KxciError) as refused:
        commands("12,3")
    assert refused.value.code == -992


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (22.329e-9, "22.329E-09"),
        (4.3555e-15, "4.3555E-15"),
        (54.978e-15, "54.978E-15"),
        (-0.1, "-100.00E-03"),
        (0.99999999, "1.0000E+00"),
        (1e-9, "1.0000E-09"),
        (0.0, "0.0000E+00"),
        (210.0, "210.00E+00"),
    ],
)
def test_readings_have_exponents_that_are_multiples_of_three(value: float, text: str) -> None:
    assert spell(value) == text


def test_errors_are_a_text_with_the_code_in_parentheses() -> None:
    assert error_text(-992) == "KXCI command error. (-992)"
    assert error_text(0) == ""
    assert len(KXCI_ERRORS) == 48
