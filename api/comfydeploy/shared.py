"""A cache that several gateways have in common, in Redis, so that a fleet asks ComfyUI Deploy once."""

import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import InvalidSettings
from ..logs import get_logger
from .shelf import Entry

log = get_logger()

_TIMEOUT_S = 2.0
_ANY_TEXT = TypeVar("_ANY_TEXT")
# Deletes a lock only if it is one's own still.
_GIVE_BACK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class RedisShared:
    """Never in the way: with Redis gone each gateway asks by itself. Raises InvalidSettings when it cannot be used."""

    def __init__(self, url: str, account: str) -> None:
        try:
            import redis  # an extra: only a fleet needs it
        except ImportError:
            raise InvalidSettings("COMFY_DEPLOY_REDIS_URL needs the package redis: pip install redis.") from None
        try:
            self._redis: Any = redis.Redis.from_url(
                url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, decode_responses=True
            )
        except ValueError as error:
            raise InvalidSettings(f"COMFY_DEPLOY_REDIS_URL cannot be used: {error}") from None
        self._failure = redis.RedisError
        self._prefix = f"comfyui-worker:deploy:{account}:"

    def read(self, name: str) -> Entry | None:
        """What any gateway has fetched; None for nothing, or when Redis is away."""
        text = self._tried(lambda: self._redis.get(self._prefix + name), None)
        return Entry.of_text(text) if text else None

    def write(self, name: str, entry: Entry, keep_s: float) -> None:
        """Let the others have it for that long."""
        self._tried(lambda: self._redis.set(self._prefix + name, entry.text(), px=max(1, int(keep_s * 1000))), None)

    def drop(self, name: str) -> None:
        """Have it fetched anew."""
        self._tried(lambda: self._redis.delete(self._prefix + name), None)

    def lease(self, name: str, for_s: float) -> str | None:
        """The right to ask; "" when Redis is away and there is nobody to share with, None when another has it."""
        token = secrets.token_hex(8)
        key, life_ms = f"{self._prefix}{name}:asking", int(for_s * 1000)
        taken = self._tried(lambda: bool(self._redis.set(key, token, nx=True, px=life_ms)), "")
        return "" if taken == "" else token if taken else None

    def give_back(self, name: str, lease: str) -> None:
        """Return the right, if it is still one's own."""
        if lease:
            self._tried(lambda: self._redis.eval(_GIVE_BACK, 1, f"{self._prefix}{name}:asking", lease), None)

    def _tried(self, call: Callable[[], Any], otherwise: _ANY_TEXT) -> Any | _ANY_TEXT:
        try:
            return call()
        except self._failure as error:
            log.warning("The shared cache does not answer", error=type(error).__name__)
            return otherwise
