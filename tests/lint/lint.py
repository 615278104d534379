#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""House rules as tests: lint.py CHECK [--build DIR] [--lib FILE] [--so FILE] [--cc CC] [--cxx CXX].

Each check is one function below; its docstring is the rule. Prints every breach, exits 1 when there is one, 77 when a tool is missing.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ["ir", "passes", "strategy", "yaml", "backends", "frontends", "tests", "bench"]
SKIP = 77


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def files(*endings, under=tuple(FOLDERS)):
    for top in under:
        for at, folders, names in os.walk(os.path.join(ROOT, top)):
            folders[:] = sorted(d for d in folders if d != "__pycache__")
            for name in sorted(names):
                if not endings or name.endswith(endings):
                    yield os.path.relpath(os.path.join(at, name), ROOT)


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, **more)


def in_parallel(work, items):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        return [line for lines in pool.map(work, items) for line in lines]


# ---- text

# who: what it may include besides itself
MAY_INCLUDE = {
    "ir/": [],
    "passes/": ["ir/"],
    "strategy/": ["ir/", "passes/pass.h"],
    "yaml/": ["ir/support/"],
    "backends/": ["ir/"],
    "backends/onnx/": ["ir/", "frontends/onnx/proto.h"],
    "backends/ort/": ["ir/", "backends/onnx/export.h"],
    "backends/target/": ["ir/", "yaml/"],
    "frontends/onnx/": ["ir/"],
    "frontends/data/": ["ir/", "frontends/onnx/import.h"],
    "frontends/capi/": FOLDERS[:6],
    "frontends/cli/": ["frontends/capi/qcc.h"],
    "bench/": ["ir/", "passes/pass.h", "strategy/", "backends/", "frontends/"],
}
# libraries of others: header, and the folders that may know it
LIBRARIES = {
    "protobuf-c": ["frontends/onnx/", "backends/onnx/"],
    "yaml.h": ["yaml/"],
    "cblas.h": ["backends/ref/", "strategy/"],
    "jpeglib.h": ["frontends/data/"],
    "png.h": ["frontends/data/"],
    "zlib.h": ["frontends/data/"],
}


def check_includes(_):
    """Who may include whom; quoted includes are written from the root of the project."""
    for path in files(".c", ".h", ".def"):
        owner = max((k for k in MAY_INCLUDE if path.startswith(k)), key=len, default=None)
        for number, line in enumerate(read(path).splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if not found or owner is None:
                continue
            sign, name = found.groups()
            where = f"{path}:{number}"
            for library, folders in LIBRARIES.items():
                if sign == "<" and name.startswith(library) and not path.startswith(tuple(folders)):
                    yield f"{where}: <{name}> belongs to {', '.join(folders)}"
            if sign == "<" or name.endswith(".pb-c.h"):
                continue
            if not os.path.exists(os.path.join(ROOT, name)):
                yield f'{where}: "{name}" does not exist from the root of the project'
            elif not name.startswith((owner, *MAY_INCLUDE[owner])):
                yield f'{where}: {owner} may not include "{name}"'


def functions(lines):
    """(first line, last line) of every function body, by the layout that clang-format gives."""
    head = start = None
    for number, line in enumerate(lines, 1):
        if start is None and line[:1].isalpha() and "(" in line and not re.match(r"(typedef|struct|enum|union|extern)\b[^()]*$", line):
            head = number
        if start is None and head and line.endswith("{") and "=" not in "".join(lines[head - 1 : number]).split("{")[0]:
            start = head
        if line == "}" and start:
            yield start, number
            start = head = None
        elif re.sub(r"\s*/\*.*\*/$", "", line).endswith(";") and start is None:
            head = None


def check_sizes(_):
    """Files at most 700 lines, functions 80 (a longer one says /* long: reason */), lines 150 columns; tables are exempt."""
    for path in files(".c", ".h", ".def"):
        lines = read(path).splitlines()
        if len(lines) > 700 and not path.endswith(".def"):
            yield f"{path}: {len(lines)} lines, at most 700"
        for number, line in enumerate(lines, 1):
            if len(line) > 150 and not path.endswith(".def"):
                yield f"{path}:{number}: {len(line)} columns, at most 150"
        for first, last in functions(lines):
            if last - first + 1 > 80 and "/* long:" not in "\n".join(lines[max(0, first - 3) : last]):
                yield f"{path}:{first}: function of {last - first + 1} lines, at most 80"


def check_head(_):
    """Every source file says its licence in its first lines; C files say what they are."""
    for path in files(".c", ".h", ".def", ".py", ".sh", "CMakeLists.txt", ".proto", ".yaml"):
        first = "\n".join(read(path).splitlines()[:3])
        if "SPDX-License-Identifier: Apache-2.0" not in first:
            yield f"{path}:1: no SPDX-License-Identifier: Apache-2.0 in the first three lines"


def check_format(_):
    """clang-format has the last word (version 14, so that everybody has the same)."""
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool or " 14." not in run([tool, "--version"]).stdout:
        print("clang-format 14 is not here")
        sys.exit(SKIP)

    def one(path):
        out = run([tool, "--dry-run", "-Werror", path], cwd=ROOT)
        return [line for line in out.stderr.splitlines() if "error:" in line][:3]

    return in_parallel(one, files(".c", ".h", ".cpp"))


def check_host(_):
    """The host block of the public header equals the one of ir/support/host.h."""

    def block(path):
        found = re.search(r"/\* host-begin \*/(.*?)/\* host-end \*/", read(path), re.S)
        return found.group(1) if found else None

    ours, public = block("ir/support/host.h"), block("frontends/capi/qcc.h")
    if ours is None or ours != public:
        yield "frontends/capi/qcc.h: the block between host-begin and host-end differs from ir/support/host.h"


def check_readmes(_):
    """Each folder has a README.md of at most 80 lines."""
    wanted = [""] + FOLDERS + [f"backends/{d}" for d in sorted(os.listdir(os.path.join(ROOT, "backends"))) if "." not in d]
    wanted += [f"frontends/{d}" for d in sorted(os.listdir(os.path.join(ROOT, "frontends"))) if "." not in d] + ["tests/golden"]
    for folder in wanted:
        path = os.path.join(folder, "README.md")
        if not os.path.exists(os.path.join(ROOT, path)):
            yield f"{path}: missing"
        elif folder and len(read(path).splitlines()) > 80:
            yield f"{path}: {len(read(path).splitlines())} lines, at most 80"


def check_top(_):
    """Nothing on the top level but the agreed folders and files."""
    allowed = set(FOLDERS) | {"CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE", "setup.sh", "build"}
    for name in sorted(os.listdir(ROOT)):
        if not name.startswith(".") and name not in allowed:
            yield f"{name}: not one of the agreed top-level names"


def check_words(_):
    """No paths of somebody's machine, no leftovers."""
    private = "|".join(["/wo" + "rk/", "/opt" + "/q", "/tmp" + "/b-", "/ho" + "me/", "/ro" + "ot/", "TO" + "DO", "FIX" + "ME", r"\bXX" + r"X\b"])
    text = ("README.md", "CMakeLists.txt", "CMakePresets.json", "setup.sh")
    endings = (".c", ".h", ".def", ".py", ".sh", ".md", ".txt", ".yaml", ".qir", ".proto", ".json")
    for path in [p for p in text if os.path.exists(os.path.join(ROOT, p))] + list(files(*endings)):
        for number, line in enumerate(read(path).splitlines(), 1):
            found = re.search(private, line)
            if found:
                yield f"{path}:{number}: {found.group(0)}"


def check_yaml(_):
    """Each capability file is called after its target, is shipped, and uses keys of the schema and operators of the table only."""
    keys = set(re.findall(r'^[A-Z]+\(\w+, \w+, \w+, "([^"*]+)"', read("yaml/schema.def"), re.M))
    keys |= {"measured"} | set(re.findall(r'^COST\(\w+, "(\w+)"', read("ir/costs.def"), re.M))
    operators = {(domain + "::" if domain else "") + name for domain, name in re.findall(r'^OP\(\w+, "([^"]*)", "(\w+)"', read("ir/ops.def"), re.M)}
    shipped = re.findall(r"([\w-]+\.yaml)", read("yaml/CMakeLists.txt"))
    for path in files(".yaml", under=("yaml",)):
        name, used = os.path.basename(path), set()
        if name not in shipped:
            yield f"{path}: not in yaml/CMakeLists.txt"
        for number, line in enumerate(read(path).splitlines(), 1):
            line = line.split(" #")[0]
            if len(line) > 150:
                yield f"{path}:{number}: {len(line)} columns, at most 150"
            if line.startswith(("#", "doc:")):
                continue
            if line.startswith("target:") and line.split()[1] + ".yaml" != name:
                yield f"{path}:{number}: the target of this file is {name[:-5]}"
            for key in re.findall(r"([A-Za-z][\w.]*(?:::\w+)?):(?: |$)", line):
                if key not in keys | operators | {"default"} and key not in used:
                    used.add(key)
                    yield f"{path}:{number}: {key} is neither a key of schema.def nor an operator"


# ---- compilers


def check_headers(args):
    """Each header compiles alone as C11, twice included; the public one also as C99 and C++17. One without a guard is a template."""
    flags = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", f"-I{ROOT}", f"-I{args.build}"]

    def compile_one(job):
        compiler, standard, language, path = job
        with tempfile.NamedTemporaryFile("w", suffix=f".{language}") as source:
            source.write(f'#include "{path}"\n#include "{path}"\nextern int qcc_unit;\nint qcc_unit = 1;\n')
            source.flush()
            out = run([compiler, f"-std={standard}", *flags, source.name])
            return [f"{path} ({standard}): {line}" for line in out.stderr.splitlines() if "error" in line][:3]

    public = "frontends/capi/qcc.h"
    jobs = [(args.cc, "c11", "c", path) for path in files(".h") if "#ifndef QCC_" in read(path)]
    jobs += [(args.cc, "c99", "c", public), (args.cxx, "c++17", "cpp", public)]
    return in_parallel(compile_one, jobs)


def check_clang(args):
    """clang accepts every C file without a warning (the build itself shows that the other compiler does)."""
    if not shutil.which("clang"):
        print("clang is not here")
        sys.exit(SKIP)
    with open(os.path.join(args.build, "compile_commands.json"), encoding="utf-8") as f:
        entries = {e["file"]: e for e in json.load(f) if e["file"].endswith(".c") and e["file"].startswith(ROOT + "/") and not e["file"].startswith(args.build)}

    def one(entry):
        words = shlex.split(entry["command"])
        keep = [w for w in words if re.match(r"-(I|isystem|D|U|std=|W|pedantic|m|f(?!sanitize|no-sanitize))", w) and not w.startswith("-Wl,")]
        keep += [b for a, b in zip(words, words[1:]) if a == "-isystem"]
        keep = [w for w in keep if w != "-isystem"]
        out = run(["clang", "-fsyntax-only", "-Werror", *[w if w.startswith("-") else f"-isystem{w}" for w in keep], entry["file"]], cwd=entry["directory"])
        return [line for line in out.stderr.splitlines() if "error:" in line][:3]

    return in_parallel(one, entries.values())


# ---- objects

DENIED = """exit _exit _Exit quick_exit abort __assert_fail assert atexit system popen fork signal raise
printf fprintf sprintf snprintf vprintf vfprintf vsprintf vsnprintf dprintf puts putchar fputs fputc perror
__printf_chk __fprintf_chk __sprintf_chk __snprintf_chk __vprintf_chk __vfprintf_chk __vsprintf_chk __vsnprintf_chk
stdin stdout stderr getenv secure_getenv setenv putenv setlocale localeconv uselocale newlocale
rand srand random srandom drand48 strtok atoi atol atof strtod strtof strtold sscanf __isoc99_sscanf fscanf gets
strcpy strcat stpcpy __strcpy_chk __strcat_chk __ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc tolower toupper
time localtime gmtime mktime strftime sleep usleep setjmp _setjmp __sigsetjmp longjmp alloca""".split()
# the one place for each: object name -> what it may use
GRANTED = {"intern.c.o": {"time"}, "context.c.o": {"malloc", "realloc", "calloc", "free"}, "jpeg.c.o": {"setjmp", "_setjmp", "longjmp"}, "png.c.o": {"setjmp", "_setjmp", "longjmp"}}
MEMORY = {"malloc", "realloc", "calloc", "free", "posix_memalign", "aligned_alloc", "memalign", "strdup", "strndup"}


def symbols(library):
    """(object, name, binding letter, section) of every symbol."""
    member = ""
    for line in run(["nm", "--format=sysv", library]).stdout.splitlines():
        found = re.match(r"Symbols from .*\[(.*)\]", line)
        if found:
            member = found.group(1)
        part = [p.strip() for p in line.split("|")]
        if len(part) == 7 and part[0] != "Name":
            yield member, part[0], part[2], part[6]


def is_generated(member):
    return ".pb-c." in member


def check_data(args):
    """No mutable data of file scope in the library: nothing in .data, .bss or common."""
    for member, name, letter, section in symbols(args.lib):
        if letter in "bBdDCsS" and not section.startswith(".data.rel.ro") and not re.match(r"(\.L|__?odr_asan|__asan|__ubsan)", name):
            yield f"{member}: {name} in {section or 'common'}"


def check_denied(args):
    """The library calls nothing that ends the process, prints, reads the environment or the locale, or allocates behind the context."""
    for member, name, letter, _ in symbols(args.lib):
        bad = name in DENIED or name in MEMORY
        if letter in "Uw" and bad and name not in GRANTED.get(member, set()) and not is_generated(member):
            yield f"{member}: uses {name}"


def check_prefix(args):
    """Every external symbol of the library begins with qcc_: it is linked statically into strangers."""
    for member, name, letter, _ in symbols(args.lib):
        if letter.isupper() and letter not in "UN" and not name.startswith(("qcc_", "__odr_asan", "__asan", "__ubsan")):
            yield f"{member}: {name}"


def check_exports(args):
    """The shared library exports exactly what exports.txt lists (QCC_BLESS=1 rewrites it)."""
    path = os.path.join(ROOT, "tests/lint/exports.txt")
    out = run(["nm", "-D", "--defined-only", args.so]).stdout
    found = sorted(line.split()[-1] for line in out.splitlines())
    found = [name for name in found if not name.startswith(("__odr_asan", "__asan", "__ubsan"))]
    if os.environ.get("QCC_BLESS"):
        with open(path, "w", encoding="utf-8") as f:
            f.write("".join(name + "\n" for name in found))
    listed = read(path).split() if os.path.exists(path) else []
    for name in sorted(set(found) ^ set(listed)):
        yield f"{name}: {'exported but not listed' if name in found else 'listed but not exported'}"


CHECKS = {name[6:]: check for name, check in sorted(globals().items()) if name.startswith("check_")}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("--build", default="")
    parser.add_argument("--lib", default="")
    parser.add_argument("--so", default="")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--cxx", default="c++")
    args = parser.parse_args()
    breaches = list(CHECKS[args.check](args))
    print("\n".join(breaches) if breaches else f"{args.check}: fine")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
