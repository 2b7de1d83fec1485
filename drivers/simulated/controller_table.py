"""The whole command tree of the simulated controller."""

from __future__ import annotations

from drivers.simulated.controller_array_commands import ARRAY_COMMANDS
from drivers.simulated.controller_mvm_commands import MVM_COMMANDS
from drivers.simulated.controller_program_commands import PROGRAM_COMMANDS
from drivers.simulated.controller_pulse_commands import PULSE_COMMANDS
from drivers.simulated.controller_read_commands import READ_COMMANDS
from drivers.simulated.controller_sim_commands import SIM_COMMANDS
from drivers.simulated.controller_system_commands import SYSTEM_COMMANDS
from drivers.simulated.scpi_commands import CommandTable

__all__ = ["TABLE"]

TABLE = CommandTable(
    [
        *SYSTEM_COMMANDS,
        *ARRAY_COMMANDS,
        *PULSE_COMMANDS,
        *PROGRAM_COMMANDS,
        *READ_COMMANDS,
        *MVM_COMMANDS,
        *SIM_COMMANDS,
    ]
)
