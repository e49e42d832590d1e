"""What a `format` of a string looks like, as patterns.

Each is a part of what its standard allows that every checker takes, wide enough for what people mean. A format that
stands in no standard (`int32`, `password`) is a remark, as JSON Schema has it.
"""

from __future__ import annotations

_LEAP = "([0-9][0-9](0[48]|[2468][048]|[13579][26])|([02468][48]|[13579][26]|[2468]0)00)"
_YEAR = "([0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_DATE = (
    f"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    f"|02-(0[1-9]|1[0-9]|2[0-8]))|{_LEAP}-02-29)"
)
_ZONE = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_TIME = f"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{{1,6}})?{_ZONE}"
_LABEL = "[A-Za-z0-9]{1,16}(-[A-Za-z0-9]{1,16}){0,2}"
_HOST = f"{_LABEL}(\\.{_LABEL}){{0,3}}\\.[A-Za-z]{{2,12}}"
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = f"{_BYTE}(\\.{_BYTE}){{3}}"
_HEX = "[0-9a-fA-F]{1,4}"
_IPV6 = (
    f"(({_HEX}:){{7}}{_HEX}|({_HEX}:){{1,3}}(:{_HEX}){{1,4}}|::({_HEX}(:{_HEX}){{0,5}})?|({_HEX}:){{1,6}}:)"
)
_ESCAPED = "%[0-9A-Fa-f]{2}"
_PATH = f"([A-Za-z0-9._~!$&'()*+,;=:@/-]|{_ESCAPED})*"
_QUERY = f"(\\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|{_ESCAPED})*)?(#([A-Za-z0-9._~!$&'()*+,;=:@/?-]|{_ESCAPED})*)?"
_AUTHORITY = f"//([A-Za-z0-9._~-]+@)?({_HOST}|localhost|{_IPV4})(:[0-9]{{1,4}})?"
_AFTER = f"(/([A-Za-z0-9._~!$&'()*+,;=:@/-]|{_ESCAPED})*)?"
_PLAIN = "[A-Za-z0-9._~!$&'()*+,;=@-]"
_LOCATED = f"(https?|ftps?|wss?|file|s3|git|ssh):{_AUTHORITY}{_AFTER}{_QUERY}"
_URI = f"({_LOCATED}|(mailto|tel|urn|data|news):{_PLAIN}+(:{_PLAIN}+)*)"
_DURATION = (
    "P([0-9]{1,6}W|([0-9]{1,6}Y([0-9]{1,6}M([0-9]{1,6}D)?)?|[0-9]{1,6}M([0-9]{1,6}D)?|[0-9]{1,6}D)(T%s)?|T%s)"
)
_CLOCK = "([0-9]{1,6}H([0-9]{1,6}M([0-9]{1,6}S)?)?|[0-9]{1,6}M([0-9]{1,6}S)?|[0-9]{1,6}S)"
_UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_EMAIL = f"[A-Za-z0-9_+-]+(\\.[A-Za-z0-9_+-]+){{0,4}}@{_HOST}"
_POINTER = "(/([^\\x00-\\x1f/~]|~[01])*)*"
_LOCAL = f"/([A-Za-z0-9._~!$&'()*+,;=:@-]{_PATH})?{_QUERY}|[A-Za-z0-9._~-]+{_QUERY}"
_REFERENCE = f"({_URI}|{_AUTHORITY}{_AFTER}{_QUERY}|{_LOCAL})"

PATTERNS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": _DURATION % (_CLOCK, _CLOCK),
    "uuid": _UUID,
    "email": _EMAIL,
    "idn-email": _EMAIL,
    "hostname": _HOST,
    "idn-hostname": "[a-z0-9]{1,16}(-[a-z0-9]{1,16}){0,2}(\\.[a-z][a-z0-9]{1,16}){1,3}",
    "ipv4": _IPV4,
    "ipv6": _IPV6,
    "uri": _URI,
    "uri-reference": _REFERENCE,
    "iri": _URI,
    "iri-reference": _REFERENCE,
    "json-pointer": _POINTER,
    "relative-json-pointer": f"[0-9](#|{_POINTER})",
    "uri-template": f"{_PATH}(\\{{[A-Za-z][A-Za-z0-9_]*\\}}{_PATH}){{0,4}}",
    "regex": "[A-Za-z0-9 _.-]*",
}


def pattern(name: str) -> str | None:
    """The pattern that a whole string of this format fits; None for a format that is only a remark."""
    inner = PATTERNS.get(name)
    return None if inner is None else f"^({inner})$"
