"""The tree's own rules: who includes whom, what objects define, that the documents are true."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import mlpkern as mk
from mlpkern import _core

REPOSITORY = Path(__file__).resolve().parent.parent
CSRC = REPOSITORY / "csrc"
PYTHON = REPOSITORY / "python" / "mlpkern"

TABLE = "dispatch/table.hpp"  # the one header that both sides of the dispatch see

# What a folder of csrc may include besides itself: folders, or single headers.
MAY_INCLUDE = {
    "base": set(),
    "simd": {"base"},
    "math": {"base", "simd"},
    "kernels": {"base", "simd", "math", TABLE},
    "gemm": {"base", "simd", "math", "kernels", TABLE},
    "dispatch": {"base"},
    "isa": {"base", "simd", "math", "kernels", "gemm", TABLE},
    "network": {"base", "dispatch"},
    "bindings": {"base", "dispatch", "network", "pybind11"},
}
PER_ISA = {"simd", "math", "kernels", "gemm", "isa"}  # compiled once an ISA, in its namespace
PLAIN_HEADERS = {"cstddef", "cstdint"}  # they define no template and no inline function
INTRINSICS = {"immintrin.h", "arm_neon.h"}
MOST_LINES = 400

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def sources(folder: Path = CSRC) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix in (".cpp", ".hpp"))


def includes(text: str) -> tuple[list[str], list[str]]:
    """Return what "…" names, and what <…> names."""
    found = INCLUDE.findall(text)
    return [ours for ours, _ in found if ours], [theirs for _, theirs in found if theirs]


def broken_includes(path: str, text: str) -> list[str]:
    """Return the includes that a file of csrc, named from there, may not have."""
    folder, _, name = path.partition("/")
    allowed = MAY_INCLUDE[folder] | {folder}
    ours, theirs = includes(text)
    broken = [f for f in ours if f not in allowed and f.split("/")[0] not in allowed]
    broken += [f for f in theirs if f.startswith("pybind11/") and "pybind11" not in allowed]
    if folder in PER_ISA or path == TABLE or path == "base/view.hpp":
        native = folder == "simd" and name.startswith("native_")
        fine = PLAIN_HEADERS | (INTRINSICS if native else set())
        broken += [f for f in theirs if f not in fine]
    return broken


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(CSRC)))
def test_a_file_includes_only_layers_above_it(path: Path) -> None:
    assert broken_includes(str(path.relative_to(CSRC)), path.read_text()) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("simd/vec.hpp", "#include <algorithm>"),
        ("math/exp.hpp", '#include "kernels/elementwise.hpp"'),
        ("math/exp.hpp", "#include <immintrin.h>"),
        ("kernels/losses.hpp", '#include "dispatch/registry.hpp"'),
        ("network/network.cpp", '#include "gemm/gemm.hpp"'),
        ("network/network.cpp", "#include <pybind11/pybind11.h>"),
        ("dispatch/table.hpp", "#include <vector>"),
    ],
)
def test_a_wrong_include_is_found(path: str, line: str) -> None:
    assert len(broken_includes(path, f"// A file.\n  {line}\n")) == 1


def test_isa_parts_reach_only_headers_that_are_checked() -> None:
    """Follows the includes, so that no new folder slips in between."""
    seen: set[str] = set()
    todo = [str(p.relative_to(CSRC)) for p in sources(CSRC / "isa")]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        todo += includes((CSRC / path).read_text())[0]
    outside = {p for p in seen if p.split("/")[0] not in PER_ISA}
    assert outside == {TABLE, "base/view.hpp"}


@pytest.mark.parametrize(
    "path",
    [p for name in sorted(PER_ISA) for p in sources(CSRC / name)],
    ids=lambda p: str(p.relative_to(CSRC)),
)
def test_per_isa_code_opens_its_namespace(path: Path) -> None:
    namespaces = re.findall(r"^namespace ([\w:]+) \{", path.read_text(), re.MULTILINE)
    assert set(namespaces) == {"mlpkern::MLPKERN_ISA"}


# --- symbols -------------------------------------------------------------------------------------


def isa_flags() -> dict[str, list[str]]:
    """Return the ISAs of x86-64 with their compiler flags, as CMakeLists.txt has them."""
    text = (REPOSITORY / "CMakeLists.txt").read_text()
    calls = re.findall(r"^\s+mlpkern_add_isa\((\w+)\s+([^)]*)\)", text, re.MULTILINE)
    return {name: flags.split() for name, flags in calls}


def foreign_symbols(names: list[str], isa: str) -> list[str]:
    """Return those of nm's lines whose symbol the linker may take for another object's.

    Allowed are local symbols, those inside ``mlpkern::<isa>``, with the statics of functions there
    and their guards, and the compiler's pointers to what it needs for exceptions.
    """
    inside = re.compile(rf"_Z(GV|GR)?Z*N[rVKRO]*7mlpkern{len(isa)}{isa}")
    foreign = []
    for line in names:
        *_, kind, symbol = line.split()
        is_global = kind.isupper() or kind in ("u", "v", "w")
        if is_global and not inside.match(symbol) and not symbol.startswith("DW.ref."):
            foreign.append(symbol)
    return foreign


def test_a_foreign_symbol_is_found() -> None:
    lines = [
        "0000 T _ZN7mlpkern4avx27kernelsIfEERKNS_7KernelsIT_EEv",  # mlpkern::avx2::kernels<float>()
        "0000 t _ZSt3maxIfERKT_S2_S2_",  # local
        "0000 u _ZGVZN7mlpkern4avx27kernelsIfEERKNS_7KernelsIT_EEvE5table",
        "0000 V DW.ref.__gxx_personality_v0",
        "0000 W _ZSt3maxIfERKT_S2_S2_",  # std::max<float>
        "0000 W _ZN7mlpkern7rows_ofIKfEENS_6MatrixIT_EES4_ll",  # mlpkern::rows_of
        "0000 W _ZN7mlpkern6avx5124exp2Ev",  # another ISA's
        "0000 W _Z3fooN7mlpkern4avx23VecIfEE",  # foo(mlpkern::avx2::Vec<float>)
    ]
    assert foreign_symbols(lines, "avx2") == [line.split()[-1] for line in lines[4:]]


def tool(*names: str) -> str:
    for name in names:
        if name and (path := shutil.which(name)):
            return path
    pytest.skip(f"needs one of {', '.join(n for n in names if n)}")


def defined_symbols(path: Path, *options: str) -> list[str]:
    command = [tool("nm"), "--defined-only", *options, str(path)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line for line in lines if line]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the flags are those of x86-64")
@pytest.mark.parametrize("part", ["linear", "rows", "training", "probes", "table"])
@pytest.mark.parametrize("isa", isa_flags())
def test_an_object_defines_only_its_own(isa: str, part: str, tmp_path: Path) -> None:
    """Unoptimized: at -O3 most functions are inlined, and what is wrong stays hidden."""
    compiler = tool(os.environ.get("CXX", ""), "c++", "g++", "clang++")
    out = tmp_path / f"{part}.o"
    command = [compiler, "-std=c++20", "-O0", "-fPIC", "-fvisibility=hidden", "-Wno-psabi"]
    command += [*isa_flags()[isa], f"-DMLPKERN_ISA={isa}", f"-I{CSRC}"]
    subprocess.run([*command, "-c", str(CSRC / "isa" / f"{part}.cpp"), "-o", str(out)], check=True)
    symbols = defined_symbols(out)
    assert any(f"7mlpkern{len(isa)}{isa}" in line for line in symbols)
    assert foreign_symbols(symbols, isa) == []


def test_the_module_exports_its_entry_alone() -> None:
    assert _core.__file__ is not None
    exported = [line.split()[-1] for line in defined_symbols(Path(_core.__file__), "-D")]
    assert exported == ["PyInit__core"]


# --- names, once ---------------------------------------------------------------------------------


def test_every_isa_stands_in_its_three_places() -> None:
    registry = (CSRC / "dispatch" / "registry.cpp").read_text()
    declared = set(re.findall(r"^MLPKERN_DECLARE_ISA\((\w+)\)", registry, re.MULTILINE))
    assert declared == {"baseline", *isa_flags()}
    for isa in isa_flags():
        assert f'{{"{isa}",' in registry
        assert (CSRC / "simd" / f"native_{isa}.hpp").is_file()
        if os.uname().machine == "x86_64":
            assert isa in _core.all_isas()


def structs_named(name: str) -> list[str]:
    """Return the kernels' files with a struct or class of that name that is a row of the table."""
    row = re.compile(rf'^(?:struct|class) {name}\b[^;]*?name = "{name}"', re.MULTILINE | re.DOTALL)
    return [p.name for p in sources(CSRC / "kernels") for _ in row.findall(p.read_text())]


def classes_named(name: str, folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name == name:
                found.append(path.name)
    return found


TABLE_ACTIVATIONS = [name for name, _ in _core.activation_specs()]


@pytest.mark.parametrize("name", TABLE_ACTIVATIONS)
def test_an_activation_is_one_struct_one_oracle_one_row(name: str) -> None:
    """CONTRIBUTING's recipe: to add an activation takes these three edits."""
    shown = "GELU" if name == "GELUTanh" else name  # one class in Python, approximate="tanh"
    assert len(structs_named(name)) == 1
    assert len(classes_named(shown, PYTHON / "reference")) == 1
    if not getattr(mk, shown).by_rows:
        import accuracy

        assert shown in {row.name for row in accuracy.ROWS}


@pytest.mark.parametrize("name", mk.LOSSES)
def test_a_loss_is_one_struct_one_oracle_one_class(name: str) -> None:
    assert len(structs_named(name)) == 1
    assert len(classes_named(name, PYTHON / "reference")) == 1
    assert classes_named(name, PYTHON).count("losses.py") == 2  # the oracle's file is called so too


@pytest.mark.parametrize("name", mk.OPTIMIZERS)
def test_an_optimizer_is_one_struct_one_oracle_one_class(name: str) -> None:
    assert structs_named(name) == ["optimizers.hpp"]
    assert len(classes_named(name, PYTHON / "reference")) == 1
    assert classes_named(name, PYTHON).count("optimizers.py") == 2


# --- documents -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [*sources(), *sorted(PYTHON.rglob("*.py"))],
    ids=lambda p: str(p.relative_to(REPOSITORY)),
)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_readme_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python block of the README, in order, as one session."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    readme = (REPOSITORY / "README.md").read_text()
    blocks = list(re.finditer(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL))
    assert blocks, "the README has no example"
    session = {"__name__": "__main__"}
    for block in blocks:
        # Lines above the block, so that a traceback names the README's line.
        lines_above = readme.count("\n", 0, block.start(1))
        exec(compile("\n" * lines_above + block.group(1), "README.md", "exec"), session)


def paths_named(text: str) -> list[str]:
    """Return the paths of this repository that a document names in backticks.

    ``csrc/simd/native_<isa>.hpp`` stands for any file of that kind, ``csrc/isa/*.cpp`` for all.
    """
    words = [word for span in re.findall(r"`([^`\n]+)`", text) for word in span.split()]
    made = {line.strip("/") for line in (REPOSITORY / ".gitignore").read_text().splitlines()}
    top = {p.name for p in REPOSITORY.iterdir()} - made
    return [
        re.sub(r"<\w+>", "*", word.rstrip(".,:"))
        for word in words
        if "/" in word and word.split("/")[0] in top
    ]


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "README.md"])
def test_a_document_names_files_that_exist(document: str) -> None:
    missing = [
        path
        for path in paths_named((REPOSITORY / document).read_text())
        if not any(REPOSITORY.glob(path))
    ]
    assert missing == []


def test_the_map_shows_every_folder() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    tree = text.split("```text\n")[1].split("```")[0]
    shown = {line.split()[0] for line in tree.splitlines() if line.strip()}
    folders = {p.parent.relative_to(REPOSITORY) for p in sources()}
    folders |= {p.parent.relative_to(REPOSITORY) for p in PYTHON.rglob("*.py")}
    folders |= {p.parent.relative_to(REPOSITORY) for p in (REPOSITORY / "tests").rglob("*.cpp")}
    assert {f"{folder}/" for folder in folders} <= shown
    assert all((REPOSITORY / path).exists() for path in shown)
