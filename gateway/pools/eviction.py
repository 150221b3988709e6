"""The choice of the idle connection that is closed for another one. Pure functions."""

from __future__ import annotations

from typing import Final

# The longest idle connection is evicted, as long as the databases that need one are new or were last used long ago. In
# a rotation over somewhat more databases than slots that would be the worst choice: each is closed just before it is
# needed. There, most databases that need a connection had theirs closed recently: within RETURN_SPAN of the longest
# idle time. While that is so for ROTATION_SHARE of them, the connection at ROTATION_RANK is closed, counted from the
# longest idle: most of the older ones stay, and are used when it is their turn. Decision 64 has figures.
RETURN_SPAN: Final = 2.0
STALE_SPAN: Final = 1.5  #: what was idle longer than so many times a rotation has taken is no part of it
RETURN_WEIGHT: Final = 0.05  #: of the one that came last in the share of those that return
ROTATION_SHARE: Final = 0.8
ROTATION_RANK: Final = 0.95


def share_of_returning(share: float, away: float, longest_idle: float) -> float:
    """Return the share of returning databases among those that need a connection, after another one.

    :param share: before it
    :param away: seconds since the database was last used
    :param longest_idle: of all connections, in seconds
    """
    returns = longest_idle / STALE_SPAN <= away <= longest_idle * RETURN_SPAN
    return share + RETURN_WEIGHT * (returns - share)


def ranks_to_close(count: int, idle: int, share: float) -> range:
    """Return which of *idle* connections are closed for *count* others; 0 is the longest idle one.

    :param share: the last result of ``share_of_returning``
    """
    last = int(ROTATION_RANK * (idle - 1)) if share > ROTATION_SHARE else 0
    first = max(0, last + 1 - count)
    return range(first, min(first + count, idle))
