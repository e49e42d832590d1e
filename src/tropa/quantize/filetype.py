"""The quantizations by name: which there are, what each packs its matrices into, and which cannot be made here."""

from __future__ import annotations

from dataclasses import dataclass

from tropa.quantize.errors import UnknownQuantization


@dataclass(frozen=True, slots=True)
class FileType:
    """`number` is what `general.file_type` says; `base` the type of most matrices."""

    name: str
    number: int
    base: str

    @property
    def packed(self) -> bool:
        """Whether numbers share scales; else every matrix just gets another width."""
        return self.base not in ("F32", "F16", "BF16")


KNOWN = {
    kind.name: kind
    for kind in (
        FileType("F32", 0, "F32"),
        FileType("F16", 1, "F16"),
        FileType("BF16", 32, "BF16"),
        FileType("Q8_0", 7, "Q8_0"),
        FileType("Q6_K", 18, "Q6_K"),
        FileType("Q5_K_M", 17, "Q5_K"),
        FileType("Q5_K_S", 16, "Q5_K"),
        FileType("Q5_1", 9, "Q5_1"),
        FileType("Q5_0", 8, "Q5_0"),
        FileType("Q4_K_M", 15, "Q4_K"),
        FileType("Q4_K_S", 14, "Q4_K"),
        FileType("Q4_1", 3, "Q4_1"),
        FileType("Q4_0", 2, "Q4_0"),
        FileType("IQ4_NL", 25, "IQ4_NL"),
        FileType("IQ4_XS", 30, "IQ4_XS"),
        FileType("Q3_K_L", 13, "Q3_K"),
        FileType("Q3_K_M", 12, "Q3_K"),
        FileType("Q3_K_S", 11, "Q3_K"),
        FileType("IQ3_M", 27, "IQ3_S"),
        FileType("IQ3_S", 26, "IQ3_S"),
        FileType("Q2_K", 10, "Q2_K"),
        FileType("Q2_0", 41, "Q2_0"),
        FileType("TQ2_0", 37, "TQ2_0"),
        FileType("TQ1_0", 36, "TQ1_0"),
        FileType("Q1_0", 40, "Q1_0"),
        FileType("MXFP4_MOE", 38, "MXFP4"),
    )
}
SHORT = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "FP16": "F16", "FP32": "F32"}
NEED_IMPORTANCE = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "Q2_K_S")
"""Too few bits to spend them evenly: made only with statistics of the model at work, which we do not gather."""


def file_type(text: str) -> FileType:
    """The quantization of that name, in any letter case. Raises UnknownQuantization."""
    name = text.strip().upper()
    name = SHORT.get(name, name)
    if name in KNOWN:
        return KNOWN[name]
    if name in NEED_IMPORTANCE:
        raise UnknownQuantization(
            f"quantization type {name} needs an importance matrix, which can't be made here",
            hint="use Q2_K, IQ3_S or a larger type, or take a ready-made GGUF of that type",
        )
    raise UnknownQuantization(
        f"unsupported quantization type {name[:40]} - supported types are {', '.join(KNOWN)}"
    )
