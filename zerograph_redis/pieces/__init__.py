"""States as pieces of a log: a put costs what changed.

Checkpoints of a thread are nearly equal, so none is stored whole. The idea in six steps, each a file:

1. ``cut``: a packed state is cut into small *literals*, which stay in the checkpoint's record, and large *parts* (a list,
   a long string, anything of 512 bytes or more at any depth of dicts). The state is literal, part, literal, part, literal.
2. ``segments``: a part is stored as *segments*, ranges of bytes of the thread's log, to which bytes are only ever appended.
3. ``diff``: a new part is compared with the part that the worker last knew in that place. What is old becomes segments of
   where it lies already; what is new is appended.
4. ``log``: the worker keeps what it knows of a log, which never goes stale, since a log only grows. So it downloads only
   what it lacks, and compares without asking.
5. ``coding``: what is appended may be compressed or encrypted, piece by piece; such a piece is never cut.
6. ``draft``: puts these together: a state to a draft of what is stored, and a stored checkpoint to its state.

Where the appended bytes land is for the store to say, so a draft counts from there; several workers may append at once.
A log that is mostly rubbish is left: the store asks for a state whole, and begins a new *generation* with it.
"""

from .coding import Clear, Coding, Sealed
from .cut import Cut, Part, cut
from .draft import Draft, assemble, draft
from .log import KnownLogs, Latest, Logs, ThreadLogs
from .segments import Segment

__all__ = (
    "Clear",
    "Coding",
    "Cut",
    "Draft",
    "KnownLogs",
    "Latest",
    "Logs",
    "Part",
    "Sealed",
    "Segment",
    "ThreadLogs",
    "assemble",
    "cut",
    "draft",
)
