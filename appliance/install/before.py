"""What is done about an API server that encrypts already, before us."""

from enum import StrEnum


class Before(StrEnum):
    REFUSE = "refuse"
    TAKE_OVER = "take-over"
    IGNORE = "ignore"
