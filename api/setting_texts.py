"""How settings are written: lists, keys, and what an operator is shown of them. Knows no setting by name."""

import base64
import re
from typing import Any

from pydantic import SecretStr


def parts(text: str) -> tuple[str, ...]:
    """What stands between the commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def signing_keys(secret: SecretStr | None) -> tuple[bytes, ...]:
    """Each is the bytes behind `whsec_` in base64, or the text itself. Raises ValueError, without any of it."""
    texts = [text for text in re.split(r"[\s,]+", secret.get_secret_value() if secret else "") if text]
    return tuple(_signing_key(text) for text in texts)


def shown(value: Any) -> str:
    """A setting's value as an operator would write it; a secret as asterisks."""
    if value is None or value in ("", ()):
        return "–"
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _signing_key(text: str) -> bytes:
    encoded = text.removeprefix("whsec_")
    if encoded == text:
        return text.encode()
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if not key:
        raise ValueError("what follows whsec_ is not base64; make one with: echo whsec_$(openssl rand -base64 32)")
    return key
