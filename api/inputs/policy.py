"""What input files may be and where they may come from, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputPolicy:
    """Sizes count decoded bytes; `allowed_hosts` are exempt from the check of their addresses.

    `timeout_s` is for each URL, `total_timeout_s` for all of a job.
    """

    max_file_bytes: int = 100_000_000
    max_total_bytes: int = 500_000_000
    max_pixels: int = 200_000_000
    urls: bool = True
    allow_private: bool = False
    allowed_hosts: tuple[str, ...] = ()
    timeout_s: float = 120.0
    total_timeout_s: float = 300.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0
    max_redirects: int = 5
    attempts: int = 3
    retry_wait_s: float = 0.5
