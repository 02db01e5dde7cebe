"""Tokens: found by what is written on them, never by the number of a slot, which moves."""

from ctypes import byref
from dataclasses import dataclass
from typing import Final, Self

from softhsm.pkcs11 import binding
from softhsm.pkcs11.constants import (
    CKF_DECRYPT,
    CKF_ENCRYPT,
    CKF_GENERATE,
    CKF_GENERATE_KEY_PAIR,
    CKM_AES_GCM,
    CKM_AES_KEY_GEN,
    CKM_RSA_PKCS_KEY_PAIR_GEN,
    CKM_RSA_PKCS_OAEP,
    Ckr,
    TokenFlag,
)
from softhsm.pkcs11.errors import NoGcmError, NoOaepError, Pkcs11Error, TokenError, demand
from softhsm.pkcs11.module import Module

_MECHANISMS: Final = {
    "CKM_AES_GCM": CKM_AES_GCM,
    "CKM_AES_KEY_GEN": CKM_AES_KEY_GEN,
    "CKM_RSA_PKCS_KEY_PAIR_GEN": CKM_RSA_PKCS_KEY_PAIR_GEN,
    "CKM_RSA_PKCS_OAEP": CKM_RSA_PKCS_OAEP,
}


@dataclass(frozen=True)
class Token:
    """What a token says of itself. Limits of 0 are none, or not known; a PIN's sizes are in bytes."""

    slot: int
    serial: str
    label: str
    model: str
    flags: TokenFlag
    max_sessions: int
    pin_sizes: range | None

    @classmethod
    def at(cls, module: Module, slot: int) -> Self:
        info = binding.TokenInfo()
        module.call("C_GetTokenInfo", slot, byref(info))
        most = info.max_sessions
        sizes = range(info.min_pin, info.max_pin + 1) if info.min_pin <= info.max_pin < 1 << 16 else None
        return cls(
            slot,
            binding.text(info.serial),
            binding.text(info.label),
            binding.text(info.model),
            TokenFlag(info.flags & sum(TokenFlag)),
            0 if most in binding.NO_LIMITS else most,
            sizes or None,
        )

    def __str__(self) -> str:
        return f'"{self.label}" serial {self.serial}'


@dataclass(frozen=True)
class Wanted:
    """The serial, the label, or both; at least one is not empty."""

    serial: str = ""
    label: str = ""

    def __str__(self) -> str:
        return " ".join(
            [f'"{self.label}"'] * bool(self.label) + [f"serial {self.serial}"] * bool(self.serial)
        )

    def fits(self, token: Token) -> bool:
        return self.serial in ("", token.serial) and self.label in ("", token.label)


def find(module: Module, wanted: Wanted) -> Token:
    """Exactly one: two alike are no token, for half of the keys would be on each."""
    found: list[Token] = []
    unreadable = 0
    for slot in module.slots():
        try:
            found.append(Token.at(module, slot))
        except Pkcs11Error:
            # One dead reader does not hide the token beside it.
            unreadable += 1
    chosen = [token for token in found if wanted.fits(token)]
    if len(chosen) != 1:
        seen = "; ".join(str(token) for token in found if token.label) or "none"
        also = f"; {unreadable} cannot be read" if unreadable else ""
        raise TokenError(f"{len(chosen)} tokens fit {wanted}; there are: {seen}{also}")
    return chosen[0]


def demand_gcm(module: Module, token: Token) -> None:
    """Raise unless the token makes AES keys and does AES-GCM with them."""
    _demand(module, token, "CKM_AES_GCM", CKF_ENCRYPT | CKF_DECRYPT, NoGcmError)
    _demand(module, token, "CKM_AES_KEY_GEN", CKF_GENERATE, NoGcmError)


def demand_oaep(module: Module, token: Token) -> None:
    """Raise unless the token opens what was closed by RSA-OAEP; with which hash, only a key can tell."""
    _demand(module, token, "CKM_RSA_PKCS_OAEP", CKF_DECRYPT, NoOaepError)


def demand_pairs(module: Module, token: Token) -> None:
    """Raise unless the token makes RSA key pairs."""
    _demand(module, token, "CKM_RSA_PKCS_KEY_PAIR_GEN", CKF_GENERATE_KEY_PAIR, NoOaepError)


def _demand(module: Module, token: Token, name: str, needed: int, lacking: type[Pkcs11Error]) -> None:
    info = binding.MechanismInfo()
    code = module.code("C_GetMechanismInfo", token.slot, _MECHANISMS[name], byref(info))
    if code == Ckr.MECHANISM_INVALID or (code == Ckr.OK and info.flags & needed != needed):
        raise lacking(f"the token {token} has no {name}")
    demand(code, "C_GetMechanismInfo")
