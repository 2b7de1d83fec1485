"""The lock of a simulated bench: taken again by its holder, handed over to others only when all of it is given back."""

from __future__ import annotations

import threading

from drivers.simulated.locks import FairLock


def test_the_holder_may_take_it_again_and_others_wait_for_all_of_it() -> None:
    lock, order = FairLock(), []

    def other() -> None:
        with lock:
            order.append("other")

    with lock:
        thread = threading.Thread(target=other)
        with lock:  # as the garbage collector does in the middle of an action
            thread.start()
            while not lock.contended:
                pass
        order.append("holder")
        assert order == ["holder"]
        lock.give_way()
        assert order == ["holder", "other"]
    thread.join(5.0)
    assert not lock.contended
    with lock:
        pass
