# SPDX-License-Identifier: BSD-3-Clause
"""Print coefficients.hpp: every polynomial and constant of csrc/math, from its definition.

    python csrc/math/coefficients.py > csrc/math/coefficients.hpp

A polynomial interpolates its function in the Chebyshev points of the interval that the argument's
reduction leaves, which is within a factor of about two of the best one. mpmath, 300 bits.
"""

import itertools
from collections.abc import Callable

import mpmath as mp

mp.mp.prec = 300
Function = Callable[[mp.mpf], mp.mpf]


def interpolate(f: Function, low: mp.mpf, high: mp.mpf, degree: int) -> list[mp.mpf]:
    """Return the coefficients, constant first, of the polynomial through the Chebyshev points."""
    n = degree + 1
    points = [
        mp.cos(mp.pi * (2 * k + 1) / (2 * n)) * (high - low) / 2 + (high + low) / 2
        for k in range(n)
    ]
    newton = [f(x) for x in points]  # divided differences, then expanded
    for order in range(1, n):
        for i in range(n - 1, order - 1, -1):
            newton[i] = (newton[i] - newton[i - 1]) / (points[i] - points[i - order])
    result = [newton[-1]]
    for i in range(n - 2, -1, -1):
        shifted = [mp.mpf(0), *result]
        result = [a - points[i] * b for a, b in zip(shifted, [*result, mp.mpf(0)], strict=True)]
        result[0] += newton[i]
    return result


def single(x: mp.mpf) -> mp.mpf:
    """Round to float32, for a coefficient of magnitude between 2^-60 and 2^60."""
    unit = mp.mpf(2) ** (mp.floor(mp.log(abs(x), 2)) - 23)
    return mp.nint(x / unit) * unit


def twin(x: mp.mpf) -> str:
    hi = float(x)
    return f"{{{hi!r}, {float(x - mp.mpf(hi))!r}}}"


def emit(
    name: str,
    comment: str,
    f: Function,
    interval: tuple[object, object],
    degree: int,
    twins: int = 0,
    dtype: str = "double",
) -> None:
    """Print the polynomial; its first `twins` coefficients as sums of two doubles."""
    low, high = (mp.mpf(x) for x in interval)
    c = interpolate(f, low, high, degree)
    if dtype == "float":
        c = [single(x) for x in c]
    # What the rounding of the coefficients and the interpolation leave, relative to f.
    rounded = [
        mp.mpf(float(x)) + (mp.mpf(float(x - mp.mpf(float(x)))) if i < twins else 0)
        for i, x in enumerate(c)
    ]
    grid = [low + (high - low) * k / 500 for k in range(501)]
    error = max(abs(mp.polyval(rounded[::-1], x) / f(x) - 1) for x in grid)
    span = f"[{mp.nstr(low, 4)}, {mp.nstr(high, 4)}]"
    print(f"\n// {comment} on {span}, relative error 2^{float(mp.log(error, 2)):.1f}.")
    if twins:
        print(f"constexpr Twin {name}Lead[] = {{")
        for x in c[:twins]:
            print(f"    {twin(x)},")
        print("};")
    tail = f"{name}Tail" if twins else name
    print(f"constexpr {dtype} {tail}[] = {{")
    for x in c[twins:]:
        print(f"    {literal(x, dtype)},")
    print("};")


def literal(x: mp.mpf, dtype: str) -> str:
    """Print a number; a float has its f, and just the digits that it needs."""
    return f"{float(x)!r}" if dtype == "double" else f"{mp.nstr(x, 9)}f"


def series(f: Function, taylor: Function) -> Function:
    """Return f, but `taylor` next to 0, where f cancels."""
    return lambda x: taylor(x) if abs(x) < mp.mpf("1e-6") else f(x)


def constant(name: str, x: mp.mpf, comment: str) -> None:
    print(f"constexpr Twin {name} = {twin(x)};  // {comment}")


def parts(name: str, x: mp.mpf, bits: list[int], comment: str, dtype: str = "double") -> None:
    """Print x as a sum of numbers of so many bits: products with small integers are exact."""
    values = []
    for b in bits:
        exponent = mp.floor(mp.log(abs(x), 2)) + 1
        unit = mp.mpf(2) ** (exponent - b)
        part = mp.mpf(float(mp.floor(x / unit) * unit if b < 53 else x))
        part = single(part) if dtype == "float" else part
        values.append(literal(part, dtype))
        x -= part
    print(f"// {comment}\nconstexpr {dtype} {name}[] = {{{', '.join(values)}}};")


def powers_of_two() -> None:
    """Print 2^(j/16) in two parts, the second as a fraction of the first."""
    powers = [mp.mpf(2) ** (mp.mpf(j) / 16) for j in range(16)]
    print("\n// 2^(j/16): a float, and what it lacks, as a fraction of it.")
    lost = [power / single(power) - 1 for power in powers]
    for name, values in (("", map(single, powers)), ("Lost", lost)):
        row = ", ".join(literal(x, "float") if x else "0.0f" for x in values)
        print(f"constexpr float kPowerOfTwo{name}[16] = {{{row}}};")


def two_over_pi(words: int, zeros: int) -> None:
    """Print the bits of 2/pi behind the point, in words of 64, after `zeros` words of 0."""
    with mp.workprec(64 * words + 64):
        digits = int(mp.floor(mp.ldexp(2 / mp.pi, 64 * words)))
    print("\n// 2/pi behind the binary point, most significant word first, after words of zero.")
    print(f"constexpr int kTwoOverPiZeroWords = {zeros};")
    print("constexpr std::uint64_t kTwoOverPi[] = {")
    for _ in range(zeros):
        print("    0,")
    for i in range(words - 1, -1, -1):
        print(f"    {(digits >> (64 * i)) & (2**64 - 1):#018x},")
    print("};")


def mills(a: mp.mpf) -> Function:
    """Return y -> (t + a) Phi(-t) exp(t^2/2) with y = (t - a)/(t + a)."""

    def f(y: mp.mpf) -> mp.mpf:
        t = a * (1 + y) / (1 - y)
        return (t + a) * mp.erfc(t / mp.sqrt(2)) / 2 * mp.exp(t * t / 2)

    return f


def atanh_series(z: mp.mpf) -> mp.mpf:
    return mp.fsum(z**n / (2 * n + 3) for n in range(6))


def tanh_rest(z: mp.mpf) -> mp.mpf:
    s = mp.sqrt(z)
    return (s - mp.tanh(s)) / s**3


def nearest(x: mp.mpf, dtype: str) -> mp.mpf:
    return single(x) if dtype == "float" else mp.mpf(float(x))


def quiet_centre(f: Function, low: mp.mpf, high: mp.mpf, dtype: str) -> mp.mpf:
    """Return a number of 13 bits near the middle where f is as close to one of dtype as can be."""
    middle = (low + high) / 2
    unit = mp.mpf(2) ** (mp.floor(mp.log(middle, 2)) - 12)
    near = [mp.nint(middle / unit) * unit + k * unit for k in range(-200, 200)]
    near = [c for c in near if abs(c - middle) <= (high - low) / 25]
    return min(near, key=lambda c: abs(nearest(f(c), dtype) / f(c) - 1))


def pieces(
    name: str,
    comment: str,
    f: Function,
    edges: list[mp.mpf],
    degree: int,
    shift: int,
    from_zero: Function | None = None,
    dtype: str = "float",
) -> None:
    """Print the table of math/piecewise.hpp: rows c, y, coefficients; a column an interval.

    The k-th interval is in column (k + shift) mod 16. `from_zero`, if given, is interpolated on
    the first, with c = 0 and y = 0.
    """
    columns = [[mp.mpf(0)] * (degree + 3) for _ in range(16)]
    worst = mp.mpf(0)
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        if k == 0 and from_zero is not None:
            c, y, slope = mp.mpf(0), mp.mpf(0), from_zero
        else:
            c = quiet_centre(f, low, high, dtype)
            y, exact = nearest(f(c), dtype), f(c)
            slope = lambda d, c=c, exact=exact: (f(c + d) - exact) / d  # noqa: E731
        r = [nearest(x, dtype) for x in interpolate(slope, low - c, high - c, degree)]
        columns[(k + shift) % 16] = [c, y, *r]
        for i in range(1, 100):
            t = low + (high - low) * i / 100
            got = y + (t - c) * mp.polyval(r[::-1], t - c) + (t if c == 0 else 0)
            worst = max(worst, abs(got / f(t) - 1))
    bits = f"2^{float(mp.log(worst, 2)):.1f}"
    print(f"\n// {comment} up to {mp.nstr(edges[-1], 4)}, relative error {bits}.")
    print(f"constexpr {dtype} {name}Pieces[][16] = {{")
    for row in range(degree + 3):
        print(f"    {{{', '.join(literal(column[row], dtype) for column in columns)}}},")
    print("};")


def main() -> None:
    half = mp.log(2) / 2 * (1 + mp.mpf(2) ** -20)
    print("// SPDX-License-Identifier: BSD-3-Clause")
    print("// Written by coefficients.py: change that. Lead: coefficients in two doubles; Tail:")
    print("// the rest.\n// clang-format off")
    print('#pragma once\n\n#include <cstdint>\n\n#include "math/twofold.hpp"\n')
    print("namespace mlpkern::MLPKERN_ISA {\n")
    constant("kLn2", mp.log(2), "log 2")
    constant("kLog2e", 1 / mp.log(2), "1/log 2")
    constant("kInvSqrt2Pi", 1 / mp.sqrt(2 * mp.pi), "1/sqrt(2 pi)")
    constant("kSqrt8OverPi", mp.sqrt(8 / mp.pi), "sqrt(8/pi)")
    constant("kGeluCubic", mp.mpf("0.044715"), "GELU's tanh form")
    selu_scale = mp.mpf("1.0507009873554804934193349852946")
    selu_alpha = mp.mpf("1.6732632423543772848170429916717")
    constant("kSeluScale", selu_scale, "SELU, as PyTorch has it")
    constant("kSeluScaleAlpha", selu_scale * selu_alpha, "its scale times its alpha")
    constant("kSixth", mp.mpf(1) / 6, "1/6")
    constant("kThird", mp.mpf(1) / 3, "1/3")
    print(f"constexpr double kTwoOverPi1 = {float(2 / mp.pi)!r};  // 2/pi")
    constant("kHalfPi", mp.pi / 2, "pi/2")
    parts("kLn2Parts", mp.log(2), [40, 53], "log 2; the first times an integer up to 2^13 is exact")
    parts("kLn2PartsFloat", mp.log(2), [16, 53], "the same; up to 2^8", "float")
    parts(
        "kHalfPiParts",
        mp.pi / 2,
        [33, 33, 33, 53],
        "pi/2; each but the last times one up to 2^20 is exact",
    )

    parts("kHalfPiTwoParts", mp.pi / 2, [33, 53], "the same, in two")

    expm1 = series(
        lambda r: (mp.expm1(r) - r) / r**2,
        lambda r: mp.fsum(r**n / mp.factorial(n + 2) for n in range(6)),
    )
    emit("kExpWide", "(exp(r) - 1 - r)/r^2", expm1, (-half, half), 6)
    emit("kExp", "(exp(r) - 1 - r)/r^2", expm1, (-half, half), 13, twins=3)

    cubic = series(
        lambda r: (mp.expm1(r) - r - r * r / 2) / r**3,
        lambda r: mp.fsum(r**n / mp.factorial(n + 3) for n in range(6)),
    )
    emit("kExpFloat", "(exp(r) - 1 - r - r^2/2)/r^3", cubic, (-half, half), 4, dtype="float")
    emit("kExpDouble", "(exp(r) - 1 - r - r^2/2)/r^3", cubic, (-half, half), 9)

    sixteenth = mp.log(2) / 16
    parts(
        "kLn2SixteenthParts",
        sixteenth,
        [12, 53],
        "log(2)/16; the first times an integer up to 2^12 is exact",
        "float",
    )
    near = sixteenth / 2 * (1 + mp.mpf(2) ** -10)
    emit("kExpNear", "(exp(r) - 1 - r)/r^2", expm1, (-near, near), 2, dtype="float")
    powers_of_two()

    bound = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)
    atanh = series(lambda z: (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, atanh_series)
    emit("kLogWide", "(atanh(t)/t - 1)/t^2 in z = t^2,", atanh, (0, bound**2), 3)
    emit("kLog", "(atanh(t)/t - 1)/t^2 in z = t^2,", atanh, (0, bound**2), 12, twins=3)

    emit("kLogDouble", "(atanh(t)/t - 1)/t^2 in z = t^2,", atanh, (0, bound**2), 7)

    eighth = (mp.pi / 4) ** 2 * (1 + mp.mpf(2) ** -20)
    sine = series(
        lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
        lambda z: mp.fsum((-1) ** (n + 1) * z**n / mp.factorial(2 * n + 3) for n in range(6)),
    )
    cosine = series(
        lambda z: ((mp.cos(mp.sqrt(z)) - 1) / z + mp.mpf(1) / 2) / z,
        lambda z: mp.fsum((-1) ** n * z**n / mp.factorial(2 * n + 4) for n in range(6)),
    )
    emit("kSineWide", "(sin(r)/r - 1)/r^2 in z = r^2,", sine, (0, eighth), 4)
    emit("kSine", "(sin(r)/r - 1)/r^2 in z = r^2,", sine, (0, eighth), 9, twins=3)
    emit("kCosineWide", "(cos(r) - 1 + r^2/2)/r^4 in z = r^2,", cosine, (0, eighth), 3)
    emit("kCosine", "(cos(r) - 1 + r^2/2)/r^4 in z = r^2,", cosine, (0, eighth), 9, twins=3)

    shrink = series(tanh_rest, lambda z: mp.mpf(1) / 3 - 2 * z / 15 + 17 * z**2 / 315)
    emit("kTanhshrinkWide", "(s - tanh(s))/s^3 in z = s^2,", shrink, (0, "0.0625"), 4)
    emit("kTanhshrink", "(s - tanh(s))/s^3 in z = s^2,", shrink, (0, "0.0625"), 10, twins=2)

    pole_wide, pole = mp.mpf(5), mp.mpf(6)
    emit(
        "kMillsWide",
        "(t + 5) Phi(-t) exp(t^2/2) in y = (t - 5)/(t + 5)",
        mills(pole_wide),
        (-1, (16 - pole_wide) / (16 + pole_wide)),
        14,
    )
    emit(
        "kMills",
        "(t + 6) Phi(-t) exp(t^2/2) in y = (t - 6)/(t + 6)",
        mills(pole),
        (-1, (40 - pole) / (40 + pole)),
        26,
        twins=9,
    )
    octaves = [mp.mpf(2) ** j * part for j in range(-4, 4) for part in (1, mp.mpf("1.5"))]
    end = mp.mpf(single(mp.mpf("9.3")))
    print(f"constexpr float kTanhEnd = {literal(end, 'float')};  // tanh rounds to 1 from there on")
    pieces(
        "kTanh",
        "tanh",
        mp.tanh,
        [mp.mpf(0), *octaves[1:15], end],
        6,
        shift=6,  # of 2^-4 the exponent, 123, and a bit of 0
        from_zero=lambda d: -tanh_rest(d * d) * d * d if abs(d) > mp.mpf("1e-9") else -d * d / 3,
    )
    mills_ratio: Function = lambda t: mp.erfc(t / mp.sqrt(2)) / 2 * mp.exp(t * t / 2)  # noqa: E731
    quarters = [mp.mpf(2) ** j * (4 + i) / 4 for j in range(4) for i in range(4)]
    pieces(
        "kMillsFloat",
        "Phi(-t) exp(t^2/2)",
        mills_ratio,
        [u - 1 for u in [*quarters, mp.mpf(16)]],
        6,
        shift=12,  # of 1 the exponent, 127, and two bits of 0
    )
    pieces(
        "kMillsDouble",
        "Phi(-t) exp(t^2/2)",
        mills_ratio,
        [2 * u - 3 for u in quarters[2:]] + [mp.mpf(u - 3) for u in (32, 40, 48)],
        14,
        shift=2,  # of 3 the exponent, 1024, and its first bits, 10
        dtype="double",
    )
    two_over_pi(20, 4)
    print("\n}  // namespace mlpkern::MLPKERN_ISA")


if __name__ == "__main__":
    main()
