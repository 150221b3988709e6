"""The choice of the idle connection that is closed for another one. Pure functions."""

from __future__ import annotations

from typing import Final

# Usually the longest idle connection is evicted. In a rotation over slightly more databases than slots that would be
# the worst choice: each would be closed just before it is needed. A rotation is detected by the databases that need a
# connection: most of them had theirs closed within RETURN_SPAN of the longest idle time. While that holds for
# ROTATION_SHARE of them, the connection at ROTATION_RANK is evicted, counted from the longest idle. Then most of the
# older ones stay open until they are needed. Decision 64 has figures.
RETURN_SPAN: Final = 2.0
STALE_SPAN: Final = 1.5  #: a connection idle longer than so many rotations is no part of the rotation
RETURN_WEIGHT: Final = 0.05  #: of the last database in the share of those that return, a moving average
ROTATION_SHARE: Final = 0.8
ROTATION_RANK: Final = 0.95


def share_of_returning(share: float, away: float, longest_idle: float) -> float:
    """Return the share of returning databases among those that need a connection, including one more.

    :param share: before it
    :param away: seconds since the database was last used
    :param longest_idle: of all connections, in seconds
    """
    returns = longest_idle / STALE_SPAN <= away <= longest_idle * RETURN_SPAN
    return share + RETURN_WEIGHT * (returns - share)


def ranks_to_close(count: int, idle: int, share: float) -> range:
    """Return the ranks of the *count* connections to close among *idle* ones; rank 0 is the longest idle one.

    :param share: the last result of ``share_of_returning``
    """
    last = int(ROTATION_RANK * (idle - 1)) if share > ROTATION_SHARE else 0
    first = max(0, last + 1 - count)
    return range(first, min(first + count, idle))
